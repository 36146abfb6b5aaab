"""Tests of rollouts: trajectories, random draws, and functions of trajectories."""

import numpy as np
import pytest
from reference import bitflip as reference_bitflip
from reference import network as reference_network
from reference.bits import from_words

from herfast import BitFlip, Config, QNetwork, Trajectories, pack_bits, unpack_bits
from herfast.common.seeding import Role, stream
from herfast.dqn.rollout import ended_in_loop, reached_goal, rollout


def make_network(env, seed=0, hidden=(40,)):
    return QNetwork(env.n_state_bits, env.n_goal_bits, env.n_actions, config=Config(hidden=hidden), seed=seed)


def check_trajectories(env, trajectories):
    """Check that actions flip one bit and episodes end at the goal or the limit."""
    states = unpack_bits(trajectories.states, env.n_bits)
    goals = unpack_bits(trajectories.goals, env.n_bits)
    for e, length in enumerate(trajectories.lengths):
        assert 1 <= length <= env.max_steps
        for t in range(length):
            changed = np.flatnonzero(states[t, e] != states[t + 1, e])
            assert changed.tolist() == [trajectories.actions[t, e]]
            assert not (states[t, e] == goals[e]).all()
        if length < env.max_steps:
            assert (states[length, e] == goals[e]).all()


@pytest.mark.parametrize("n", [1, 2, 8, 63, 64, 65, 130])
def test_greedy_actions_maximize_the_reference_q_values(n):
    env = BitFlip(n, max_steps=min(n + 3, 70))
    network = make_network(env)
    trajectories = rollout(env, network, 7, stream(n, Role.ENVIRONMENT))
    check_trajectories(env, trajectories)
    params = {name: array.astype(np.float64) for name, array in network.parameters().items()}
    for t in range(env.max_steps):
        active = np.flatnonzero(trajectories.lengths > t)
        if not active.size:
            break
        states = trajectories.states[t, active]
        x = reference_network.inputs(states, trajectories.goals[active], n, n, np.float64)
        q = reference_network.forward(params, x)[1]
        taken = q[np.arange(len(active)), trajectories.actions[t, active]]
        np.testing.assert_allclose(taken, q.max(axis=1), atol=1e-4)


def test_which_selects_the_network_that_plays():
    env = BitFlip(12)
    network = make_network(env)
    for array in network.parameters("target").values():
        array[...] *= -1
    online, target = (
        rollout(env, network, 9, stream(1, Role.ENVIRONMENT), which=w) for w in ("online", "target")
    )
    assert (online.states[0] == target.states[0]).all()
    assert not (online.actions == target.actions).all()


def test_random_numbers_are_drawn_in_the_documented_order():
    """Draw starts and goals, then per step a number per active episode and actions."""
    env, n_envs, seen = BitFlip(6), 5, []

    def epsilon_at(steps):
        seen.append(steps)
        return 0.5 if steps < 1015 else 0.9

    trajectories = rollout(
        env,
        make_network(env),
        n_envs,
        stream(3, Role.ENVIRONMENT),
        exploration=stream(3, Role.EXPLORATION),
        epsilon_at=epsilon_at,
        env_steps=1000,
    )
    check_trajectories(env, trajectories)
    raw = stream(3, Role.ENVIRONMENT).bit_generator
    for e in range(n_envs):
        start, goal = reference_bitflip.reset(raw, 6)
        assert trajectories.states[0, e].tolist() == [start]
        assert trajectories.goals[e].tolist() == [goal]
    rng, steps, explored = stream(3, Role.EXPLORATION), 1000, 0
    for t in range(env.max_steps):
        active = np.flatnonzero(trajectories.lengths > t)
        if not active.size:
            break
        assert seen[t] == steps
        explorers = active[rng.random(active.size) < (0.5 if steps < 1015 else 0.9)]
        if explorers.size:
            assert (
                trajectories.actions[t, explorers].tolist() == rng.integers(6, size=explorers.size).tolist()
            )
        explored += explorers.size
        steps += active.size
    assert 0 < explored < trajectories.lengths.sum()


def test_long_episodes_have_the_actions_of_a_full_forward_pass():
    """Pre-activations are updated at each step and rebuilt after 64 steps."""
    env = BitFlip(9, max_steps=300)
    network = make_network(env, seed=4)
    trajectories = rollout(
        env,
        network,
        3,
        stream(0, Role.ENVIRONMENT),
        exploration=stream(0, Role.EXPLORATION),
        epsilon_at=lambda steps: 0.0,
    )
    e = int(trajectories.lengths.argmax())
    assert trajectories.lengths[e] == 300
    for t in (63, 64, 65, 127, 128, 299):
        action = network.act(trajectories.states[t], trajectories.goals)[e]
        assert trajectories.actions[t, e] == action


def test_episodes_at_their_goal_and_in_loops_are_found():
    states = pack_bits(
        [
            [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
            [[1, 0, 0], [1, 0, 0], [1, 0, 0]],
            [[1, 1, 0], [0, 0, 0], [0, 0, 0]],
        ]
    )
    goals = pack_bits([[1, 1, 0], [1, 1, 1], [1, 0, 0]])
    lengths = np.array([2, 2, 1], np.int32)
    trajectories = Trajectories(states, np.zeros((2, 3), np.uint16), goals, lengths)
    assert reached_goal(trajectories, 3).tolist() == [True, False, True]
    assert ended_in_loop(trajectories).tolist() == [False, True, False]


def test_reached_goal_compares_only_the_bits_of_the_goal():
    states = pack_bits([[[0, 1, 1]], [[1, 1, 1]]])
    trajectories = Trajectories(
        states, np.zeros((1, 1), np.uint16), pack_bits([[1, 1]]), np.array([1], np.int32)
    )
    assert reached_goal(trajectories, 2).tolist() == [True]


@pytest.mark.parametrize(("n", "max_steps"), [(1, 3), (2, 5), (9, 9), (9, 25), (65, 65), (130, 40)])
def test_no_revisit_takes_the_best_action_to_a_state_not_visited(n, max_steps):
    """The best of all is taken where all lead to visited states."""
    env = BitFlip(n, max_steps=max_steps)
    network = make_network(env)
    trajectories = rollout(env, network, 7, stream(n, Role.ENVIRONMENT), no_revisit=True)
    check_trajectories(env, trajectories)
    greedy = rollout(env, network, 7, stream(n, Role.ENVIRONMENT))
    assert (trajectories.states[0] == greedy.states[0]).all()
    for e, length in enumerate(trajectories.lengths):
        path = [from_words(state) for state in trajectories.states[: length + 1, e]]
        for t in range(length):
            q = network.q_values(trajectories.states[t, e][None], trajectories.goals[e][None])[0]
            new = [action for action in range(n) if path[t] ^ 1 << action not in path[: t + 1]]
            action = trajectories.actions[t, e]
            assert action in new or not new
            assert q[action] >= max(q[other] for other in new or range(n)) - 1e-4
        assert len(set(path)) == len(path) or max_steps > n
