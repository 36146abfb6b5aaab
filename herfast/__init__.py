"""Hindsight Experience Replay with Double DQN for goals made of bits, on a compiled core.

    from herfast import Agent, BitFlip
    agent = Agent(BitFlip(n_bits=50), preset="fast", seed=0).learn(until=0.99, progress_bar=True)

Importing herfast registers the Gymnasium ids and compiles nothing; each public name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import gymnasium

if TYPE_CHECKING:
    from herfast.agent import Agent
    from herfast.bits import pack_bits, unpack_bits
    from herfast.callbacks import JsonLines, TensorBoard
    from herfast.config import Config
    from herfast.data import Minibatches, Trajectories
    from herfast.diagnosis import Diagnosis
    from herfast.envs import BitFlip, GoalEnv
    from herfast.evaluation import Evaluation
    from herfast.network import QNetwork
    from herfast.replay import HindsightReplay
    from herfast.sweeps import sweep

__all__ = [
    "Agent",
    "BitFlip",
    "Config",
    "Diagnosis",
    "Evaluation",
    "GoalEnv",
    "HindsightReplay",
    "JsonLines",
    "Minibatches",
    "QNetwork",
    "TensorBoard",
    "Trajectories",
    "pack_bits",
    "sweep",
    "unpack_bits",
]

_ROOMS = {
    "Agent": "agent",
    "BitFlip": "envs",
    "Config": "config",
    "Diagnosis": "diagnosis",
    "Evaluation": "evaluation",
    "GoalEnv": "envs",
    "HindsightReplay": "replay",
    "JsonLines": "callbacks",
    "Minibatches": "data",
    "QNetwork": "network",
    "TensorBoard": "callbacks",
    "Trajectories": "data",
    "pack_bits": "bits",
    "sweep": "sweeps",
    "unpack_bits": "bits",
}

try:
    __version__ = version("herfast")
except PackageNotFoundError:  # imported from a source folder that was never installed; `_core` will say so
    __version__ = "0+unknown"

gymnasium.register(
    id="herfast/BitFlip-v0",
    entry_point="herfast.gym_envs:BitFlipEnv",
    vector_entry_point="herfast.gym_envs:BitFlipVectorEnv",
)


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'herfast' has no attribute {name!r}")
    value: object = getattr(import_module(f"herfast.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
