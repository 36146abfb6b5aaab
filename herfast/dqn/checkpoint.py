"""Conversion of an agent to named arrays and JSON metadata, and back.

Each part has its own `state_dict` and `load_state_dict`. This module combines them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from herfast.common.history import History
from herfast.common.seeding import Streams
from herfast.common.tensor_file import Tensors
from herfast.common.validation import check_bool, check_integer, check_matches, check_names, one_line
from herfast.config import Config
from herfast.envs.base import GoalEnv
from herfast.envs.registry import make_env
from herfast.networks.q_network import QNetwork
from herfast.presets import Preset
from herfast.replay.hindsight_replay import HindsightReplay

MAX_COUNT = 2**60  # of steps, episodes and updates in a file; later additions cannot overflow


class AgentParts(NamedTuple):
    """Parts of an agent that are saved."""

    env: GoalEnv
    config: Config
    preset: Preset
    seed: int
    network: QNetwork
    replay: HindsightReplay
    history: History
    streams: Streams
    solved: bool


def state_dict(parts: AgentParts, with_training_state: bool) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors and the metadata of an agent's file.

    Args:
        parts: the parts of the agent.
        with_training_state: with True, everything that training needs to continue. With False, only the
            networks, the environment and the settings.

    Raises:
        ValueError: the weights are not finite. Such a file could replace that of a working agent.
    """
    if not parts.network.is_finite():
        raise ValueError("weights are not finite, so nothing was saved")
    metadata: dict[str, Any] = {
        "environment": parts.env.spec(),
        "config": dataclasses.asdict(parts.config),
        "preset": parts.preset,
        "seed": int(parts.seed),  # JSON has no NumPy integers
    }
    tensors: Tensors = dict(parts.network.state_dict(with_training_state))
    if with_training_state:
        for name, column in parts.history.state_dict().items():
            tensors[f"history.{name}"] = column
        for name, array in parts.replay.state_dict().items():
            tensors[f"ring.{name}"] = array
        metadata["streams"] = parts.streams.state_dict()
        metadata["counters"] = {"updates": parts.network.updates, "solved": parts.solved}
    return tensors, metadata


def settings(metadata: dict[str, Any]) -> tuple[GoalEnv, Preset, int, dict[str, Any]]:
    """Return environment, preset, seed and fields of Config from a file's metadata."""
    config = metadata["config"]
    required = {
        field.name: config[field.name] for field in dataclasses.fields(Config)
    }  # KeyError if one is missing
    fields = config | required  # unknown fields remain, so that Config rejects them
    seed = check_integer("seed", metadata["seed"], 0, 2**128)
    return make_env(metadata["environment"]), metadata["preset"], seed, fields


def load_state_dict(parts: AgentParts, tensors: Tensors, metadata: dict[str, Any]) -> bool:
    """Load what `state_dict` returned.

    Args:
        parts: the parts of a new agent with the same environment and settings.
        tensors: the tensors of the file.
        metadata: the metadata of the file.

    Returns:
        True if the saved agent was solved.

    Raises:
        LookupError, TypeError, ValueError, OverflowError: a name is missing or unknown, or a value wrong.
    """
    with_training_state = "counters" in metadata
    own, own_metadata = state_dict(parts, with_training_state)
    check_names("tensors", tensors, own)
    check_names("metadata", metadata, own_metadata)
    names = parts.network.state_dict(with_training_state)
    parts.network.load_state_dict({name: tensors[name] for name in names})
    if not with_training_state:
        return False
    return _load_training_state(parts, own, tensors, metadata)


@contextmanager
def load_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors while loading into ValueError or MemoryError that name the file."""
    try:
        yield
    except MemoryError as error:
        raise MemoryError(f"{path} cannot be loaded: {error}") from error
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = str(error)
        if isinstance(error, KeyError):
            reason = f"{reason} is missing"
        raise ValueError(f"{path} does not hold an agent: {one_line(reason)}") from error


def _load_training_state(parts: AgentParts, own: Tensors, tensors: Tensors, metadata: dict[str, Any]) -> bool:
    """Load all but the networks, and return True if the saved agent was solved."""
    for name, array in own.items():
        if name.startswith(("ring.", "history.")):
            check_matches(name, tensors[name], array, any_length=name != "ring.cursor")
    parts.replay.load_state_dict(_part("ring.", tensors), n_actions=parts.env.n_actions)
    history = _part("history.", tensors)
    for name, column in history.items():
        if column.dtype == np.int64 and not (np.diff(column, prepend=0) >= 0).all():
            raise ValueError(f"history.{name} should start at 0 or above and never decrease")
    parts.history.load_state_dict(history)
    for name in ("env_steps", "episodes"):
        counts = parts.history[name]
        if len(counts):
            check_integer(name, int(counts[-1]), 0, MAX_COUNT)
    parts.network.updates = check_integer("updates", metadata["counters"]["updates"], 0, MAX_COUNT)
    solved = check_bool("solved", metadata["counters"]["solved"])
    parts.streams.load_state_dict(metadata["streams"])
    return solved


def _part(prefix: str, tensors: Tensors) -> Tensors:
    """Return the tensors whose names begin with `prefix`, renamed without it."""
    return {name[len(prefix) :]: array for name, array in tensors.items() if name.startswith(prefix)}
