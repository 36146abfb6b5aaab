"""Whatever episodes a replay is given, each sample is what its strategy allows, told from a list of what is stored.

Unlike the twin, these properties know nothing of the order of draws.
"""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference.bits import from_words, prefix, to_words
from support.trajectories import random_words, transitions_of

from herfast import HindsightReplay, Trajectories, _core


class Stored(NamedTuple):
    episode: int
    state: int
    action: int | None  # None: the episode's last state
    goal: int


def walked(rng, n_bits, n_goal_bits, lengths, first):
    """Games of these lengths, flipping random bits, half of which end at their goal; and their records."""
    most, n_games = max(lengths), len(lengths)
    states = random_words(rng, (most + 1, n_games), n_bits)
    actions = rng.integers(0, n_bits, (most, n_games), np.uint16)
    goals, records = random_words(rng, (n_games,), n_goal_bits), []
    for game, length in enumerate(lengths):
        walk = [from_words(states[0, game])]
        for t in range(length):
            walk.append(walk[-1] ^ 1 << int(actions[t, game]))
            states[t + 1, game] = to_words(walk[-1], n_bits)
        if rng.random() < 0.5:
            goals[game] = to_words(prefix(walk[-1], n_goal_bits), n_goal_bits)
        goal = from_words(goals[game])
        for t, state in enumerate(walk):
            records.append(Stored(first + game, state, int(actions[t, game]) if t < length else None, goal))
    return Trajectories(states, actions, goals, np.array(lengths, np.int32)), records


def allowed_goals(records, index, strategy, k, n_goal_bits):
    """Each goal that the transition at `index` may get, and its steps to it; for a goal of unknown distance 0."""
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
    """Every sample is a stored transition with a goal that it may have; all else follows from that goal."""
    transitions = {}  # what may be sampled beside state, next state and action: goal and steps to it
    for i, record in enumerate(records):
        if record.action is not None:
            key = record.state, records[i + 1].state, record.action
            transitions.setdefault(key, set()).update(allowed_goals(records, i, strategy, k, n_goal_bits))
    for row in transitions_of(array.reshape(-1, *array.shape[2:]) for array in batch):
        state, following, goal, action, reward, terminated, steps = row
        assert following == state ^ 1 << action
        assert (goal, steps) in transitions[state, following, action]
        assert terminated == (prefix(following, n_goal_bits) == goal)
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
@example([[1]], 2, 1, True, "future", 4, 0)  # the smallest ring that holds anything
@example([[1, 1, 1, 1]], 3, 65, True, "episode", 4, 0)  # steps of one, the oldest cut to its end
@example([[9], [9, 2]], 12, 64, True, "episode", 4, 0)  # the ring's seam lies within an episode
@example([[3, 9, 1], [2, 10, 2]], 10, 130, False, "future", 1, 0)  # one is too long, in the midst of an addition
def test_every_sample_is_allowed(additions, capacity, n_bits, whole_goal, strategy, k, seed):
    rng = np.random.default_rng(seed)
    n_goal_bits = n_bits if whole_goal else n_bits // 2 + 1
    replay = HindsightReplay(capacity, n_bits, n_goal_bits, strategy=strategy, k=k, seed=seed)
    records, n_episodes = [], 0
    for lengths in additions:
        trajectories, new = walked(rng, n_bits, n_goal_bits, lengths, n_episodes)
        if max(lengths) >= capacity:
            before, cursor = replay.records.copy(), replay.cursor.copy()
            with pytest.raises(ValueError, match=f"steps needs .* records, the ring has {capacity}; raise capacity"):
                replay.add(trajectories)
            np.testing.assert_array_equal(replay.records, before)
            np.testing.assert_array_equal(replay.cursor, cursor)
            continue
        replay.add(trajectories)
        records, n_episodes = (records + new)[-capacity:], n_episodes + len(lengths)
        assert len(replay) == sum(record.action is not None for record in records)
        assert _core.ring_is_valid(replay.records, replay.cursor, n_bits, n_goal_bits)
        assert_allowed(replay.sample(2, 20), records, strategy, k, n_goal_bits)


def test_a_sample_that_is_not_allowed_is_found():
    rng = np.random.default_rng(0)
    trajectories, records = walked(rng, 65, 65, [5, 9, 1], 0)
    replay = HindsightReplay(100, 65, strategy="episode", k=4, seed=0)
    replay.add(trajectories)
    batch = replay.sample(5, 20)
    assert_allowed(batch, records, "episode", 4, 65)
    for strategy in ("future", "final", "random"):
        with pytest.raises(AssertionError):
            assert_allowed(batch, records, strategy, 4, 65)
    with pytest.raises(KeyError):
        assert_allowed(batch, records[8:], "episode", 4, 65)
