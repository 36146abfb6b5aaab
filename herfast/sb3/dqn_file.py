"""Files of a DQN: arrays and JSON metadata in the safetensors format."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from herfast.common.tensor_file import TensorFile, Tensors, open_tensors
from herfast.common.validation import (
    check_integer,
    check_matches,
    check_names,
    check_path,
    short_repr,
)
from herfast.dqn import checkpoint
from herfast.dqn.checkpoint import MAX_COUNT
from herfast.envs.gym_task.contract import Facts
from herfast.networks.q_network import QNetwork
from herfast.replay.infos import InfoRing
from herfast.sb3.dqn_settings import task_options
from herfast.sb3.episodes import EpisodeReplay
from herfast.sb3.vec_env import MissingEnv, VecTask, space_of, space_values

if TYPE_CHECKING:
    from herfast.sb3.training import HindsightAlgorithm

KIND = "herfast.sb3.DQN"
SUFFIX = ".safetensors"
REPLAY = "replay_buffer"
_COUNTERS = (  # attributes of a model that are integers
    "num_timesteps",
    "_episode_num",
    "_n_calls",
    "_collected_steps",
    "_collected_episodes",
)
_RATES = ("exploration_rate", "_current_progress_remaining")
_OPTIMIZER = ("moment1.", "moment2.")
load_errors = partial(checkpoint.load_errors, contents=f"what {KIND} saves")


def new_path(path: str | os.PathLike[str]) -> Path:
    """Return the path to write, with a suffix, and create its folder."""
    check_path("path", path)
    file = Path(path)
    if not file.suffix:
        file = file.with_name(file.name + SUFFIX)
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def existing_path(path: str | os.PathLike[str]) -> Path:
    """Return the path to read: `path`, or with a suffix if there is no such file.

    Stable-Baselines3 names its files .zip. With this suffix or without one, a file with either is found.
    """
    check_path("path", path)
    file = Path(path)
    name = file.name.removesuffix(".zip")
    candidates = (file, file.with_name(name + SUFFIX), file.with_name(name + ".zip"))
    return next((candidate for candidate in candidates if candidate.is_file()), file)


def part_names(name: str, parts: Iterable[str] | None) -> set[str]:
    """Return the argument `exclude` or `include` of `save` as a set.

    Raises:
        ValueError: It names something else than the replay buffer.
    """
    names = {parts} if isinstance(parts, str) else set(parts or ())
    if names - {REPLAY}:
        raise ValueError(f"{name} must be None or [{REPLAY!r}], got {short_repr(parts)}")
    return names


def state_dict(model: HindsightAlgorithm, with_replay: bool) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors and the metadata of a model.

    Raises:
        ValueError: The weights are not finite. Such a file could replace that of a working model.
    """
    if not model.network.is_finite():
        raise ValueError("weights are not finite, so nothing was saved")
    task = model._task
    tensors: Tensors = dict(model.network.state_dict())
    metadata: dict[str, Any] = {
        "kind": KIND,
        "arguments": {
            name: value for name, value in model._given.items() if name not in ("threads", "device")
        },
        "spaces": {name: space_values(space) for name, space in task.spaces.items()},
        "facts": task.facts._asdict(),
        "sizes": {"n_envs": task.num_envs, "max_steps": task.max_steps},
        "counters": {name: getattr(model, name) for name in _COUNTERS},
        "updates": model.network.updates,
        "due": list(model._due.counts),
        "rates": {name: float(getattr(model, name)) for name in _RATES},
        "streams": model._streams.state_dict(),
        "episodes": [_saved_buffer(model.ep_info_buffer), _saved_buffer(model.ep_success_buffer)],
        "infos": model._episodes.infos,
    }
    if model._last_obs is not None:
        tensors |= {f"last_obs.{key}": np.asarray(part) for key, part in model._last_obs.items()}
        tensors |= {f"running.{name}": array for name, array in model._episodes.state_dict().items()}
    if with_replay:
        tensors |= replay_state_dict(model.replay_buffer)
    return tensors, metadata


def _saved_buffer(buffer: deque[Any] | None) -> Any:
    """Return `ep_info_buffer` or `ep_success_buffer` as values for JSON."""
    if buffer is None:
        return None
    return json.loads(json.dumps(list(buffer), default=_plain))


