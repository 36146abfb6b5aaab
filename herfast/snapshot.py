"""An agent's state as named arrays and JSON: what goes into its file, and how it comes back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from herfast.checkpoint import Tensors
from herfast.checks import check_integer
from herfast.config import Config, Preset
from herfast.envs import BitFlip

if TYPE_CHECKING:
    from herfast.agent import Agent

GAME = "BitFlip"
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
        raise ValueError(f"its game is {game['id']!r}, not {GAME!r}")
    fields = fields | {field.name: fields[field.name] for field in dataclasses.fields(Config)}  # all must be there
    seed = check_integer("seed", metadata["seed"], 0, 2**128)
    return BitFlip(game["n_bits"], game["max_steps"]), metadata["preset"], seed, fields


def restore(agent: Agent, tensors: Tensors, metadata: dict[str, Any]) -> None:
    """Give a new agent of the same game and settings what `take` took.

    Raises LookupError for what is missing, TypeError, ValueError or OverflowError for what does not fit.
    """
    everything = "counters" in metadata
    for part in LEARNING if everything else PLAYING:
        for name, view in agent.network.parameters(part).items():
            saved = tensors[f"{part}.{name}"]
            _check(f"{part}.{name}", saved, view)
            view[...] = saved
    agent.network.refresh()
    if everything:
        _restore_ring(agent, tensors["ring.records"], tensors["ring.cursor"])
        columns = {name: tensors[f"history.{name}"] for name in agent.history}
        for name, own in agent.history.items():
            _check(f"history.{name}", columns[name], own, n_rows=len(columns["epoch"]))
        agent.history.restore(columns)
        for role, rng in agent.streams.items():
            rng.bit_generator.state = metadata["streams"][role.name]
        counters = metadata["counters"]
        agent.network.updates = check_integer("updates", counters["updates"], 0, 2**62)
        agent.solved = bool(counters["solved"])


def _restore_ring(agent: Agent, records: NDArray[Any], cursor: NDArray[Any]) -> None:
    agent.replay.restore(records, cursor)
    highest = int((records[:, -1] & np.uint64(0xFFFF)).max(initial=0))  # of the actions: csrc/replay.h
    if highest >= agent.env.n_actions:
        raise ValueError(f"ring.records has an action {highest}, where {agent.env.n_actions - 1} is the highest")


def _check(name: str, saved: NDArray[Any], own: NDArray[Any], n_rows: int | None = None) -> None:
    """Raise ValueError unless `saved` is like `own` (but for `n_rows` rows) and, if it is of a network, finite."""
    shape = own.shape if n_rows is None else (n_rows, *own.shape[1:])
    if saved.shape != shape or saved.dtype != own.dtype:
        raise ValueError(f"{name} should be {own.dtype} {shape}, is {saved.dtype} {saved.shape}")
    if n_rows is None and not np.isfinite(saved).all():
        raise ValueError(f"{name} is not finite")
