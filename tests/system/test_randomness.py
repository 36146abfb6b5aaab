"""Distributions of all random draws, as the paper states them.

States of test episodes encode their record, so that draws can be counted.
"""

import numpy as np
import pytest
from support.chi_square import assert_fair_bits, assert_frequencies, assert_independent, assert_uniform
from support.known_networks import set_greedy_action
from support.trajectories import numbered_episodes

from herfast import BitFlip, Config, HindsightReplay, QNetwork, unpack_bits
from herfast.common.seeding import Role, stream
from herfast.dqn.rollout import rollout

LENGTHS = np.array([9, 1, 4, 7, 2, 10, 1, 6, 3], np.int32)  # of the stored episodes, in this order
DRAWS = 100_000


def filled_replay(strategy, k, capacity=1000, lengths=LENGTHS):
    """Return a replay buffer with episodes of these lengths, and its records.

    The records are numbers episode << 16 | t, the oldest first.
    """
    replay = HindsightReplay(capacity, 50, strategy=strategy, k=k, seed=2)
    replay.add(numbered_episodes(len(lengths), 10)._replace(lengths=lengths))
    records = np.concatenate(
        [episode << 16 | np.arange(length + 1) for episode, length in enumerate(lengths)]
    )
    return replay, records[-capacity:]


