"""Time of the greedy policy in lockstep, in nanoseconds per environment step.

The time includes Python. Run with `pytest bench/test_acting.py --benchmark-only -s`. Episodes continue after
their goal, so that all are always active.
"""

import numpy as np
import pytest
from reference import network as reference

from herfast import BitFlip, Config, QNetwork

STEPS = 100


def play(env, policy, states, goals, actions, active, terminated):
    """Make `STEPS` lockstep steps, from states[t] to states[t + 1]."""
    for t in range(STEPS):
        policy.act(states[t], goals, active, actions)
        env.step(states[t], goals, actions, active, states[t + 1], terminated)


@pytest.mark.parametrize("n_envs", [16, 64, 256])
@pytest.mark.parametrize("n_bits", [8, 20, 50, 128, 256])
def test_greedy_step(benchmark, n_bits, n_envs):
    env, rng = BitFlip(n_bits, max_steps=STEPS), np.random.default_rng(0)
    network = QNetwork(n_bits, config=Config(hidden=(256,)), seed=0)
    words = -(-n_bits // 64)
    states, goals = np.zeros((STEPS + 1, n_envs, words), np.uint64), np.zeros((n_envs, words), np.uint64)
    env.reset(rng, states[0], goals)
    actions, active, terminated = (
        np.zeros(n_envs, np.uint16),
        np.arange(n_envs),
        np.zeros(n_envs, np.bool_),
    )
    play(env, network.greedy_policy(n_envs), states, goals, actions, active, terminated)

    params = {name: array.astype(np.float64) for name, array in network.parameters().items()}
    x = reference.inputs(states[STEPS - 1], goals, n_bits, n_bits, np.float64)
    q = reference.forward(params, x)[1]
    np.testing.assert_allclose(q[np.arange(n_envs), actions], q.max(axis=1), atol=1e-4)

    policy = network.greedy_policy(n_envs)
    benchmark(play, env, policy, states, goals, actions, active, terminated)
    ns = benchmark.stats.stats.median / (STEPS * n_envs) * 1e9
    benchmark.extra_info.update(ns_per_step=ns, steps_per_second=1e9 / ns)
    print(f"\n{n_bits} bits, {n_envs} episodes: {ns:.0f} ns per step")
