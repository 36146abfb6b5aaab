"""An agent's state as named arrays and JSON: what goes into its file, and how it comes back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from herfast.checkpoint import Tensors
from herfast.checks import check_bool, check_integer, shown
from herfast.config import Config, Preset
from herfast.envs import BitFlip

if TYPE_CHECKING:
    from herfast.agent import Agent

GAME = "BitFlip"
MOST = 2**60  # steps, episodes, updates; more can be played and learnt after them without an overflow
PLAYING = ("online", "target")
LEARNING = (*PLAYING, "moment1", "moment2")


def take(agent: Agent, everything: bool) -> tuple[Tensors, dict[str, Any]]:
    """What a file holds, tensors and metadata: networks, game and settings; or `everything` that learning needs.

    Raises ValueError if weights are not finite: such an agent is of no use, and would take a sound one's place.
    """
    if not agent.network.is_finite():
        raise ValueError("weights are not finite, so nothing was saved")
    metadata: dict[str, Any] = {
        "environment": {"id": GAME, "n_bits": agent.env.n_bits, "max_steps": agent.env.max_steps},
        "config": dataclasses.asdict(agent.config),
        "preset": agent.preset,
        "seed": int(agent.seed),  # JSON knows no NumPy integer
    }
    parts = LEARNING if everything else PLAYING
    tensors: Tensors
    tensors = {f"{part}.{name}": array for part in parts for name, array in agent.network.parameters(part).items()}
    if everything:
        records, cursor = agent.replay.records, agent.replay.cursor
        tensors |= {f"history.{name}": column for name, column in agent.history.items()}
        tensors |= {"ring.records": records[: cursor[1]], "ring.cursor": cursor}
        metadata["streams"] = {role.name: rng.bit_generator.state for role, rng in agent.streams.items()}
        metadata["counters"] = {"updates": agent.network.updates, "solved": agent.solved}
    return tensors, metadata


def settings(metadata: dict[str, Any]) -> tuple[BitFlip, Preset, int, dict[str, Any]]:
    """The game, the preset, the seed and the fields of Config. Raises as `restore`."""
    game, fields = metadata["environment"], metadata["config"]
    if game["id"] != GAME:
        raise ValueError(f"its game is {shown(game['id'])}, not {GAME!r}")
    fields = fields | {field.name: fields[field.name] for field in dataclasses.fields(Config)}  # all must be there
    seed = check_integer("seed", metadata["seed"], 0, 2**128)
    return BitFlip(game["n_bits"], game["max_steps"]), metadata["preset"], seed, fields


def restore(agent: Agent, tensors: Tensors, metadata: dict[str, Any]) -> None:
    """Give a new agent of the same game and settings what `take` took.

    Raises LookupError, TypeError, ValueError or OverflowError for what is missing, too much, or does not fit.
    """
    everything = "counters" in metadata
    own, own_metadata = take(agent, everything)
    for name in tensors.keys() ^ own.keys() | metadata.keys() ^ own_metadata.keys():
        known = name in own or name in own_metadata
        raise ValueError(f"{name} is missing" if known else f"{shown(name)} is unknown")
    for name, array in own.items():
        _check(name, tensors[name], array)
    for part in LEARNING if everything else PLAYING:
        for name, view in agent.network.parameters(part).items():
            view[...] = tensors[f"{part}.{name}"]
    agent.network.refresh()
    if everything:
        _restore_learning(agent, tensors, metadata)


def _check(name: str, saved: NDArray[Any], own: NDArray[Any]) -> None:
    """Raise ValueError unless `saved` can be in the place of `own`: in dtype, shape and range."""
    kind = name.partition(".")[0]
    shape = saved.shape[:1] + own.shape[1:] if name == "ring.records" or kind == "history" else own.shape
    if saved.shape != shape or saved.dtype != own.dtype:
        raise ValueError(f"{name} should be {own.dtype} {shape}, is {saved.dtype} {saved.shape}")
    if kind in LEARNING and not np.isfinite(saved).all():
        raise ValueError(f"{name} is not finite")
    if kind == "moment2" and (saved < 0).any():
        raise ValueError(f"{name} has a negative number, {saved.min():g}")
    if kind == "history" and saved.dtype == np.int64 and not (np.diff(saved, prepend=0) >= 0).all():
        raise ValueError(f"{name} should never fall, from 0 on")


def _restore_learning(agent: Agent, tensors: Tensors, metadata: dict[str, Any]) -> None:
    """What playing does not need."""
    records, counters = tensors["ring.records"], metadata["counters"]
    agent.replay.restore(records, tensors["ring.cursor"])
    highest = int((records[:, -1] & np.uint64(0xFFFF)).max(initial=0))  # of the actions: csrc/replay.h
    if highest >= agent.env.n_actions:
        raise ValueError(f"ring.records has an action {highest}, where {agent.env.n_actions - 1} is the highest")
    agent.history.restore({name: tensors[f"history.{name}"] for name in agent.history})
    for name in ("env_steps", "episodes"):
        check_integer(name, getattr(agent, name), 0, MOST)
    agent.network.updates = check_integer("updates", counters["updates"], 0, MOST)
    agent.solved = check_bool("solved", counters["solved"])
    for role, rng in agent.streams.items():
        state = metadata["streams"][role.name]
        rng.bit_generator.state = state
        if rng.bit_generator.state != state or state["state"]["inc"] % 2 == 0:
            raise ValueError(f"the state of stream {role.name} is not one of PCG64")
