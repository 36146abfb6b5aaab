"""Success rates after a stated number of updates, with negative controls."""

import numpy as np
import pytest

from herfast import Agent, BitFlip

pytestmark = pytest.mark.slow


def success_by_epoch(agent):
    history = agent.history
    return [history["success"][history["epoch"] == epoch].mean() for epoch in np.unique(history["epoch"])]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_notebook_solves_20_bits(seed):
    """Success of the training episodes, exploration included.

    An epoch is 2,000 updates.
    """
    success = success_by_epoch(Agent(BitFlip(20), "notebook", seed).learn(epochs=6))
    assert success[2] >= 0.90, success
    assert success[5] >= 0.99, success


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_notebook_without_hindsight_fails_at_20_bits(seed):
    success = success_by_epoch(Agent(BitFlip(20), "notebook", seed, k=0).learn(epochs=6))
    assert max(success) < 0.02, success


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fast_solves_50_bits_within_2_000_updates(seed):
    agent = Agent(BitFlip(50), "fast", seed, until=None)  # which may stop at a lucky evaluation
    agent.learn(epochs=25)
    evaluation = agent.evaluate(1000, seed=seed + 100)
    assert agent.network.updates == 2_000
    assert evaluation.success_rate >= 0.99, evaluation


@pytest.mark.parametrize(("n_bits", "updates"), [(20, 900), (50, 1_500), (100, 3_900), (128, 6_600)])
def test_fast_stops_once_solved(n_bits, updates):
    agent = Agent(BitFlip(n_bits), "fast", 0).learn()
    assert agent.solved
    assert agent.network.updates <= updates
    assert agent.history["greedy_success"][-1] >= 0.99
    assert agent.evaluate(1000, seed=100).success_rate >= 0.98


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fast_without_hindsight_fails_at_20_bits(seed):
    """It makes ten times the updates that solve 20 bits with hindsight."""
    solved = Agent(BitFlip(20), "fast", seed).learn()
    agent = Agent(BitFlip(20), "fast", seed, k=0).learn(epochs=10 * solved.history.total("epoch"))
    assert agent.network.updates == 10 * solved.network.updates
    assert agent.evaluate(1000, seed=seed + 100).success_rate < 0.05


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_paper_solves_13_bits(seed):
    """The preset evaluates the target network, without terminal mask and Double DQN.

    An epoch is 2,000 updates.
    """
    agent = Agent(BitFlip(13), "paper", seed).learn(epochs=8)
    assert agent.evaluate(1000, seed=seed + 100).success_rate >= 0.98


def test_paper_solves_50_bits():
    """110 of its 200 epochs suffice. Without a terminal mask training is slow."""
    agent = Agent(BitFlip(50), "paper", 0).learn(epochs=110)
    assert agent.evaluate(1000, seed=100).success_rate >= 0.95


def test_paper_without_hindsight_fails_at_15_bits():
    agent = Agent(BitFlip(15), "paper", 0, k=0).learn(epochs=20)
    assert agent.evaluate(1000, seed=100).success_rate < 0.02


@pytest.mark.parametrize("strategy", ["future", "final", "episode"])
def test_goals_of_the_same_episode_solve_10_bits(strategy):
    agent = Agent(BitFlip(10), "notebook", 0, strategy=strategy, k=4).learn(epochs=2)
    assert agent.evaluate(1000, seed=100).success_rate >= 0.98


def test_random_goals_help_less():
    """Goals of other episodes are mostly unreachable (HER paper, section 4.5)."""
    agent = Agent(BitFlip(10), "notebook", 0, strategy="random", k=4).learn(epochs=2)
    assert agent.evaluate(1000, seed=100).success_rate < 0.95
