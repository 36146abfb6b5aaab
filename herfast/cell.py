"""One cell of a sweep: a game, a preset, a seed and all settings; how it is learnt in a folder, and the rows it gives.

Its folder is that of a run of `herfast train`, and has the cell's name. "ended" in config.json, written last, says that
it is finished, and "cycles" how long its history is; its checkpoint is then removed.
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
from numpy.typing import NDArray

from herfast import runs
from herfast.config import Config, Preset, config_fields
from herfast.envs import BitFlip
from herfast.training import last_cycle, learn_in

if TYPE_CHECKING:
    from herfast.agent import Agent

CHECKPOINT_EVERY = 10  # epochs
ENDED, MACHINE = "ended", "machine"  # in config.json, of a cell that is finished

_WHAT, _WHERE = ("cell", "n_bits", "max_steps", "preset", "seed"), (ENDED, MACHINE, "version")
_MEANS, _LAST = ("success", "return", "loss"), ("greedy_success", "env_steps", "episodes", "updates", "seconds")
_NOTHING = {"epoch": 0, **dict.fromkeys((*_MEANS, "greedy_success"), float("nan")), **dict.fromkeys(_LAST[1:], 0)}
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


def learn(cell: Cell, folder: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Learn `cell` to its end in `folder`, from its last checkpoint if there is one; or until `stopped`, and save it.

    Learning that diverges is an end, too. Raises BlockingIOError if another process learns it, FileExistsError if the
    folder holds something else, OSError if it cannot be written.
    """
    with runs.claimed(folder):
        there = runs.describe(folder)
        if there is not None and _described(there) != cell:
            raise FileExistsError(f"{folder} holds another run than the cell of that name: move it away")
        agent = _resumed(cell, folder) or _begun(cell, folder)

        def after_epoch(epoch: int, go_on: bool) -> None:
            if go_on and epoch % CHECKPOINT_EVERY == 0:
                agent.save(folder / runs.CHECKPOINT, replay=True)

        try:
            learn_in(agent, folder, stopped, after_epoch)
        except FloatingPointError:
            _end(folder, cell, "diverged", agent.cycles)
            return
        agent.save(folder / runs.AGENT)
        if agent.solved or agent.cycles >= last_cycle(agent.config):
            _end(folder, cell, "solved" if agent.solved else "epochs", agent.cycles)
        else:
            agent.save(folder / runs.CHECKPOINT, replay=True)


def _described(description: Mapping[str, Any]) -> Cell | None:
    """The cell that config.json describes; None for what is none, or has other settings than those of this version."""
    try:
        game = BitFlip(description["environment"]["n_bits"], description["environment"]["max_steps"])
        return Cell(game, description["preset"], description["seed"], Config(**description["config"]))
    except (KeyError, TypeError, ValueError):
        return None


def _begun(cell: Cell, folder: Path) -> Agent:
    from herfast.agent import Agent

    runs.check_free(folder, overwrite=True)
    runs.begin(folder, cell.description)
    return Agent(cell.game, cell.preset, cell.seed, **asdict(cell.config))


def _resumed(cell: Cell, folder: Path) -> Agent | None:
    """The agent of the checkpoint, if it can be read and is the cell's under way: else it is learnt from the start."""
    from herfast.agent import Agent

    try:
        agent = Agent.load(folder / runs.CHECKPOINT)
    except (OSError, ValueError):
        return None
    same = Cell(agent.env, agent.preset, agent.seed, agent.config) == cell
    return agent if same and agent.cycles < last_cycle(cell.config) else None


def _end(folder: Path, cell: Cell, how: str, cycles: int) -> None:
    machine = f"{platform.node()} ({platform.machine()}, {os.cpu_count()} cores)"
    runs.describe_as(folder, {**cell.description, ENDED: how, "cycles": cycles, MACHINE: machine})
    (folder / runs.CHECKPOINT).unlink(missing_ok=True)


def store(cell: Cell, folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of `cell`, which was learnt elsewhere, the one that says so last."""
    with runs.claimed(folder):
        runs.check_free(folder, overwrite=True)
        runs.begin(folder, cell.description)
        for name in sorted(files, key=lambda name: name == runs.CONFIG):
            runs.write_whole(folder / name, files[name])


def warm_up() -> None:
    """Compile the kernels, or load them, so that no cell's seconds hold the time for that."""
    from herfast.agent import Agent

    small = {"hidden": (8,), "episodes_per_cycle": 1, "updates_per_cycle": 1, "batch_size": 1, "capacity": 2}
    Agent(BitFlip(1), "notebook", 0, **small).learn(total_timesteps=1)


def rows(folder: Path) -> list[dict[str, Any]] | None:
    """The rows of the cell in `folder`, one an epoch: what it is, each field of Config, what came of it, and where.

    success, return and loss are means over the epoch's cycles, greedy_success that at its end, counts and seconds are
    since the start. `hidden` is text, as the command line takes it. A cell that diverges in its first cycle has a row
    for epoch 0. None unless the cell is finished and all of it is there, in a folder of its name.
    """
    description = runs.describe(folder) or {}
    cell = _described(description)
    if ENDED not in description or cell is None or cell.name != folder.name:
        return None
    try:
        history = runs.read_progress(folder / runs.PROGRESS)
        if len(history["epoch"]) != description["cycles"]:
            return None
        what = (cell.name, cell.game.n_bits, cell.game.max_steps, cell.preset, cell.seed)
        where = (description[ENDED], description[MACHINE], description["herfast"])
        fixed = {**dict(zip(_WHAT, what, strict=True)), **asdict(cell.config)}
        fixed |= {"hidden": ",".join(map(str, cell.config.hidden)), **dict(zip(_WHERE, where, strict=True))}
        epochs = [history["epoch"] == epoch for epoch in np.unique(history["epoch"])]
        found = [{**fixed, **_epoch(history, cycles)} for cycles in epochs] or [{**fixed, **_NOTHING}]
        return [{name: row[name] for name in COLUMNS} for row in found]
    except (KeyError, ValueError, OSError):  # damaged
        return None


def _epoch(history: Mapping[str, NDArray[Any]], cycles: NDArray[np.bool_]) -> dict[str, Any]:
    """What came of the epoch that has these cycles."""
    means = {name: float(history[name][cycles].mean()) for name in _MEANS}
    return {**means, **{name: history[name][cycles][-1].item() for name in ("epoch", *_LAST)}}
