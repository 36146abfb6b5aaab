"""Arguments of Stable-Baselines3's DQN: their checks and defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, get_args

import numpy as np
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.type_aliases import TrainFreq
from stable_baselines3.dqn import MultiInputPolicy
from stable_baselines3.her.goal_selection_strategy import GoalSelectionStrategy
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer as BaseHerReplayBuffer

from herfast.bounds import Between, Interval, Widths
from herfast.common.seeding import check_seed
from herfast.common.validation import check_bool, check_choice, check_integer, short_repr
from herfast.config import check_field
from herfast.presets import Preset
from herfast.sb3.episodes import MAX_BUFFER_SIZE
from herfast.sb3.her_replay_buffer import MAX_SAMPLED_GOALS, HerReplayBuffer, checked_strategy

T = TypeVar("T")
Arguments = dict[str, Any]

FIELDS = (  # of Config that are keywords of DQN
    "double_q",
    "dueling",
    "clip_targets",
    "mask_terminal",
    "hindsight_bound",
    "advantage_gap",
    "init",
    "encoding",
    "learning_rate_end",
    "learning_rate_decay_updates",
    "evaluate_with",
)


class Default:
    """Default of an argument, which a preset replaces.

    Args:
        value: Stable-Baselines3's default, which applies without a preset.
    """

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


def _default(value: T) -> T:
    return cast(T, Default(value))


class Defaults:
    """Defaults of the arguments that a preset replaces."""

    learning_rate: float = _default(1e-4)
    buffer_size: int = _default(1_000_000)
    learning_starts: int = _default(100)
    batch_size: int = _default(32)
    tau: float = _default(1.0)
    gamma: float = _default(0.99)
    train_freq: int | tuple[int, str] = _default(4)
    gradient_steps: int = _default(1)
    replay_buffer_class: type | None = _default(None)
    target_update_interval: int = _default(10_000)
    exploration_fraction: float = _default(0.1)
    exploration_initial_eps: float = _default(1.0)
    exploration_final_eps: float = _default(0.05)


def given_arguments(arguments: Mapping[str, Any]) -> Arguments:
    """Return the arguments that were passed, checked, in the form of a file.

    Args:
        arguments: All arguments of DQN but the policy and the environment.

    Raises:
        TypeError, ValueError: An argument is not allowed. The message names it.
    """
    given = {name: value for name, value in arguments.items() if not isinstance(value, Default)}
    for name in given.keys() - _CHECKS.keys():
        raise TypeError(
            f"{name!r} is not a keyword of DQN; those of Config that are keywords are {', '.join(FIELDS)}"
        )
    return {name: _CHECKS[name](name, value) for name, value in given.items()}


def check_policy(policy: object) -> None:
    """Raise ValueError unless `policy` is MultiInputPolicy or its name."""
    if policy not in ("MultiInputPolicy", MultiInputPolicy):
        raise ValueError(
            f"policy must be 'MultiInputPolicy', since observations are dicts, got {short_repr(policy)}"
        )


def only(*allowed: object, reason: str) -> Callable[[str, object], object]:
    """Return the check of an argument that has no meaning."""

    def check(name: str, value: object) -> object:
        if not any(type(value) is type(one) and value == one for one in allowed):
            texts = " or ".join(map(repr, allowed))
            raise ValueError(f"{name} must be {texts}, since {reason}, got {short_repr(value)}")
        return value

    return check


def _check_learning_rate(name: str, value: object) -> object:
    if callable(value):
        raise TypeError(
            f"{name} must be a number, got {short_repr(value)}: learning_rate_end and "
            "learning_rate_decay_updates set a decay"
        )
    return check_field(name, value)


def _check_train_freq(name: str, value: object) -> object:
    if isinstance(value, TrainFreq):
        value = (value.frequency, value.unit.value)
    if not isinstance(value, (tuple, list)):
        return check_integer(name, value, 1, 2**40)
    if len(value) != 2 or value[1] not in ("step", "episode"):
        raise ValueError(
            f"{name} must be a number, or a number with 'step' or 'episode', got {short_repr(value)}"
        )
    return check_integer(name, value[0], 1, 2**40), value[1]


def _check_buffer_class(name: str, value: object) -> object:
    if value is None or value is DictReplayBuffer:
        return None
    if value not in (HerReplayBuffer, BaseHerReplayBuffer, HerReplayBuffer.__name__):  # a file has the name
        raise ValueError(f"{name} must be HerReplayBuffer or None, got {short_repr(value)}")
    return HerReplayBuffer.__name__


def _check_kwargs(name: str, value: object, checks: Mapping[str, Callable[[str, Any], object]]) -> object:
    """Return a dict of further arguments, each checked, or an empty one for None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, got {short_repr(value)}")
    for key in value.keys() - checks.keys():
        raise ValueError(f"{name} must have no keys but {', '.join(checks)}, got {short_repr(key)}")
    return {key: checks[key](key, item) for key, item in value.items()}


