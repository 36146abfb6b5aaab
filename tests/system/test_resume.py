"""Training that another process continues equals uninterrupted training."""

import subprocess
import sys

import pytest
from support.files import read_tensors

from herfast import Agent, BitFlip

SETTINGS = {
    "hidden": (16, 8),
    "episodes_per_cycle": 4,
    "updates_per_cycle": 5,
    "cycles_per_epoch": 3,
    "batch_size": 16,
    "capacity": 101,  # a prime; the ring is full after two epochs
    "epsilon": "linear",
    "epsilon_decay_steps": 300,
    "learning_rate_end": 1e-5,
    "learning_rate_decay_updates": 80,
    "target_update": 7,
    "polyak": 0.3,
    "until": None,
}
EPOCHS = 6
CONTINUE = """
import sys
from herfast import Agent
path, epochs = sys.argv[1:]
agent = Agent.load(path)
agent.learn(epochs=int(epochs))
agent.save(path, replay=True)
"""


def content_without_seconds(path):
    """Return tensors and metadata of a file, without the measured seconds."""
    tensors, metadata = read_tensors(path)
    tensors.pop("history.seconds")
    return {name: array.tobytes() for name, array in tensors.items()}, metadata


@pytest.mark.parametrize("preset", ["notebook", "paper", "fast"])
def test_two_processes_give_the_result_of_one(preset, tmp_path):
    """The first one stops before or after the ring is full.

    Epsilon and learning rate follow their schedules across the stop.
    """
    agent = Agent(BitFlip(8), preset, 4, **SETTINGS).learn(epochs=EPOCHS)
    assert agent.replay.cursor[1] == 101
    assert agent.env_steps + agent.episodes > 202
    assert len(set(agent.history["epsilon"])) > 9
    assert len(set(agent.history["learning_rate"])) > 12
    agent.save(tmp_path / "whole", replay=True)
    for first in (1, 2, 5):
        path = tmp_path / f"after {first}"
        Agent(BitFlip(8), preset, 4, **SETTINGS).learn(epochs=first).save(path, replay=True)
        subprocess.run([sys.executable, "-c", CONTINUE, path, str(EPOCHS - first)], cwd=tmp_path, check=True)
        assert content_without_seconds(path) == content_without_seconds(tmp_path / "whole"), first


def test_a_chain_of_processes_gives_the_result_of_one(tmp_path):
    """The first process only saves the new agent. Three others train one epoch each."""
    path = tmp_path / "agent"
    Agent(BitFlip(8), "fast", 4, **SETTINGS).save(path, replay=True)
    for _ in range(3):
        subprocess.run([sys.executable, "-c", CONTINUE, path, "1"], cwd=tmp_path, check=True)
    Agent(BitFlip(8), "fast", 4, **SETTINGS).learn(epochs=3).save(tmp_path / "whole", replay=True)
    assert content_without_seconds(path) == content_without_seconds(tmp_path / "whole")
