"""Tests of the memory that loading an agent needs."""

import tracemalloc

import numpy as np
import pytest
from support.small_agents import SMALL_SETTINGS, small_agent

from herfast import Agent, BitFlip
from herfast.common.seeding import Role
from herfast.dqn import memory_budget

LARGE = 100_000_000  # records of 24 bytes


@pytest.fixture
def peak_memory():
    """Function that makes a call; returns its result and the peak of memory."""

    def measure(function, *args, **kwargs):
        tracemalloc.start()
        try:
            result = function(*args, **kwargs)
            return result, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measure


@pytest.fixture
def large_file(tmp_path):
    agent = Agent(BitFlip(6), "notebook", 0, **SMALL_SETTINGS, capacity=LARGE)
    agent.learn(epochs=1)
    agent.save(tmp_path / "agent")
    agent.save(tmp_path / "checkpoint", replay=True)
    return tmp_path


@pytest.mark.parametrize("name", ["agent", "checkpoint"])
def test_loading_to_play_needs_no_memory_for_the_replay_buffer(name, large_file, monkeypatch, peak_memory):
    monkeypatch.setattr(memory_budget, "available_memory", lambda: 10**8)
    agent, peak = peak_memory(Agent.load, large_file / name, replay=False)
    assert peak < 10**7
    assert agent.evaluate(20).n_episodes == 20
    observation = {"observation": np.zeros(6, np.int8), "desired_goal": np.ones(6, np.int8)}
    agent.predict(observation)
    agent.diagnose()
    agent.save(large_file / "again")
    with pytest.raises(MemoryError, match=r"of memory is available and the agent needs 2\.4 GB"):
        agent.learn(epochs=1)
    if name == "checkpoint":
        with pytest.raises(MemoryError, match="cannot be loaded"):
            Agent.load(large_file / name)


def test_an_agent_loaded_without_its_replay_buffer_can_be_trained(large_file):
    agent = Agent.load(large_file / "agent")
    agent.learn(epochs=1)
    assert len(agent.replay) > 0
    assert agent.replay.rng is agent.streams[Role.REPLAY]


def test_an_agent_loaded_without_its_training_state_plays_as_the_saved_one(tmp_path):
    agent = small_agent().learn(epochs=2)
    agent.save(tmp_path / "checkpoint", replay=True)
    loaded = Agent.load(tmp_path / "checkpoint", replay=False)
    assert loaded.cycles == 0
    assert loaded.evaluate(50, seed=1) == agent.evaluate(50, seed=1)
    assert not loaded.network.parameters("moment1")["output.bias"].any()


def test_loading_a_checkpoint_holds_the_replay_buffer_once(tmp_path, monkeypatch, peak_memory):
    monkeypatch.setattr("herfast.replay.hindsight_replay.MAX_COPY_BYTES", 2**20)
    capacity = 2_000_000
    agent = small_agent(capacity=capacity)
    records, cursor = agent.replay.records, agent.replay.cursor
    records[:, 2] = np.tile(np.array([1 << 32, 1 << 16], np.uint64), capacity // 2)
    cursor[:] = 0, capacity, capacity // 2
    agent.save(tmp_path / "checkpoint", replay=True)
    loaded, peak = peak_memory(Agent.load, tmp_path / "checkpoint")
    assert (loaded.replay.records == records).all()
    assert records.nbytes <= peak < 1.1 * records.nbytes
