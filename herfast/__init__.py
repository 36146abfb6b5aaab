"""Hindsight Experience Replay with Double DQN for bit goals, on a compiled core.

    from herfast import Agent, BitFlip
    agent = Agent(BitFlip(n_bits=50), preset="fast", seed=0).learn(until=0.99, progress_bar=True)

Importing herfast registers the Gymnasium ids and compiles nothing. Public names are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import gymnasium

if TYPE_CHECKING:
    from herfast.callbacks.tensorboard import TensorBoard
    from herfast.callbacks.text_logs import JsonLines
    from herfast.common.batches import Minibatches, Trajectories
    from herfast.common.bits import pack_bits, unpack_bits
    from herfast.config import Config
    from herfast.dqn.agent import Agent
    from herfast.dqn.diagnosis import Diagnosis
    from herfast.dqn.evaluation import Evaluation
    from herfast.envs.base import GoalEnv
    from herfast.envs.bit_flip import BitFlip
    from herfast.envs.goal_task import GoalTask
    from herfast.envs.grid_world import GridWorld
    from herfast.envs.gym_task.task import GymnasiumTask
    from herfast.envs.lights_out import LightsOut
    from herfast.envs.registry import make_env, register_env
    from herfast.experiments.sweep import sweep
    from herfast.networks.q_network import QNetwork
    from herfast.replay.hindsight_replay import HindsightReplay
    from herfast.version import __version__ as __version__

__all__ = [
    "Agent",
    "BitFlip",
    "Config",
    "Diagnosis",
    "Evaluation",
    "GoalEnv",
    "GoalTask",
    "GridWorld",
    "GymnasiumTask",
    "HindsightReplay",
    "JsonLines",
    "LightsOut",
    "Minibatches",
    "QNetwork",
    "TensorBoard",
    "Trajectories",
    "make_env",
    "pack_bits",
    "register_env",
    "sweep",
    "unpack_bits",
]

# The module of each public name.
_EXPORTS = {
    "__version__": "version",
    "Agent": "dqn.agent",
    "BitFlip": "envs.bit_flip",
    "Config": "config",
    "Diagnosis": "dqn.diagnosis",
    "Evaluation": "dqn.evaluation",
    "GoalEnv": "envs.base",
    "GoalTask": "envs.goal_task",
    "GridWorld": "envs.grid_world",
    "GymnasiumTask": "envs.gym_task.task",
    "HindsightReplay": "replay.hindsight_replay",
    "JsonLines": "callbacks.text_logs",
    "LightsOut": "envs.lights_out",
    "Minibatches": "common.batches",
    "QNetwork": "networks.q_network",
    "TensorBoard": "callbacks.tensorboard",
    "Trajectories": "common.batches",
    "make_env": "envs.registry",
    "pack_bits": "common.bits",
    "register_env": "envs.registry",
    "sweep": "experiments.sweep",
    "unpack_bits": "common.bits",
}

# Gymnasium ids. "GoalEnv" takes any environment as goal_env, the others name theirs.
for _name, _kwargs in {
    "BitFlip": {"goal_env": "BitFlip"},
    "GridWorld": {"goal_env": "GridWorld"},
    "LightsOut": {"goal_env": "LightsOut"},
    "GoalEnv": {},
}.items():
    gymnasium.register(
        id=f"herfast/{_name}-v0",
        entry_point="herfast.envs.gym.env:GymGoalEnv",
        vector_entry_point="herfast.envs.gym.vector_env:GymGoalVectorEnv",
        kwargs=_kwargs,
    )


def __getattr__(name: str) -> object:
    """Import a public name at its first use."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'herfast' has no attribute {name!r}")
    value: object = getattr(import_module(f"herfast.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