def draw(strategy, k, capacity=1000):
    """Sample DRAWS transitions from a filled replay buffer.

    Returns the index of each transition's record and of its goal's record, counted from the oldest. The third
    value is a mask of the hindsight goals, the fourth the records.
    """
    replay, records = filled_replay(strategy, k, capacity)
    batch = replay.sample(10, DRAWS // 10)
    states, goals = batch.states.ravel().astype(int), batch.goals.ravel().astype(int)
    return np.searchsorted(records, states), np.searchsorted(records, goals), goals != 2**50 - 1, records


def is_last(records):
    """Return a mask of the records that end an episode; these are no transitions."""
    return (records & 0xFFFF) == LENGTHS[records >> 16]


CAPACITIES = [1000, 52, 47, 30]  # 52 records are all; 47 cut the first episode, 30 the fourth
STRATEGIES = ["future", "final", "episode", "random"]


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_slots_are_uniform_over_stored_transitions(strategy, capacity):
    slot, _, _, records = draw(strategy, 4, capacity)
    assert_frequencies(slot, ~is_last(records), f"slots, {strategy}, {capacity}")


def test_slots_are_drawn_independently_with_replacement():
    replay, records = filled_replay("future", 4, 11)
    states = replay.sample(DRAWS // 2, 2).states[..., 0].astype(int)
    one, other = np.searchsorted(records, states).T
    assert_independent(one, other, "two slots of a minibatch")
    states = replay.sample(DRAWS, 1).states.ravel().astype(int)
    slot = np.searchsorted(records, states)
    assert_independent(slot[:-1:2], slot[1::2], "slots of two minibatches")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("k", [0, 1, 2, 4, 9, 99])
def test_share_of_relabelled_goals(strategy, k):
    slot, _, hindsight, _ = draw(strategy, k)
    assert_frequencies(hindsight.astype(int), [1, k], f"kept and relabelled, {strategy}, {k}")
    if k:
        assert_independent(slot, hindsight.astype(int), "slots and whether they are relabelled")


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_future_goals_are_uniform_over_the_remaining_steps(capacity):
    slot, source, hindsight, records = draw("future", 4, capacity)
    for index in np.flatnonzero(~is_last(records)):
        left = LENGTHS[records[index] >> 16] - (records[index] & 0xFFFF)
        selected = hindsight & (slot == index)
        assert_uniform(
            source[selected] - index - 1, left, f"offsets at index {index} of {capacity}, {left} left"
        )


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_episode_goals_are_uniform_over_its_stored_records(capacity):
    slot, source, hindsight, records = draw("episode", 4, capacity)
    for index in np.flatnonzero(~is_last(records)):
        allowed = records >> 16 == records[index] >> 16
        assert_frequencies(
            source[hindsight & (slot == index)], allowed, f"goals at index {index} of {capacity}"
        )


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_random_goals_are_uniform_over_all_records(capacity):
    slot, source, hindsight, records = draw("random", 4, capacity)
    assert_uniform(source[hindsight], len(records), f"random goals of {capacity}")
    assert_independent(slot[hindsight], source[hindsight], "slot and goal")


@pytest.mark.parametrize("n_bits", [1, 2, 8, 63, 64, 65, 130])
def test_start_and_goal_bits_are_fair(n_bits):
    states, goals = (np.empty((20_000, -(-n_bits // 64)), np.uint64) for _ in range(2))
    BitFlip(n_bits).reset(stream(3, Role.ENVIRONMENT), states, goals)
    start, goal = unpack_bits(states, n_bits).astype(int), unpack_bits(goals, n_bits).astype(int)
    assert_fair_bits(start, f"start of {n_bits}")
    assert_fair_bits(goal, f"goal of {n_bits}")
    if n_bits > 7:  # with fewer bits the exclusion of start == goal shows
        assert_fair_bits(start ^ goal, f"bits to flip of {n_bits}")
        assert_fair_bits(start[:, 1:] ^ start[:, :-1], f"neighbouring bits of {n_bits}")


@pytest.mark.parametrize("n_bits", [1, 2, 3])
def test_pairs_of_unequal_start_and_goal_are_uniform(n_bits):
    states, goals = (np.empty((20_000, 1), np.uint64) for _ in range(2))
    BitFlip(n_bits).reset(stream(4, Role.ENVIRONMENT), states, goals)
    pairs = (states << np.uint64(n_bits) | goals).ravel().astype(int)
    assert_frequencies(pairs, 1 - np.eye(2**n_bits).ravel(), f"start and goal of {n_bits} bits")


@pytest.mark.parametrize("n_bits", [2, 5, 20, 65])
@pytest.mark.parametrize("epsilon", [0.0, 0.2, 0.7, 1.0])
def test_explored_actions_are_uniform_with_probability_epsilon(n_bits, epsilon):
    """The greedy action is always 1, so the other actions come from exploration."""
    network = QNetwork(n_bits, config=Config(hidden=(8,)), seed=0)
    set_greedy_action(network, 1)
    rng = stream(5, Role.EXPLORATION)
    env, env_rng = BitFlip(n_bits, max_steps=20), stream(5, Role.ENVIRONMENT)
    episodes = rollout(env, network, 2_000, env_rng, exploration=rng, epsilon_at=lambda steps: epsilon)
    t, episode = np.nonzero(np.arange(20)[:, None] < episodes.lengths)
    actions = episodes.actions[t, episode].astype(int)
    probabilities = np.full(n_bits, epsilon / n_bits)
    probabilities[1] += 1 - epsilon
    assert_frequencies(actions, probabilities, f"actions at epsilon {epsilon}")
    if epsilon > 0 and n_bits > 5:
        assert_independent(episode % 10, actions, "episodes and their actions")
        assert_independent(t, actions, "steps and their actions")


def test_unfair_draws_are_detected():
    rng = np.random.default_rng(0)
    fair, unfair = rng.integers(0, 10, DRAWS), np.minimum(rng.integers(0, 300, DRAWS) // 29, 9)
    assert_uniform(fair, 10, "fair")
    bits = rng.random((DRAWS, 20)) < np.linspace(0.49, 0.51, 20)
    for check, values in (
        (assert_uniform, (unfair, 10)),
        (assert_frequencies, (fair, [0, *np.ones(9)])),
        (assert_frequencies, (fair, np.ones(9))),
        (assert_independent, (fair, (fair + (rng.random(DRAWS) < 0.9)) % 10)),
        (assert_fair_bits, (bits,)),
    ):
        with pytest.raises(AssertionError, match="unfair"):
            check(*values, "unfair")