def _plain(value: Any) -> Any:
    """Return the value of a NumPy scalar or array, or the repr of another object."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return repr(value)


def saved_arguments(file: TensorFile) -> dict[str, Any]:
    """Return the arguments of DQN that a file holds."""
    if file.metadata.get("kind") != KIND:
        raise ValueError(f"its kind is {short_repr(file.metadata.get('kind'))}")
    arguments: dict[str, Any] = file.metadata["arguments"]
    return arguments


def load_state_dict(model: HindsightAlgorithm, file: TensorFile) -> None:
    """Build all of a new model that depends on the environment, as a file holds it.

    Args:
        model: A model without an environment.
        file: The open file.
    """
    saved = file.metadata
    space = {name: space_of(values) for name, values in saved["spaces"].items()}
    model.action_space = space.pop("action_space")
    model.observation_space = spaces.Dict(space)
    model.n_envs = check_integer("n_envs", saved["sizes"]["n_envs"], 1, 2**31 - 1)
    make = _missing_env(model.observation_space, model.action_space)
    task = VecTask(
        DummyVecEnv([make] * model.n_envs), facts=Facts(**saved["facts"]), **task_options(model._given)
    )
    task.max_steps = check_integer("max_steps", saved["sizes"]["max_steps"], 1, task.max_steps)
    model._build(task)
    load_parameters(model.network, _parameters_of(file), exact_match=True)
    if f"{REPLAY}.records" in file.shapes:
        load_replay(model.replay_buffer, file, task.n_actions)
    model._streams.load_state_dict(saved["streams"])
    for name in _COUNTERS:
        setattr(model, name, check_integer(name, saved["counters"][name], 0, MAX_COUNT))
    for name in _RATES:
        setattr(model, name, float(saved["rates"][name]))
    model._n_updates = model.network.updates
    if not saved["due"]:
        raise ValueError("due must hold at least one number, got []")
    model._due.counts = deque(check_integer("due", count, 0, MAX_COUNT) for count in saved["due"])
    infos, successes = (_buffer(entries, model._stats_window_size) for entries in saved["episodes"])
    model.ep_info_buffer = infos
    model.ep_success_buffer = successes
    keys = [name.partition(".")[2] for name in file.shapes if name.startswith("last_obs.")]
    if keys:
        model._last_obs = {key: file.read(f"last_obs.{key}") for key in keys}
        running = {name: file.read(f"running.{name}") for name in model._episodes.state_dict()}
        model._episodes.load_state_dict(running, saved["infos"])


def _missing_env(observations: spaces.Dict, actions: spaces.Discrete[Any]) -> Callable[[], MissingEnv]:
    return lambda: MissingEnv(observations, actions)


def _buffer(entries: list[Any] | None, size: int) -> deque[Any] | None:
    if entries is None:
        return None
    return deque(entries, maxlen=size)


def replay_state_dict(replay: EpisodeReplay) -> Tensors:
    """Return the tensors of the finished episodes."""
    tensors = {f"{REPLAY}.{name}": array for name, array in replay.state_dict().items()}
    if replay.infos is not None:
        tensors[f"{REPLAY}.infos"] = replay.infos.to_array(int(replay.cursor[1]))
    return tensors


def load_replay(replay: EpisodeReplay, file: TensorFile, n_actions: int) -> None:
    """Replace the finished episodes by those of a file.

    Raises:
        LookupError, TypeError, ValueError: They do not fit. Nothing is changed.
    """
    cursor = file.read(f"{REPLAY}.cursor")
    check_matches("cursor", cursor, replay.cursor)
    infos = None
    if replay.infos is not None:
        infos = file.read(f"{REPLAY}.infos")
        InfoRing(int(cursor[1])).load_array(infos, int(cursor[1]))  # raises an error if they do not fit
    n_records = file.shapes[f"{REPLAY}.records"][0]
    replay._load_records(n_records, file.row_reader(f"{REPLAY}.records"), cursor, n_actions=n_actions)
    if replay.infos is not None and infos is not None:
        replay.infos.load_array(infos, int(cursor[1]))


def parameters(network: QNetwork) -> dict[str, dict[str, Any]]:
    """Return copies of all parameters as tensors: "policy" and "policy.optimizer"."""
    tensors = {name: torch.from_numpy(view.copy()) for name, view in network.state_dict().items()}
    return _grouped(tensors, torch.tensor(network.updates))


def read_parameters(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Return the parameters that a file holds, as `parameters` does."""
    found = existing_path(path)
    with open_tensors(found) as file, load_errors(found):
        saved_arguments(file)
        return _parameters_of(file)


def _parameters_of(file: TensorFile) -> dict[str, dict[str, Any]]:
    names = [name for name in file.shapes if name.startswith(("online.", "target.", *_OPTIMIZER))]
    return _grouped({name: file.read(name) for name in names}, file.metadata["updates"])


def _grouped(values: Mapping[str, Any], updates: Any) -> dict[str, dict[str, Any]]:
    """Return parameters and the number of updates in two groups."""
    optimizer = {name: value for name, value in values.items() if name.startswith(_OPTIMIZER)}
    policy = {name: value for name, value in values.items() if name not in optimizer}
    return {"policy": policy, "policy.optimizer": {**optimizer, "updates": updates}}


def load_parameters(
    network: QNetwork, parameters: Mapping[str, Mapping[str, Any]], exact_match: bool
) -> None:
    """Copy parameters into a network.

    Args:
        network: The network.
        parameters: As `parameters` returns them, tensors or arrays.
        exact_match: If False, some may be missing, which are kept.

    Raises:
        TypeError, ValueError: A name is unknown or missing, or a value does not fit. Nothing is changed.
    """
    own: dict[str, Any] = dict(network.state_dict())
    own["updates"] = network.updates
    given: dict[str, Any] = {}
    for name, group in parameters.items():
        if name not in ("policy", "policy.optimizer"):
            raise ValueError(f"parameters must be of policy and policy.optimizer, got {short_repr(name)}")
        if not isinstance(group, Mapping):
            raise TypeError(f"parameters of {name} must be a dict, got {short_repr(group)}")
        given |= {key: np.asarray(value) for key, value in group.items()}
    if not exact_match:
        given = {**own, **{key: value for key, value in given.items() if key in own}}
    check_names("parameters", given, own)
    updates = check_integer("updates", int(given.pop("updates")), 0, MAX_COUNT)
    network.load_state_dict(given)
    network.updates = updates
