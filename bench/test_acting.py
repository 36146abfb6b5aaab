"""Greedy play in lockstep: nanoseconds a game and step, Python included.

Run with `pytest bench/test_acting.py --benchmark-only -s`. Games that end are played on, so that all are active always.
"""

import numpy as np
import pytest
from reference import network as twin

from herfast import BitFlip, Config, QNetwork

STEPS = 100


def play(env, player, states, goals, actions, active, terminated):
    """`STEPS` lockstep steps: act on states[t], then play into states[t + 1]."""
    for t in range(STEPS):
        player.act(states[t], goals, active, actions)
        env.step(states[t], goals, actions, active, states[t + 1], terminated)


@pytest.mark.parametrize("n_games", [16, 64, 256])
@pytest.mark.parametrize("n_bits", [8, 20, 50, 128, 256])
def test_greedy_step(benchmark, n_bits, n_games):
    env, rng = BitFlip(n_bits, max_steps=STEPS), np.random.default_rng(0)
    network = QNetwork(n_bits, config=Config(hidden=(256,)), seed=0)
    words = -(-n_bits // 64)
    states, goals = np.zeros((STEPS + 1, n_games, words), np.uint64), np.zeros((n_games, words), np.uint64)
    env.reset(rng, states[0], goals)
    actions, active, terminated = np.zeros(n_games, np.uint16), np.arange(n_games), np.zeros(n_games, np.bool_)
    play(env, network.greedy_policy(n_games), states, goals, actions, active, terminated)

    params = {name: array.astype(np.float64) for name, array in network.parameters().items()}
    x = twin.inputs(states[STEPS - 1], goals, n_bits, n_bits, np.float64)
    q = twin.forward(params, x)[1]
    np.testing.assert_allclose(q[np.arange(n_games), actions], q.max(axis=1), atol=1e-4)

    player = network.greedy_policy(n_games)
    benchmark(play, env, player, states, goals, actions, active, terminated)
    ns = benchmark.stats.stats.median / (STEPS * n_games) * 1e9
    benchmark.extra_info.update(ns_per_step=ns, steps_per_second=1e9 / ns)
    print(f"\n{n_bits} bits, {n_games} games: {ns:.0f} ns a step")
