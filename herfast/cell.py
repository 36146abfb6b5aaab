"""One cell of a sweep: a game, a preset, a seed and all settings; how it is learnt in a folder, and the rows it gives.

Its folder is that of a run of `herfast train`. "ended" in config.json, written last, says that the cell is finished;
its checkpoint is then removed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from herfast import runs
from herfast.config import Config, Preset, config_fields
from herfast.envs import BitFlip
from herfast.training import last_cycle

if TYPE_CHECKING:
    from herfast.agent import Agent

CHECKPOINT_EVERY = 10  # epochs
ENDED, MACHINE = "ended", "machine"  # in config.json, of a cell that is finished

_WHAT, _WHERE = ("cell", "n_bits", "max_steps", "preset", "seed"), (ENDED, MACHINE, "version")
_MEANS, _LAST = ("success", "return", "loss"), ("greedy_success", "env_steps", "episodes", "updates", "seconds")
COLUMNS = (*_WHAT, *config_fields(), "epoch", *_MEANS, *_LAST, *_WHERE)


@dataclass(frozen=True)
class Cell:
    """What is learnt: nothing else has a say in the numbers."""

    game: BitFlip
    preset: Preset
    seed: int
    config: Config

    @property
    def name(self) -> str:
        """The name of its folder: what most sweeps vary, and a digest of all that it is."""
        what = [self.game.n_bits, self.game.max_steps, self.preset, self.seed, asdict(self.config)]
        digest = sha256(dumps(what, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.game.n_bits}bits-{self.preset}-k{self.config.k}-seed{self.seed}-{digest}"

    @property
    def description(self) -> dict[str, Any]:
        """What config.json says of it."""
        return runs.description(self.game, self.preset, self.seed, asdict(self.config))


def ended(folder: Path) -> bool:
    """Whether the cell in `folder` is finished."""
    return ENDED in (runs.describe(folder) or {})


def learn(cell: Cell, folder: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Learn `cell` to its end in `folder`, from its last checkpoint if there is one; or until `stopped`, and save it.

    Learning that diverges is an end, too. Raises BlockingIOError if another process learns it, OSError if it cannot be
    written.
    """
    with runs.claimed(folder):
        agent = _resumed(folder) or _begun(cell, folder)
        try:
            _learn(agent, folder, stopped)
        except FloatingPointError:
            _end(folder, cell, "diverged")
            return
        agent.save(folder / runs.AGENT)
        if agent.solved or agent.cycles >= last_cycle(agent.config):
            _end(folder, cell, "solved" if agent.solved else "epochs")
        else:
            agent.save(folder / runs.CHECKPOINT, replay=True)


def _begun(cell: Cell, folder: Path) -> Agent:
    from herfast.agent import Agent

    runs.begin(folder, cell.description)
    return Agent(cell.game, cell.preset, cell.seed, **asdict(cell.config))


def _resumed(folder: Path) -> Agent | None:
    """The agent of the checkpoint. None without one that can be read: then the cell gives the same from the start."""
    from herfast.agent import Agent

    try:
        return Agent.load(folder / runs.CHECKPOINT)
    except (OSError, ValueError):
        return None


def _learn(agent: Agent, folder: Path, stopped: Callable[[], bool]) -> None:
    config, last = agent.config, last_cycle(agent.config)
    with runs.Progress(folder) as progress:
        progress.write(agent.history)

        def after_cycle(agent: Agent) -> bool:
            progress.write(agent.history)
            epoch, within = divmod(agent.cycles, config.cycles_per_epoch)
            go_on = agent.cycles < last and not stopped()
            if go_on and within == 0 and epoch % CHECKPOINT_EVERY == 0:
                agent.save(folder / runs.CHECKPOINT, replay=True)
            return go_on

        agent.learn(config.epochs, until=config.until, callback=after_cycle)


def _end(folder: Path, cell: Cell, how: str) -> None:
    machine = f"{platform.node()} ({platform.machine()}, {os.cpu_count()} cores)"
    runs.describe_as(folder, {**cell.description, ENDED: how, MACHINE: machine})
    (folder / runs.CHECKPOINT).unlink(missing_ok=True)


def store(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a cell that was learnt elsewhere, the one that says so last."""
    with runs.claimed(folder):
        for name in sorted(files, key=lambda name: name == runs.CONFIG):
            runs.write_whole(folder / name, files[name])


def rows(folder: Path) -> list[dict[str, Any]]:
    """The finished cell's rows, one an epoch: what it is, every field of Config, what came of it, where and by what.

    success, return and loss are means over the epoch's cycles, greedy_success that at its end, counts and seconds are
    since the start. `hidden` is text, as the command line takes it.
    """
    description = runs.describe(folder) or {}
    game, config = description["environment"], description["config"]
    what = (folder.name, game["n_bits"], game["max_steps"], description["preset"], description["seed"])
    where = (description[ENDED], description[MACHINE], description["herfast"])
    fixed = {**dict(zip(_WHAT, what, strict=True)), **config, "hidden": ",".join(map(str, config["hidden"]))}
    history = runs.read_progress(folder / runs.PROGRESS)
    found = []
    for epoch in np.unique(history["epoch"]).tolist():
        cycles = history["epoch"] == epoch
        means = {name: float(history[name][cycles].mean()) for name in _MEANS}
        last = {name: history[name][cycles][-1].item() for name in _LAST}
        row = {**fixed, "epoch": epoch, **means, **last, **dict(zip(_WHERE, where, strict=True))}
        found.append({name: row.get(name) for name in COLUMNS})
    return found
