"""Tests of the memory estimate, and of the error raised before any allocation."""

import re
import tracemalloc

import numpy as np
import pytest
from support.small_agents import SMALL_SETTINGS

from herfast import Agent, BitFlip, Config
from herfast.dqn import memory_budget
from herfast.dqn.rollout import rollout
from herfast.networks.arrays import scratch, workspace

SHAPES = [
    (50, {}),
    (20, {"preset": "notebook"}),
    (130, {"preset": "paper", "capacity": 131}),
    (20, {"hidden": (64,) * 8}),
    (20, {"hidden": (400, 33), "dueling": False, "batch_size": 1000}),
    (10, {"hidden": (96,), "batch_size": 4096, "episodes_per_cycle": 1}),
    (5, {"hidden": (33, 700), "episodes_per_cycle": 1000}),
    (1000, {"hidden": (32,), "batch_size": 1, "episodes_per_cycle": 1}),
]


def n_bytes(arrays):
    """Return the bytes of all arrays in a nested tuple."""
    if isinstance(arrays, np.ndarray):
        return arrays.nbytes
    if isinstance(arrays, tuple):
        return sum(map(n_bytes, arrays))
    return 0


def allocated_bytes(agent):
    """Return the bytes of all arrays of a cycle of the agent. Views do not count."""
    network, config, env = agent.network, agent.config, agent.env
    trajectories = rollout(env, network, config.episodes_per_cycle, np.random.default_rng(0))
    agent.replay.add(trajectories)
    work = workspace(config.batch_size, network._shape, with_gap=config.advantage_gap > 0)
    scratches = [
        work._replace(d_z=None),  # a view of h_next
        scratch(config.episodes_per_cycle, network._shape),
    ]
    policy = network.greedy_policy(config.episodes_per_cycle)
    networks = [network._online, network._target, network._adam]
    if not config.dueling:
        networks = [networks[0].params, networks[1].params, networks[2]._replace(d_head=())]
    return {
        "trajectories": n_bytes(trajectories),
        "replay buffer": agent.replay.records.nbytes,
        "minibatches": n_bytes(agent.replay.sample(config.updates_per_cycle, config.batch_size)),
        "network": n_bytes((*networks, *scratches, policy._z)),
    }


@pytest.mark.parametrize(("n_bits", "settings"), SHAPES)
def test_the_estimate_agrees_with_the_allocated_bytes(n_bits, settings):
    agent = Agent(BitFlip(n_bits), seed=0, **settings)
    estimate = memory_budget.estimate_memory(agent.env, agent.config)
    expected = allocated_bytes(agent)
    assert estimate.keys() == expected.keys()
    for part, size in expected.items():
        assert estimate[part] == pytest.approx(size, rel=0.12), part


TOO_LARGE = [
    (BitFlip(50, 65_535), {"episodes_per_cycle": 2**20}, "trajectories", "max_steps or episodes_per_cycle"),
    (BitFlip(50), {"capacity": 2**40}, "replay buffer", "capacity"),
    (
        BitFlip(50),
        {"updates_per_cycle": 2**20, "batch_size": 2**14},
        "minibatches",
        "updates_per_cycle or batch_size",
    ),
    (BitFlip(50), {"hidden": (65_536, 65_536)}, "network", "hidden"),
    (BitFlip(65_535), {"hidden": (1024,)}, "trajectories", "max_steps or episodes_per_cycle"),
    (BitFlip(65_535), {"episodes_per_cycle": 1, "hidden": (64,)}, "replay buffer", "capacity"),
    (BitFlip(65_535), {"episodes_per_cycle": 1, "capacity": 65_536}, "network", "hidden"),
]


@pytest.mark.parametrize(("env", "settings", "part", "remedy"), TOO_LARGE)
def test_an_agent_that_needs_too_much_memory_raises_before_allocation(
    monkeypatch, env, settings, part, remedy
):
    monkeypatch.setattr(memory_budget, "available_memory", lambda: 10**9)
    tracemalloc.start()
    try:
        with pytest.raises(MemoryError) as caught:
            Agent(env, seed=0, **settings)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith("1 GB of memory is available and the agent needs ")
    assert re.search(rf"[GT]B, of which \d\S* [GT]B for the {part}: lower {remedy}$", message)
    assert peak < 10_000_000


def test_the_error_names_the_field_to_lower(monkeypatch):
    monkeypatch.setattr("herfast.dqn.memory_budget.available_memory", lambda: 10_000_000)
    with pytest.raises(MemoryError, match=r"needs .* GB, .* for the replay buffer: lower capacity"):
        Agent(BitFlip(50), capacity=10**9)
    with pytest.raises(MemoryError, match=r"trajectories.*lower max_steps or episodes_per_cycle"):
        Agent(BitFlip(50, max_steps=60_000), capacity=60_001, episodes_per_cycle=1000)
    Agent(BitFlip(4), **SMALL_SETTINGS, capacity=1000)


@pytest.mark.parametrize(("available", "text"), [(0, "0 bytes"), (640_000, "640 kB"), (880_000, "880 kB")])
def test_the_error_shows_small_sizes(monkeypatch, available, text):
    monkeypatch.setattr(memory_budget, "available_memory", lambda: available)
    with pytest.raises(
        MemoryError, match=rf"^{text} of memory is available and the agent needs 887 kB, of which 688 kB "
    ):
        Agent(BitFlip(50), preset="notebook", capacity=500, hidden=(128,))


def test_an_agent_that_needs_exactly_the_available_memory_is_accepted(monkeypatch):
    env, config = BitFlip(20), Config()
    needed = sum(memory_budget.estimate_memory(env, config).values())
    monkeypatch.setattr(memory_budget, "available_memory", lambda: needed)
    memory_budget.check_memory(env, config)
    monkeypatch.setattr(memory_budget, "available_memory", lambda: needed - 1)
    with pytest.raises(MemoryError):
        memory_budget.check_memory(env, config)


def test_every_agent_is_accepted_if_the_available_memory_is_unknown(monkeypatch):
    monkeypatch.setattr(memory_budget, "available_memory", lambda: None)
    memory_budget.check_memory(BitFlip(65_535), Config(capacity=2**40, hidden=(65_536,) * 8))