def _check_strategy(name: str, value: object) -> str:
    strategy = checked_strategy(value)
    if isinstance(strategy, GoalSelectionStrategy):
        strategy = strategy.name.lower()
    return strategy


def _check_net_arch(name: str, value: object) -> list[int]:
    return list(Widths().check(name, value))


def _check_optional(check: Callable[[str, object], object]) -> Callable[[str, object], object]:
    """Return a check that also allows None."""

    def check_or_none(name: str, value: object) -> object:
        if value is None:
            return None
        return check(name, value)

    return check_or_none


def _check_preset(name: str, value: object) -> object:
    check_choice(name, value, get_args(Preset))
    return value


def _check_log(name: str, value: object) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be the path of a folder or None, got {short_repr(value)}")
    return str(os.fspath(value))


_REPLAY_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "n_sampled_goal": Between(0, MAX_SAMPLED_GOALS).check,
    "goal_selection_strategy": _check_strategy,
    "copy_info_dict": check_bool,
    "terminated_from_goal": check_bool,
    "seed": lambda name, value: check_seed(value),
    "handle_timeout_termination": only(True, reason="a time limit is no termination"),
}
_POLICY_CHECKS = {"net_arch": _check_net_arch}
_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "learning_rate": _check_learning_rate,
    "buffer_size": Between(1, MAX_BUFFER_SIZE).check,
    "learning_starts": Between(0, 2**60).check,
    "batch_size": check_field,
    "tau": Interval("(0, 1]").check,
    "gamma": check_field,
    "train_freq": _check_train_freq,
    "gradient_steps": Between(-1, 2**24).check,
    "replay_buffer_class": _check_buffer_class,
    "replay_buffer_kwargs": lambda name, value: _check_kwargs(name, value, _REPLAY_CHECKS),
    "optimize_memory_usage": only(False, reason="each state is stored once"),
    "n_steps": only(1, reason="targets look one step ahead"),
    "target_update_interval": Between(1, 2**60).check,
    "exploration_fraction": Interval("[0, 1]").check,
    "exploration_initial_eps": Interval("[0, 1]").check,
    "exploration_final_eps": Interval("[0, 1]").check,
    "max_grad_norm": lambda name, value: only(10.0, reason="gradients are not clipped")(
        name, _as_float(value)
    ),
    "stats_window_size": Between(1, 2**40).check,
    "tensorboard_log": _check_optional(_check_log),
    "policy_kwargs": lambda name, value: _check_kwargs(name, value, _POLICY_CHECKS),
    "verbose": Between(0, 2).check,
    "seed": lambda name, value: check_seed(value),
    "device": lambda name, value: only("auto", "cpu", reason="herfast computes on the CPU")(name, str(value)),
    "preset": _check_optional(_check_preset),
    "threads": _check_optional(Between(1, 1_024).check),
    "deterministic_env": check_bool,
    **dict.fromkeys(FIELDS, check_field),
}


def _as_float(value: object) -> object:
    """Return a number as a float, so that 10 and 10.0 are equal."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        return float(value)
    return value
