"""Success of preset `fast` on other tasks, after a stated number of updates."""

import sys
from pathlib import Path

import pytest

from herfast import Agent, GridWorld, LightsOut
from herfast.envs.registry import make_env

pytestmark = pytest.mark.slow

FOUR_ROOMS = GridWorld("four_rooms", max_steps=60)
EXAMPLES = Path(__file__).parents[2] / "examples"


def env_label(value):
    """Return the label of an environment, and other values as they are."""
    return getattr(value, "label", str(value))


@pytest.mark.parametrize(
    ("env", "updates", "success"),
    [(FOUR_ROOMS, 10_000, 0.99), (LightsOut(3, 3), 12_000, 0.98)],
    ids=env_label,
)
def test_fast_stops_once_solved(env, updates, success):
    agent = Agent(env, "fast", 0).learn()
    assert agent.solved
    assert agent.network.updates <= updates
    assert agent.evaluate(10_000, seed=100).success_rate >= success


def test_fast_learns_lights_out_5x5_up_to_5_presses():
    agent = Agent(LightsOut(5, 5, presses=5), "fast", 0, until=None).learn(epochs=50)
    assert agent.network.updates == 20_000
    assert agent.evaluate(10_000, seed=100).success_rate >= 0.95


@pytest.mark.parametrize(
    ("env", "epochs", "success"),
    [(FOUR_ROOMS, 5, 0.3), (LightsOut(3, 3), 30, 0.1), (LightsOut(5, 5, presses=5), 10, 0.1)],
    ids=env_label,
)
def test_fast_without_hindsight_fails_or_takes_longer(env, epochs, success):
    """An epoch is 400 updates."""
    agent = Agent(env, "fast", 0, k=0, until=None).learn(epochs=epochs)
    assert agent.evaluate(1_000, seed=100).success_rate < success


def test_inputs_of_plus_and_minus_one_are_wrong_for_one_hot_states():
    agent = Agent(FOUR_ROOMS, "fast", 0, encoding="signed", until=None).learn(epochs=10)
    assert agent.evaluate(1_000, seed=100).success_rate < 0.5


@pytest.mark.parametrize(
    ("spec", "updates", "success"),
    [
        ({"id": "towers_of_hanoi:TowersOfHanoi"}, 2_400, 0.99),
        ({"id": "sliding_puzzle:SlidingPuzzle", "moves": 5}, 12_000, 0.97),
    ],
    ids=["hanoi", "puzzle"],
)
def test_fast_learns_the_example_tasks(spec, updates, success, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(EXAMPLES)])
    agent = Agent(make_env(spec), "fast", 0).learn(epochs=updates // 400, until=0.995)
    assert agent.network.updates <= updates
    assert agent.evaluate(1_000, seed=100).success_rate >= success
