"""An agent's state as named arrays and JSON: what goes into its file, and how it comes back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from herfast.checkpoint import Tensors

if TYPE_CHECKING:
    from herfast.agent import Agent

COUNTERS = ("cycles", "env_steps", "episodes", "seconds", "solved")
PLAYING = ("online", "target")
LEARNING = (*PLAYING, "moment1", "moment2")


def take(agent: Agent, everything: bool) -> tuple[Tensors, dict[str, Any]]:
    """What a file holds, tensors and metadata: networks, game and settings; or `everything` that learning needs."""
    metadata: dict[str, Any] = {
        "environment": {"id": "BitFlip", "n_bits": agent.env.n_bits, "max_steps": agent.env.max_steps},
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
        metadata["counters"] = {name: getattr(agent, name) for name in COUNTERS} | {"updates": agent.network.updates}
    return tensors, metadata


def restore(agent: Agent, tensors: Tensors, metadata: dict[str, Any]) -> None:
    """Give a new agent of the same game and settings what `take` took.

    Raises KeyError for what is missing, TypeError or ValueError for what does not fit.
    """
    everything = "counters" in metadata
    for part in LEARNING if everything else PLAYING:
        for name, view in agent.network.parameters(part).items():
            saved = tensors[f"{part}.{name}"]
            if saved.shape != view.shape or saved.dtype != view.dtype:
                raise ValueError(f"{part}.{name} should be {view.dtype} {view.shape}, is {saved.dtype} {saved.shape}")
            view[...] = saved
    agent.network.refresh()
    if everything:
        agent.replay.restore(tensors["ring.records"], tensors["ring.cursor"])
        agent.history.restore({name: tensors[f"history.{name}"] for name in agent.history})
        for role, rng in agent.streams.items():
            rng.bit_generator.state = metadata["streams"][role.name]
        for name in COUNTERS:
            setattr(agent, name, metadata["counters"][name])
        agent.network.updates = metadata["counters"]["updates"]
