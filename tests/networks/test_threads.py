"""Calls in several threads give the same bits as in one."""

import copy
import pickle
import threading

import numpy as np
import pytest
from support.network_reference import random_minibatches, random_packed
from support.processes import run_python

from herfast import Agent, BitFlip, Config, QNetwork
from herfast.networks.compiled import thread_pool

THREADS = [2, 3, 4, 7]
SETTINGS = {
    "one layer": {"hidden": (100,)},
    "two layers": {"hidden": (40, 100)},
    "gap and bound": {"hidden": (100,), "advantage_gap": 0.5, "hindsight_bound": True},
    "single DQN": {"hidden": (70,), "double_q": False},
    "dueling": {"hidden": (100,), "dueling": True, "polyak": 0.5},
    "deep and dueling": {"hidden": (33, 70, 40), "dueling": True, "advantage_gap": 0.5},
}
SIZES = [  # state bits, goal bits, actions, samples
    (1, 1, 1, 1),
    (9, 7, 5, 33),
    (63, 63, 64, 65),
    (65, 64, 3, 129),
    (130, 129, 128, 128),
]


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """Return a new pool, which gives all threads that are wanted at any time."""
    pool = thread_pool._Pool()
    monkeypatch.setattr(thread_pool, "_pool", pool)
    monkeypatch.setattr(thread_pool, "n_processors", lambda: 100)
    monkeypatch.setattr(thread_pool.SharedCall, "_is_next_shared", lambda self: True)
    return pool


def flat_vectors(network):
    return {name: flat.tobytes() for name, flat in network._flats().items()}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_updates_in_threads_give_the_same_bits(sizes, settings, pool):
    *bits, n_actions, batch_size = sizes
    config = Config(**SETTINGS[settings], target_update=2)
    batches = random_minibatches(np.random.default_rng(0), 5, batch_size, *bits, n_actions)
    expected = QNetwork(*bits, n_actions, config=config, seed=0, threads=1)
    losses = expected.fit(batches)
    for threads in THREADS:
        network = QNetwork(*bits, n_actions, config=config, seed=0, threads=threads)
        assert network.fit(batches).tolist() == losses.tolist(), threads
        assert flat_vectors(network) == flat_vectors(expected), threads
        assert network.updates == 5
        assert len(pool._free) == threads - 1


@pytest.mark.parametrize("hidden", [(40,), (33, 70)])
@pytest.mark.parametrize("n_envs", [0, 1, 31, 32, 33, 64, 65, 300])
def test_acting_in_threads_gives_the_same_bits(n_envs, hidden, pool):
    rng = np.random.default_rng(0)
    states, goals = random_packed(rng, n_envs, n_bits=70), random_packed(rng, n_envs, n_bits=70)
    active = np.flatnonzero(rng.random(n_envs) < 0.7)
    results = []
    for threads in (1, *THREADS):
        network = QNetwork(70, config=Config(hidden=hidden), seed=0, threads=threads)
        policy = network.greedy_policy(n_envs)
        actions = np.zeros(n_envs, np.uint16)
        values = policy.act(states, goals, active, actions)[:, : active.size].tobytes()
        moved = states ^ np.uint64(5)
        values += policy.act(moved, goals, active, actions)[:, : active.size].tobytes()
        results.append((values, actions.tobytes(), network.q_values(states, goals).tobytes()))
        assert len(pool._free) == threads - 1
    assert results == [results[0]] * len(results)


@pytest.mark.parametrize("preset", ["fast", "paper", "notebook"])
def test_training_does_not_depend_on_the_threads(preset):
    settings = {"cycles_per_epoch": 2, "updates_per_cycle": 4, "batch_size": 70, "hidden": (100,)}
    agents = [Agent(BitFlip(9), preset, 0, threads=threads, **settings) for threads in (1, 2, 3)]
    for agent in agents:
        agent.learn(epochs=2)
        assert flat_vectors(agent.network) == flat_vectors(agents[0].network)
        assert agent.history["loss"].tolist() == agents[0].history["loss"].tolist()
        assert agent.evaluate(100, seed=0) == agents[0].evaluate(100, seed=0)


def test_the_number_may_be_set_later_and_is_not_saved(tmp_path):
    agent = Agent(BitFlip(8), "notebook", 0, hidden=(40,))
    assert agent.threads is None
    agent.threads = 3
    assert (agent.threads, agent.network.threads) == (3, 3)
    assert copy.deepcopy(agent.network).threads == 3
    assert pickle.loads(pickle.dumps(agent.network)).threads == 3
    agent.save(tmp_path / "agent", replay=True)
    assert Agent.load(tmp_path / "agent").threads is None
    assert Agent.load(tmp_path / "agent", threads=2).threads == 2
    with pytest.raises(ValueError, match=r"^threads must be from 1 to 1,024, got 0$"):
        agent.threads = 0
    assert agent.threads == 3


def test_networks_in_threads_of_the_user_train_at_the_same_time():
    config = Config(hidden=(100,))
    batches = random_minibatches(np.random.default_rng(0), 40, 65, 20, 20, 20)
    networks = [QNetwork(20, config=config, seed=0, threads=2) for _ in range(4)]
    workers = [threading.Thread(target=network.fit, args=(batches,)) for network in networks]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expected = QNetwork(20, config=config, seed=0, threads=1)
    expected.fit(batches)
    assert [flat_vectors(network) for network in networks] == [flat_vectors(expected)] * 4


def test_a_forked_process_trains_in_threads(tmp_path):
    code = """
import os, sys
import numpy as np
from herfast import Agent, BitFlip
settings = dict(hidden=(100,), cycles_per_epoch=1, updates_per_cycle=4)
agent = Agent(BitFlip(9), "notebook", 0, threads=2, **settings).learn(epochs=1)
child = os.fork()
loss = agent.learn(epochs=1).history["loss"].tolist()
if child:
    assert os.waitpid(child, 0)[1] == 0  # so that the lines do not mix
print(loss, flush=True)
"""
    lines = run_python(code, tmp_path).stdout.splitlines()
    assert len(lines) == 2
    assert lines[0] == lines[1]


def test_divergence_ends_a_run_in_threads_as_in_one():
    agent = Agent(BitFlip(9), "notebook", 0, threads=2, hidden=(100,))
    agent.network.parameters()["output.bias"][...] = np.nan
    with pytest.raises(FloatingPointError, match="no longer finite"):
        agent.learn(epochs=2)
