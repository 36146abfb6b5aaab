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
from herfast.common.seeding import MAX_SEED, Streams
from herfast.common.tensor_file import TensorFile, TensorFileError, Tensors
from herfast.common.validation import (
    check_bool,
    check_integer,
    check_matches,
    check_names,
    one_line,
    short_repr,
)
from herfast.config import Config, config_fields, saved_fields
from herfast.envs.adapters import as_goal_env
from herfast.envs.base import GoalEnv, UnknownEnvError
from herfast.envs.registry import is_same_env, make_env
from herfast.networks.inputs import changed_config
from herfast.networks.q_network import QNetwork
from herfast.presets import Preset
from herfast.replay.hindsight_replay import HindsightReplay

MAX_COUNT = 2**60  # of steps, episodes and updates in a file; later additions cannot overflow


class AgentParts(NamedTuple):
    """Parts of an agent that are saved, except for the replay buffer."""

    env: GoalEnv
    preset: Preset
    seed: int
    network: QNetwork
    history: History
    streams: Streams
    solved: bool


def state_dict(parts: AgentParts, replay: HindsightReplay | None) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors and the metadata of an agent's file.

    Args:
        parts: the parts of the agent.
        replay: the replay buffer. With it, everything that training needs to continue is returned. With None,
            only the networks, the environment and the settings.

    Raises:
        ValueError: the weights are not finite. Such a file could replace that of a working agent.
    """
    if not parts.network.is_finite():
        raise ValueError("weights are not finite, so nothing was saved")
    metadata: dict[str, Any] = {
        "environment": parts.env.spec(),
        "config": dataclasses.asdict(parts.network.config),
        "preset": parts.preset,
        "seed": int(parts.seed),  # JSON has no NumPy integers
    }
    tensors: Tensors = dict(parts.network.state_dict(replay is not None))
    if replay is not None:
        for name, column in parts.history.state_dict().items():
            tensors[f"history.{name}"] = column
        for name, array in replay.state_dict().items():
            tensors[f"ring.{name}"] = array
        if replay.infos is not None:
            tensors["ring.infos"] = replay.infos.to_array(int(replay.cursor[1]))
        metadata["streams"] = parts.streams.state_dict()
        metadata["counters"] = {"updates": parts.network.updates, "solved": parts.solved}
    return tensors, metadata


def settings(metadata: dict[str, Any], env: GoalEnv | None = None) -> tuple[GoalEnv, Preset, int, Config]:
    """Return environment, preset, seed and Config from a file's metadata.

    Without `env` the environment is built from its spec in the file.
    """
    fields = saved_fields(metadata["config"])  # unknown fields remain, so that Config rejects them
    missing = [name for name in config_fields() if name not in fields]
    if missing:
        raise KeyError(missing[0])
    seed = check_integer("seed", metadata["seed"], 0, MAX_SEED)
    if env is None:
        env = make_env(metadata["environment"])
    return env, metadata["preset"], seed, Config.preset(metadata["preset"], env, **fields)


def arguments(
    file: TensorFile, path: str | os.PathLike[str], env: object, changes: dict[str, Any]
) -> tuple[GoalEnv, Preset, int, dict[str, Any]]:
    """Return environment, preset, seed and fields of Config of an agent's file.

    Args:
        file: the open file.
        path: its path, for error messages.
        env: the environment, as an agent takes it, or None to build it from its spec in the file.
        changes: fields of Config to change.

    Raises:
        ValueError, TypeError: the file holds no agent or that of another environment, or a field cannot
            change.
    """
    given = None
    if env is not None:
        given = as_goal_env(env)
        with load_errors(path):
            trained_on = file.metadata["environment"]
        if not is_same_env(trained_on, given.spec()):
            raise ValueError(
                f"{path} was trained on {short_repr(trained_on)}, got {short_repr(given.spec())}"
            )
    with load_errors(path):
        goal_env, preset, seed, saved = settings(file.metadata, given)
    config = Config.preset(preset, goal_env, **{**dataclasses.asdict(saved), **changes})
    return goal_env, preset, seed, dataclasses.asdict(changed_config(saved, config))


def has_training_state(file: TensorFile) -> bool:
    """Return True if a file was saved with the replay buffer."""
    return "counters" in file.metadata


def load_state_dict(parts: AgentParts, replay: HindsightReplay | None, file: TensorFile) -> bool:
    """Load what `state_dict` returned.

    Args:
        parts: the parts of a new agent with the same environment and settings.
        replay: its replay buffer, which is empty, to load everything that training needs. With None, only the
            networks are read.
        file: the open file.

    Returns:
        True if the saved agent was solved.

    Raises:
        OSError, TensorFileError: the file cannot be read, or is damaged.
        LookupError, TypeError, ValueError, OverflowError: a name is missing or unknown, or a value wrong.
    """
    own, own_metadata = state_dict(parts, replay)
    if replay is not None or not has_training_state(file):
        check_names("tensors", file.shapes, own)
        check_names("metadata", file.metadata, own_metadata)
    names = parts.network.state_dict(learning=replay is not None)
    parts.network.load_state_dict({name: file.read(name) for name in names})
    if replay is None:
        return False
    return _load_training_state(parts, replay, own, file)


@contextmanager
def load_errors(path: str | os.PathLike[str], contents: str = "an agent") -> Iterator[None]:
    """Turn errors while loading into ValueError or MemoryError that name the file."""
    try:
        yield
    except TensorFileError:  # names the file already
        raise
    except MemoryError as error:
        raise MemoryError(f"{path} cannot be loaded: {error}") from error
    except UnknownEnvError as error:
        raise ValueError(
            f"{path} cannot be loaded without env, as in Agent.load(path, env=...): {error}"
        ) from error
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = str(error)
        if isinstance(error, KeyError):
            reason = f"{reason} is missing"
        raise ValueError(f"{path} does not hold {contents}: {one_line(reason)}") from error


def _load_training_state(parts: AgentParts, replay: HindsightReplay, own: Tensors, file: TensorFile) -> bool:
    """Load all but the networks, and return True if the saved agent was solved."""
    cursor = file.read("ring.cursor")
    check_matches("ring.cursor", cursor, own["ring.cursor"])
    n_records = 0
    if file.shapes["ring.records"]:  # otherwise a single value
        n_records = file.shapes["ring.records"][0]
    replay._load_records(n_records, file.row_reader("ring.records"), cursor, n_actions=parts.env.n_actions)
    if replay.infos is not None:
        replay.infos.load_array(file.read("ring.infos"), int(replay.cursor[1]))
    history = {}
    for name, own_column in parts.history.state_dict().items():
        column = file.read(f"history.{name}")
        check_matches(f"history.{name}", column, own_column, any_length=True)
        if column.dtype == np.int64 and not (np.diff(column, prepend=0) >= 0).all():
            raise ValueError(f"history.{name} should start at 0 or above and never decrease")
        history[name] = column
    parts.history.load_state_dict(history)
    for name in ("env_steps", "episodes"):
        counts = parts.history[name]
        if len(counts):
            check_integer(name, int(counts[-1]), 0, MAX_COUNT)
    counters = file.metadata["counters"]
    parts.network.updates = check_integer("updates", counters["updates"], 0, MAX_COUNT)
    solved = check_bool("solved", counters["solved"])
    parts.streams.load_state_dict(file.metadata["streams"])
    return solved
