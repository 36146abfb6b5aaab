"""Tests of GreedyPolicy."""

import copy

import numpy as np
import pytest
from reference import network as reference
from support.kernel_calls import after_each_call
from support.network_reference import copy_parameters, random_packed

from herfast import BitFlip, Config, QNetwork, pack_bits
from herfast.dqn.rollout import rollout
from herfast.networks.compiled import entry_points


@pytest.mark.parametrize("n", [1, 8, 63, 64, 65, 130])
@pytest.mark.parametrize("encoding", ["signed", "binary"])
@pytest.mark.parametrize("integer_weights", [True, False])
def test_incremental_preactivations_equal_recomputed_ones(n, integer_weights, encoding):
    """1,000 flips: exact with integer weights, within 1e-4 with random weights."""
    rng = np.random.default_rng(n)
    network = QNetwork(n, config=Config(hidden=(40,), encoding=encoding), seed=0)
    for array in network.parameters().values():
        array[...] = rng.integers(-3, 4, array.shape) if integer_weights else rng.uniform(-1, 1, array.shape)
        if not integer_weights:
            array /= np.sqrt(2 * n)
    bits = rng.integers(0, 2, (5, n))
    goals = random_packed(rng, 5, n_bits=n)
    policy = network.greedy_policy(5)
    recomputed = network.greedy_policy(5)
    active = np.arange(5)
    actions = np.zeros(5, np.uint16)
    policy.act(pack_bits(bits), goals, active, actions)
    for flips in range(1, 1001):
        bits[active, rng.integers(0, n, 5)] ^= 1
        policy._steps = 1  # prevents the recomputation after 64 steps
        policy.act(pack_bits(bits), goals, active, actions)
        if flips in (1, 2, 10, 100, 1000):
            recomputed._steps = 0
            recomputed.act(pack_bits(bits), goals, active, actions)
            x = reference.inputs(pack_bits(bits), goals, n, n, np.float64, encoding)
            (expected,), _ = reference.forward(copy_parameters(network, "online"), x)
            atol = 0 if integer_weights else 1e-4
            np.testing.assert_allclose(policy._z[:, :40], recomputed._z[:, :40], rtol=0, atol=atol)
            np.testing.assert_allclose(policy._z[:, :40], expected, rtol=0, atol=atol)


def test_preactivations_are_recomputed_every_64_steps():
    network = QNetwork(9, config=Config(hidden=(40,)), seed=0)
    rng = np.random.default_rng(0)
    states = random_packed(rng, 5, n_bits=9)
    goals = random_packed(rng, 5, n_bits=9)
    policy = network.greedy_policy(5)
    active = np.arange(5)
    actions = np.zeros(5, np.uint16)
    policy.act(states, goals, active, actions)
    expected = policy._z.copy()
    recomputed = []
    for step in range(1, 200):
        policy._z[...] = 77
        policy.act(states, goals, active, actions)
        if (policy._z == expected).all():
            recomputed.append(step)
    assert recomputed == [64, 128, 192]


def test_actions_are_set_only_for_active_episodes():
    network = QNetwork(10, config=Config(hidden=(40,)), seed=0)
    rng = np.random.default_rng(0)
    states = random_packed(rng, 6, n_bits=10)
    goals = random_packed(rng, 6, n_bits=10)
    actions = np.full(6, 99, np.uint16)
    network.greedy_policy(6).act(states, goals, np.array([1, 4]), actions)
    assert actions[[0, 2, 3, 5]].tolist() == [99] * 4
    assert actions[[1, 4]].tolist() == network.act(states, goals)[[1, 4]].tolist()


@pytest.mark.parametrize("chunk", [1, 3, 4, 64])
def test_acting_in_several_calls_of_the_kernel_gives_the_same_bits(chunk, monkeypatch):
    """Many episodes become several calls, so that signals are handled."""
    env = BitFlip(70)
    network = QNetwork(70, config=Config(hidden=(40, 33)), seed=0)
    rng = np.random.default_rng(0)
    states, goals = random_packed(rng, 130, n_bits=70), random_packed(rng, 130, n_bits=70)
    expected = network.q_values(states, goals)
    episodes = rollout(env, network, 130, np.random.default_rng(1), no_revisit=True)
    calls = []
    after_each_call(monkeypatch, entry_points.act, calls.append)
    n_parameters = network._online.params.size
    monkeypatch.setattr("herfast.networks.greedy_policy.MAX_CALL_OPERATIONS", chunk * n_parameters)
    network = copy.deepcopy(network)
    np.testing.assert_array_equal(network.q_values(states, goals), expected)
    assert len(calls) == -(-130 // chunk)
    np.testing.assert_array_equal(network.act(states, goals), expected.argmax(axis=1))
    for array, other in zip(
        rollout(env, network, 130, np.random.default_rng(1), no_revisit=True), episodes, strict=True
    ):
        np.testing.assert_array_equal(array, other)
