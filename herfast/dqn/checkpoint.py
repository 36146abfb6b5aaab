"""An agent's state as named arrays and JSON: what its file holds, and how it is loaded.

Each part has its own `state_dict` and `load_state_dict`; here they are composed.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from herfast.common.history import History
from herfast.common.seeding import Streams
from herfast.common.tensor_file import Tensors
from herfast.common.validation import check_bool, check_integer, check_matches, check_names, short_repr
from herfast.config import Config
from herfast.envs.bit_flip import BitFlip
from herfast.networks.q_network import QNetwork
from herfast.presets import Preset
from herfast.replay.hindsight_replay import HindsightReplay

ENV_ID = "BitFlip"
MAX_COUNT = 2**60  # steps, episodes, updates; later counts cannot overflow


class AgentParts(NamedTuple):
    """The parts of an agent that its file holds."""

    env: BitFlip
    config: Config
    preset: Preset
    seed: int
    network: QNetwork
    replay: HindsightReplay
    history: History
    streams: Streams
    solved: bool


def state_dict(parts: AgentParts, learning: bool) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and metadata of a file: networks, environment and settings; with `learning` all that training needs.

    Raises ValueError if weights are not finite: such an agent is of no use, and would replace a sound one.
    """
    if not parts.network.is_finite():
        raise ValueError("weights are not finite, so nothing was saved")
    metadata: dict[str, Any] = {
        "environment": {"id": ENV_ID, "n_bits": parts.env.n_bits, "max_steps": parts.env.max_steps},
        "config": dataclasses.asdict(parts.config),
        "preset": parts.preset,
        "seed": int(parts.seed),  # JSON knows no NumPy integer
    }
    tensors: Tensors = dict(parts.network.state_dict(learning))
    if learning:
        tensors |= {f"history.{name}": column for name, column in parts.history.state_dict().items()}
        tensors |= {f"ring.{name}": array for name, array in parts.replay.state_dict().items()}
        metadata["streams"] = parts.streams.state_dict()
        metadata["counters"] = {"updates": parts.network.updates, "solved": parts.solved}
    return tensors, metadata


def settings(metadata: dict[str, Any]) -> tuple[BitFlip, Preset, int, dict[str, Any]]:
    """The environment, the preset, the seed and the fields of Config. Raises as `load_state_dict`."""
    env = metadata["environment"]
    if env["id"] != ENV_ID:
        raise ValueError(f"its game is {short_repr(env['id'])}, not {ENV_ID!r}")
    fields = metadata["config"]
    fields = fields | {field.name: fields[field.name] for field in dataclasses.fields(Config)}  # all must be there
    seed = check_integer("seed", metadata["seed"], 0, 2**128)
    return BitFlip(env["n_bits"], env["max_steps"]), metadata["preset"], seed, fields


def load_state_dict(parts: AgentParts, tensors: Tensors, metadata: dict[str, Any]) -> bool:
    """Load into a new agent's parts, of the same environment and settings, what `state_dict` returned.

    Returns whether the saved agent was solved. Raises LookupError, TypeError, ValueError or OverflowError for a name
    that is missing or unknown, and for values that do not fit.
    """
    learning = "counters" in metadata
    own, own_metadata = state_dict(parts, learning)
    check_names("tensors", tensors, own)
    check_names("metadata", metadata, own_metadata)
    parts.network.load_state_dict({name: tensors[name] for name in parts.network.state_dict(learning)})
    return learning and _load_learning(parts, own, tensors, metadata)


def _load_learning(parts: AgentParts, own: Tensors, tensors: Tensors, metadata: dict[str, Any]) -> bool:
    """Load what acting does not need; returns whether the saved agent was solved."""
    for name, array in own.items():
        if name.startswith(("ring.", "history.")):
            check_matches(name, tensors[name], array, any_length=name != "ring.cursor")
    parts.replay.load_state_dict(_part("ring.", tensors), n_actions=parts.env.n_actions)
    history = _part("history.", tensors)
    for name, column in history.items():
        if column.dtype == np.int64 and not (np.diff(column, prepend=0) >= 0).all():
            raise ValueError(f"history.{name} should never fall, from 0 on")
    parts.history.load_state_dict(history)
    for name in ("env_steps", "episodes"):
        check_integer(name, int(parts.history[name][-1]) if len(parts.history[name]) else 0, 0, MAX_COUNT)
    parts.network.updates = check_integer("updates", metadata["counters"]["updates"], 0, MAX_COUNT)
    solved = check_bool("solved", metadata["counters"]["solved"])
    parts.streams.load_state_dict(metadata["streams"])
    return solved


def _part(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: array for name, array in tensors.items() if name.startswith(prefix)}
