"""Tests of agents in parallel threads, and of two threads that use one agent."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from herfast import Agent, BitFlip

SMALL = {
    "hidden": (16,),
    "episodes_per_cycle": 4,
    "updates_per_cycle": 5,
    "cycles_per_epoch": 4,
    "batch_size": 16,
}


def trained_state(seed):
    """Train a small agent; return its history, weights, replay buffer and evaluation."""
    agent = Agent(BitFlip(6 + 20 * seed), ("notebook", "paper", "fast")[seed % 3], seed, **SMALL, until=None)
    agent.learn(epochs=3)
    history = {name: column for name, column in agent.history.items() if name != "seconds"}
    weights = [agent.network.parameters(which) for which in ("online", "target", "moment1", "moment2")]
    return [array.tobytes() for table in (history, *weights) for array in table.values()] + [
        agent.replay.records.tobytes(),
        agent.evaluate(20),
    ]


def test_eight_agents_in_eight_threads_train_as_they_do_one_after_the_other():
    sequential = [trained_state(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(trained_state, range(8))) == sequential


OBSERVATION = {"observation": np.zeros(6, np.int8), "desired_goal": np.ones(6, np.int8)}
CALLS = {
    "learn": lambda agent, path: agent.learn(epochs=1),
    "evaluate": lambda agent, path: agent.evaluate(5),
    "predict": lambda agent, path: agent.predict(OBSERVATION),
    "diagnose": lambda agent, path: agent.diagnose(),
    "save": lambda agent, path: agent.save(path, replay=True),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_from_a_second_thread_raises_and_changes_nothing(name, tmp_path):
    """The first thread is training the agent. Its own callback may use the agent."""
    agent, other = (Agent(BitFlip(6), "notebook", 0, **SMALL) for _ in range(2))
    with ThreadPoolExecutor(1) as pool:

        def call_from_second_thread(agent):
            with pytest.raises(RuntimeError) as caught:
                pool.submit(CALLS[name], agent, tmp_path / "agent").result()
            assert str(caught.value) == (
                f"{name} was called while another thread uses this agent: give each thread its own"
            )
            agent.predict(OBSERVATION)
            agent.save(tmp_path / "from the callback")

        agent.learn(epochs=2, callback=call_from_second_thread)
        pool.submit(CALLS[name], agent, tmp_path / "agent").result()  # allowed after training
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["from the callback", *(["agent"] if name == "save" else [])]
    )
    if name in ("diagnose", "predict", "save"):
        other.learn(epochs=2)
        assert agent.evaluate(20) == other.evaluate(20)
        for part, array in agent.network.parameters().items():
            np.testing.assert_array_equal(array, other.network.parameters()[part])


def test_an_error_releases_the_agent_for_other_threads():
    agent = Agent(BitFlip(6), "notebook", 0, **SMALL)

    def fail(agent):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        agent.learn(epochs=1, callback=fail)
    found = []
    thread = threading.Thread(target=lambda: found.append(agent.evaluate(5)))
    thread.start()
    thread.join()
    assert len(found) == 1
