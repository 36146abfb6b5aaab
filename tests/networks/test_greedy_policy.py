"""The greedy policy in lockstep: updated pre-activations are those of a computation from scratch."""

import numpy as np
import pytest
from reference import network as twin
from support.network_twin import (
    copy_parameters,
    random_packed,
)

from herfast import Config, QNetwork, pack_bits


@pytest.mark.parametrize("n", [1, 8, 63, 64, 65, 130])
@pytest.mark.parametrize("integer_weights", [True, False])
def test_changed_bits_give_the_preactivations_of_all_bits(n, integer_weights):
    """After up to 1,000 flips: exactly with integer weights, within 1e-4 with random ones."""
    rng = np.random.default_rng(n)
    network = QNetwork(n, config=Config(hidden=(40,)), seed=0)
    for array in network.parameters().values():
        array[...] = rng.integers(-3, 4, array.shape) if integer_weights else rng.uniform(-1, 1, array.shape)
        if not integer_weights:
            array /= np.sqrt(2 * n)
    bits, goals = rng.integers(0, 2, (5, n)), random_packed(rng, 5, n_bits=n)
    policy, active = network.greedy_policy(5), np.arange(5)
    rebuilt, actions = network.greedy_policy(5), np.zeros(5, np.uint16)
    policy.act(pack_bits(bits), goals, active, actions)
    for flips in range(1, 1001):
        bits[active, rng.integers(0, n, 5)] ^= 1
        policy._steps = 1  # never rebuilds, as in a rollout it would be after 64 steps
        policy.act(pack_bits(bits), goals, active, actions)
        if flips in (1, 2, 10, 100, 1000):
            rebuilt._steps = 0
            rebuilt.act(pack_bits(bits), goals, active, actions)
            x = twin.inputs(pack_bits(bits), goals, n, n, np.float64)
            (expected,), _ = twin.forward(copy_parameters(network, "online"), x)
            atol = 0 if integer_weights else 1e-4
            np.testing.assert_allclose(policy._z[:, :40], rebuilt._z[:, :40], rtol=0, atol=atol)
            np.testing.assert_allclose(policy._z[:, :40], expected, rtol=0, atol=atol)


def test_preactivations_are_built_anew_every_64_steps():
    network, rng = QNetwork(9, config=Config(hidden=(40,)), seed=0), np.random.default_rng(0)
    states, goals = random_packed(rng, 5, n_bits=9), random_packed(rng, 5, n_bits=9)
    policy, active, actions, rebuilt = network.greedy_policy(5), np.arange(5), np.zeros(5, np.uint16), []
    policy.act(states, goals, active, actions)
    right = policy._z.copy()
    for step in range(1, 200):
        policy._z[...] = 77
        policy.act(states, goals, active, actions)
        if (policy._z == right).all():
            rebuilt.append(step)
    assert rebuilt == [64, 128, 192]


def test_only_active_games_are_played():
    network = QNetwork(10, config=Config(hidden=(40,)), seed=0)
    rng = np.random.default_rng(0)
    states, goals = random_packed(rng, 6, n_bits=10), random_packed(rng, 6, n_bits=10)
    actions = np.full(6, 99, np.uint16)
    network.greedy_policy(6).act(states, goals, np.array([1, 4]), actions)
    assert actions[[0, 2, 3, 5]].tolist() == [99] * 4
    assert actions[[1, 4]].tolist() == network.act(states, goals)[[1, 4]].tolist()
