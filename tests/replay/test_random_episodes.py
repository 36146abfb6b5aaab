"""Property tests: each sample is one that the goal strategy allows.

Samples are compared with a list of the stored states. Unlike the reference, the tests do not depend on the
order of draws.
"""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference.bits import from_words, prefix, to_words
from support.trajectories import random_words, transitions_of

from herfast import HindsightReplay, Trajectories, _core


class StoredState(NamedTuple):
    episode: int
    state: int
    action: int | None  # None for the last state of an episode
    goal: int


def flip_random_bits(rng, n_bits, n_goal_bits, lengths, first_episode):
    """Return episodes that flip random bits, and a list of their states.

    About half of the episodes end at their goal.
    """
    max_length = max(lengths)
    n_episodes = len(lengths)
    states = random_words(rng, (max_length + 1, n_episodes), n_bits)
    actions = rng.integers(0, n_bits, (max_length, n_episodes), np.uint16)
    goals = random_words(rng, (n_episodes,), n_goal_bits)
    records = []
    for e, length in enumerate(lengths):
        path = [from_words(states[0, e])]
        for t in range(length):
            path.append(path[-1] ^ 1 << int(actions[t, e]))
            states[t + 1, e] = to_words(path[-1], n_bits)
        if rng.random() < 0.5:
            goals[e] = to_words(prefix(path[-1], n_goal_bits), n_goal_bits)
        goal = from_words(goals[e])
        for t, state in enumerate(path):
            action = int(actions[t, e]) if t < length else None
            records.append(StoredState(first_episode + e, state, action, goal))
    return Trajectories(states, actions, goals, np.array(lengths, np.int32)), records


def allowed_goals(records, index, strategy, k, n_goal_bits):
    """Return allowed (goal, steps to goal) pairs of a transition; 0 steps = unknown."""
    record = records[index]
    own = [i for i, other in enumerate(records) if other.episode == record.episode]
    reached = prefix(records[own[-1]].state, n_goal_bits) == record.goal
    allowed = {(record.goal, own[-1] - index if reached else 0)}
    if k:
        sources = {
            "future": [i for i in own if i > index],
            "final": own[-1:],
            "episode": own,
            "random": range(len(records)),
        }[strategy]
        distances = ((i, 0 if strategy == "random" else max(0, i - index)) for i in sources)
        allowed |= {(prefix(records[i].state, n_goal_bits), steps) for i, steps in distances}
    return allowed


def assert_allowed(batch, records, strategy, k, n_goal_bits):
    """Assert that samples are stored transitions with allowed goals and rewards."""
    transitions = {}  # allowed (goal, steps to goal) by (state, next state, action)
    for i, record in enumerate(records):
        if record.action is not None:
            key = record.state, records[i + 1].state, record.action
            transitions.setdefault(key, set()).update(allowed_goals(records, i, strategy, k, n_goal_bits))
    for row in transitions_of(array.reshape(-1, *array.shape[2:]) for array in batch):
        state, next_state, goal, action, reward, terminated, steps = row
        assert next_state == state ^ 1 << action
        assert (goal, steps) in transitions[state, next_state, action]
        assert terminated == (prefix(next_state, n_goal_bits) == goal)
        assert reward == (0 if terminated else -1)


LENGTHS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    additions=LENGTHS,
    capacity=st.integers(2, 45),
    n_bits=st.sampled_from([1, 2, 8, 63, 64, 65, 130]),
    whole_goal=st.booleans(),
    strategy=st.sampled_from(["future", "final", "episode", "random"]),
    k=st.sampled_from([0, 1, 4]),
    seed=st.integers(0, 2**32),
)
# The smallest ring.
@example([[1]], 2, 1, True, "future", 4, 0)
# Episodes of one step; only the last record of the oldest one is left.
@example([[1, 1, 1, 1]], 3, 65, True, "episode", 4, 0)
# An episode that wraps around the end of the ring.
@example([[9], [9, 2]], 12, 64, True, "episode", 4, 0)
# An episode among others that is too long for the ring.
@example([[3, 9, 1], [2, 10, 2]], 10, 130, False, "future", 1, 0)
def test_every_sample_is_one_that_the_strategy_allows(
    additions, capacity, n_bits, whole_goal, strategy, k, seed
):
    rng = np.random.default_rng(seed)
    n_goal_bits = n_bits if whole_goal else n_bits // 2 + 1
    replay = HindsightReplay(capacity, n_bits, n_goal_bits, strategy=strategy, k=k, seed=seed)
    records = []
    n_episodes = 0
    for lengths in additions:
        trajectories, new_records = flip_random_bits(rng, n_bits, n_goal_bits, lengths, n_episodes)
        if max(lengths) >= capacity:
            before = replay.records.copy()
            cursor = replay.cursor.copy()
            with pytest.raises(
                ValueError, match=f"steps needs .* records, the ring has {capacity}; raise capacity"
            ):
                replay.add(trajectories)
            np.testing.assert_array_equal(replay.records, before)
            np.testing.assert_array_equal(replay.cursor, cursor)
            continue
        replay.add(trajectories)
        records = (records + new_records)[-capacity:]
        n_episodes += len(lengths)
        assert len(replay) == sum(record.action is not None for record in records)
        assert _core.ring_is_valid(replay.records, replay.cursor, n_bits, n_goal_bits)
        assert_allowed(replay.sample(2, 20), records, strategy, k, n_goal_bits)


def test_assert_allowed_fails_for_samples_of_another_strategy():
    rng = np.random.default_rng(0)
    trajectories, records = flip_random_bits(rng, 65, 65, [5, 9, 1], 0)
    replay = HindsightReplay(100, 65, strategy="episode", k=4, seed=0)
    replay.add(trajectories)
    batch = replay.sample(5, 20)
    assert_allowed(batch, records, "episode", 4, 65)
    for strategy in ("future", "final", "random"):
        with pytest.raises(AssertionError):
            assert_allowed(batch, records, strategy, 4, 65)
    with pytest.raises(KeyError):
        assert_allowed(batch, records[8:], "episode", 4, 65)
