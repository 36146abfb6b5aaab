"""Tests of objects in parallel threads and in forked processes."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.network_reference import random_minibatches, random_packed
from support.processes import run_python
from support.trajectories import numbered_episodes

from herfast import Agent, BitFlip, Config, HindsightReplay, JsonLines, Minibatches, QNetwork
from herfast.envs.gym.env import GymGoalEnv
from herfast.envs.gym.vector_env import GymGoalVectorEnv

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
                f"{name} was called while another thread uses this Agent: give each thread its own"
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


def test_a_replay_buffer_can_be_filled_and_sampled_in_two_threads():
    """The parts of a transition of `numbered_episodes` determine each other."""
    replay = HindsightReplay(2_000, 50, strategy="final", k=1, seed=0)
    replay.add(numbered_episodes(30, 40))
    end = threading.Event()

    def add_episodes():
        for first in range(0, 40_000, 30):
            replay.add(numbered_episodes(30, 40, first_episode=first % 60_000))
        end.set()

    torn = 0
    thread = threading.Thread(target=add_episodes)
    thread.start()
    while not end.is_set():
        batches = replay.sample(10, 128)
        torn += np.count_nonzero(batches.next_states != batches.states + np.uint64(1))
        torn += np.count_nonzero((batches.states[..., 0] & np.uint64(0xFFFF)) != batches.actions)
    thread.join()
    assert torn == 0


def test_q_values_of_two_threads_are_those_between_two_updates():
    rng = np.random.default_rng(0)
    batches = random_minibatches(rng, 60, 32, 50, 50, 50)
    states = random_packed(rng, 40, n_bits=50)
    goals = random_packed(rng, 40, n_bits=50)
    network, other = (QNetwork(50, config=Config(hidden=(256,)), seed=0) for _ in range(2))
    expected = {other.q_values(states, goals).tobytes()}
    for u in range(60):
        other.fit(Minibatches(*(array[u : u + 1] for array in batches)))
        expected.add(other.q_values(states, goals).tobytes())
    end = threading.Event()

    def predict():
        found = set()
        while not end.is_set():
            found.add(network.q_values(states, goals).tobytes())
        return found

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(predict) for _ in range(3)]
        for u in range(60):
            network.fit(Minibatches(*(array[u : u + 1] for array in batches)))
        end.set()
        for future in futures:
            assert future.result() <= expected


FORK = """
import os, threading
import numpy as np
from herfast import Agent, BitFlip

agent = Agent(BitFlip(6), "notebook", 0, hidden=(16,), updates_per_cycle=5, batch_size=16)
observation = {"observation": np.zeros(6, np.int8), "desired_goal": np.ones(6, np.int8)}

def child(call):
    pid = os.fork()
    if pid == 0:
        try:
            call()
        except BaseException as error:
            os.write(1, f"{type(error).__name__}: {error}\\n".encode())
        else:
            os.write(1, b"returned\\n")
        os._exit(0)
    os.waitpid(pid, 0)

training, forked = threading.Event(), threading.Event()

def wait(agent):
    training.set()
    forked.wait()
    return False

thread = threading.Thread(target=lambda: agent.learn(epochs=1, callback=wait))
thread.start()
training.wait()
child(lambda: agent.predict(observation))
forked.set()
thread.join()
child(lambda: agent.predict(observation))
agent.learn(epochs=1, callback=lambda agent: child(lambda: agent.predict(observation)) or False)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_process_does_not_wait_for_a_thread_that_it_does_not_have(tmp_path):
    """It can use an agent that no other thread used."""
    lines = run_python(FORK, tmp_path, PYTHONWARNINGS="ignore").stdout.splitlines()
    assert lines == [
        "RuntimeError: this Agent may be incomplete: another thread used it when the process was forked; "
        "create or load it in the new process",
        "returned",
        "returned",
    ]


class Waiting:
    """Agent of a log whose history waits, in the first thread that reads it."""

    def __init__(self):
        self.reading, self.released = threading.Event(), threading.Event()

    @property
    def history(self):
        self.reading.set()
        self.released.wait()
        return {}


def test_a_log_of_two_threads_raises(tmp_path):
    log, agent = JsonLines(tmp_path / "log.jsonl"), Waiting()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(log, agent)
        agent.reading.wait()
        for call in (lambda: log(agent), log.close):
            with pytest.raises(RuntimeError, match="was called while another thread uses this JsonLines"):
                call()
        agent.released.set()
    log.close()


@pytest.mark.parametrize(
    "env",
    [GymGoalEnv(BitFlip(6)), GymGoalVectorEnv(3, goal_env=BitFlip(6))],
    ids=["single", "vector"],
)
@pytest.mark.parametrize("method", ["reset", "step"])
def test_a_gymnasium_environment_of_two_threads_raises(env, method):
    env.reset(seed=0)
    env._thread_guard.enter("env", wait=False)
    arguments = () if method == "reset" else (0,)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(getattr(env, method), *arguments)
        with pytest.raises(RuntimeError, match=f"^{method} was called while another thread"):
            future.result()
    env._thread_guard.leave()
