"""Settings of a DQN, from the arguments of Stable-Baselines3's or from a preset."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from herfast.config import Config
from herfast.presets import Preset
from herfast.sb3.dqn_arguments import FIELDS, Arguments, Default, Defaults
from herfast.sb3.her_replay_buffer import HerReplayBuffer
from herfast.sb3.vec_env import VecTask

NEVER = 2**62  # updates between two updates of the target network, if environment steps are counted instead
_EXPLORATION = ("exploration_fraction", "exploration_initial_eps", "exploration_final_eps")


@dataclass(frozen=True)
class Settings:
    """Settings of a DQN, from its arguments or a preset."""

    config: Config
    buffer_size: int
    learning_starts: int
    train_freq: int | tuple[int, str]
    gradient_steps: int
    target_update_interval: int | None  # in environment steps; with None Config counts updates
    tau: float
    is_linear: bool  # exploration as Stable-Baselines3's, and not as Config's
    exploration_fraction: float
    exploration_initial_eps: float
    exploration_final_eps: float

    def attributes(self) -> dict[str, Any]:
        """Return the attributes that Stable-Baselines3's DQN has for them."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del own["config"], own["is_linear"]
        return {
            **own,
            "learning_rate": self.config.learning_rate,
            "batch_size": self.config.batch_size,
            "gamma": self.config.gamma,
            "replay_buffer_class": HerReplayBuffer if self.config.k > 0 else None,
        }


def task_options(given: Arguments) -> dict[str, Any]:
    """Return the options of the task of an environment.

    Args:
        given: As `given_arguments` returns them.
    """
    replay = given.get("replay_buffer_kwargs", {})
    return {
        "deterministic": given.get("deterministic_env", False),
        "terminated_from_goal": replay.get("terminated_from_goal", given.get("preset") is not None),
        "copy_info_dict": replay.get("copy_info_dict", False),
    }


def settings_of(given: Arguments, task: VecTask) -> Settings:
    """Return the settings of a DQN.

    Args:
        given: As `given_arguments` returns them.
        task: The environment, for the size of which a preset is resolved.

    Raises:
        ValueError: A setting does not suit the environment, or two arguments contradict each other.
    """
    preset: Preset | None = given.get("preset")
    values = given
    if preset is None:
        values = {**_sb3_defaults(), **given}
    is_linear = preset is None or any(name in given for name in _EXPLORATION)
    config = Config.preset(preset or "notebook", task, **_fields(values))
    buffer_size = values.get("buffer_size")
    if buffer_size is None:  # in a preset, records of episodes of max_steps steps
        buffer_size = config.capacity * task.max_steps // (task.max_steps + 1)
    train_freq = values.get("train_freq", 4)
    gradient_steps = values.get("gradient_steps", 1)
    if not {"train_freq", "gradient_steps"} & values.keys():
        train_freq = (config.episodes_per_cycle, "episode")
        gradient_steps = config.updates_per_cycle
    return Settings(
        config=dataclasses.replace(config, capacity=3 * buffer_size),
        buffer_size=buffer_size,
        learning_starts=values.get("learning_starts", 0),
        train_freq=train_freq,
        gradient_steps=gradient_steps,
        target_update_interval=values.get("target_update_interval"),
        tau=values.get("tau", 1 - config.polyak),
        is_linear=is_linear,
        **{name: given.get(name, getattr(Defaults, name).value) for name in _EXPLORATION},
    )


def _sb3_defaults() -> Arguments:
    """Return Stable-Baselines3's defaults."""
    return {name: default.value for name, default in vars(Defaults).items() if isinstance(default, Default)}


def _fields(values: Arguments) -> dict[str, Any]:
    """Return the fields of Config that arguments set."""
    names = ("learning_rate", "batch_size", "gamma", *FIELDS)
    fields = {name: values[name] for name in names if name in values}
    if "tau" in values:
        fields["polyak"] = 1 - values["tau"]
    if "target_update_interval" in values:
        fields["target_update"] = NEVER
    is_preset = values.get("preset") is not None
    policy = values["policy_kwargs"]
    if not is_preset:
        policy = {"net_arch": [64, 64], **policy}
    if "net_arch" in policy:
        fields["hidden"] = tuple(policy["net_arch"])
    buffer_class = values.get("replay_buffer_class", "HerReplayBuffer")
    return fields | _hindsight(buffer_class, values["replay_buffer_kwargs"], is_preset)


def _hindsight(buffer_class: str | None, replay: Arguments, is_preset: bool) -> dict[str, Any]:
    """Return the fields of Config that the arguments of the replay buffer set."""
    names = {"k": "n_sampled_goal", "strategy": "goal_selection_strategy"}
    if buffer_class is None:
        for name in names.values():
            if name in replay:
                raise ValueError(
                    f"replay_buffer_kwargs with {name} needs replay_buffer_class=HerReplayBuffer, got None"
                )
        return {"k": 0}
    if not is_preset:
        replay = {"n_sampled_goal": 4, "goal_selection_strategy": "future", **replay}
    return {field: replay[name] for field, name in names.items() if name in replay}


def linear_rate(initial: float, final: float, fraction: float, done: float) -> float:
    """Return the exploration rate after the share `done` of training."""
    if done >= fraction:
        return final
    return initial + done * (final - initial) / fraction
