"""One trial of a sweep: an environment, a preset, a seed and all settings; its training in a folder, and its rows.

Its folder is that of a run of `herfast train`, and has the trial's name. "ended" in config.json, written last, says
that it is finished, and "cycles" how long its history is; its checkpoint is then removed.
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

from herfast.callbacks.text_logs import read_csv_log
from herfast.common.atomic_file import locked, write_file
from herfast.config import Config, config_fields
from herfast.envs.bit_flip import BitFlip
from herfast.experiments.run import (
    AGENT_FILE,
    CHECKPOINT_FILE,
    CONFIG_FILE,
    PROGRESS_FILE,
    check_folder_free,
    create_run,
    describe_run,
    last_cycle,
    read_config,
    train_in_folder,
    write_config,
)
from herfast.presets import Preset

if TYPE_CHECKING:
    from herfast.dqn.agent import Agent

CHECKPOINT_EVERY = 10  # epochs
ENDED, MACHINE = "ended", "machine"  # in config.json, of a cell that is finished
_TRIAL_COLUMNS = ("cell", "n_bits", "max_steps", "preset", "seed")
_MEAN_COLUMNS = ("success", "return", "loss")  # over an epoch's cycles
_LAST_COLUMNS = ("greedy_success", "env_steps", "episodes", "updates", "seconds")  # at an epoch's end
_ORIGIN_COLUMNS = (ENDED, MACHINE, "version")
_NO_EPOCH = {
    "epoch": 0,
    **dict.fromkeys((*_MEAN_COLUMNS, "greedy_success"), float("nan")),
    **dict.fromkeys(_LAST_COLUMNS[1:], 0),
}
RESULT_COLUMNS = (*_TRIAL_COLUMNS, *config_fields(), "epoch", *_MEAN_COLUMNS, *_LAST_COLUMNS, *_ORIGIN_COLUMNS)


@dataclass(frozen=True)
class Trial:
    """Everything that determines a trial's results."""

    env: BitFlip
    preset: Preset
    seed: int
    config: Config

    @property
    def name(self) -> str:
        """The name of its folder: what most sweeps vary, and a digest of all that it is."""
        contents = [self.env.n_bits, self.env.max_steps, self.preset, self.seed, asdict(self.config)]
        digest = sha256(dumps(contents, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.env.n_bits}bits-{self.preset}-k{self.config.k}-seed{self.seed}-{digest}"

    @property
    def description(self) -> dict[str, Any]:
        """What config.json says of it."""
        return describe_run(self.env, self.preset, self.seed, asdict(self.config))


def train_trial(trial: Trial, folder: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Learn `trial` to its end in `folder`, from its last checkpoint if there is one; or until `stopped`, and save it.

    Learning that diverges is an end, too. Raises BlockingIOError if another process learns it, FileExistsError if the
    folder holds something else, OSError if it cannot be written.
    """
    with locked(folder):
        existing = read_config(folder)
        if existing is not None and _trial_of(existing) != trial:
            raise FileExistsError(f"{folder} holds another run than the cell of that name: move it away")
        agent = _resume_agent(trial, folder) or _create_agent(trial, folder)

        def after_epoch(epoch: int, continues: bool) -> None:
            if continues and epoch % CHECKPOINT_EVERY == 0:
                agent.save(folder / CHECKPOINT_FILE, replay=True)

        try:
            train_in_folder(agent, folder, stopped, after_epoch)
        except FloatingPointError:
            _finish(folder, trial, "diverged", agent.cycles)
            return
        agent.save(folder / AGENT_FILE)
        if agent.solved or agent.cycles >= last_cycle(agent.config):
            _finish(folder, trial, "solved" if agent.solved else "epochs", agent.cycles)
        else:
            agent.save(folder / CHECKPOINT_FILE, replay=True)


def _trial_of(description: Mapping[str, Any]) -> Trial | None:
    """The cell that config.json describes; None for what is none, or has other settings than those of this version."""
    try:
        env = BitFlip(description["environment"]["n_bits"], description["environment"]["max_steps"])
        return Trial(env, description["preset"], description["seed"], Config(**description["config"]))
    except (KeyError, TypeError, ValueError):
        return None


def _create_agent(trial: Trial, folder: Path) -> Agent:
    from herfast.dqn.agent import Agent

    check_folder_free(folder, overwrite=True)
    create_run(folder, trial.description)
    return Agent(trial.env, trial.preset, trial.seed, **asdict(trial.config))


def _resume_agent(trial: Trial, folder: Path) -> Agent | None:
    """The agent of the checkpoint, if it can be read and is the cell's under way: else it is learnt from the start."""
    from herfast.dqn.agent import Agent

    try:
        agent = Agent.load(folder / CHECKPOINT_FILE)
    except (OSError, ValueError):
        return None
    same = Trial(agent.env, agent.preset, agent.seed, agent.config) == trial
    return agent if same and agent.cycles < last_cycle(trial.config) else None


def _finish(folder: Path, trial: Trial, ended: str, cycles: int) -> None:
    machine = f"{platform.node()} ({platform.machine()}, {os.cpu_count()} cores)"
    write_config(folder, {**trial.description, ENDED: ended, "cycles": cycles, MACHINE: machine})
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)


def store_files(trial: Trial, folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of `trial`, which was learnt elsewhere, the one that says so last."""
    with locked(folder):
        check_folder_free(folder, overwrite=True)
        create_run(folder, trial.description)
        for name in sorted(files, key=lambda name: name == CONFIG_FILE):
            write_file(folder / name, files[name])


def warm_up_kernels() -> None:
    """Compile the kernels, or load them, so that no cell's seconds hold the time for that."""
    from herfast.dqn.agent import Agent

    small = {"hidden": (8,), "episodes_per_cycle": 1, "updates_per_cycle": 1, "batch_size": 1, "capacity": 2}
    Agent(BitFlip(1), "notebook", 0, **small).learn(total_timesteps=1)


def trial_rows(folder: Path) -> list[dict[str, Any]] | None:
    """The rows of the cell in `folder`, one an epoch: what it is, each field of Config, what came of it, and where.

    success, return and loss are means over the epoch's cycles, greedy_success that at its end, counts and seconds are
    since the start. `hidden` is text, as the command line takes it. A cell that diverges in its first cycle has a row
    for epoch 0. None unless the cell is finished and all of it is there, in a folder of its name.
    """
    description = read_config(folder) or {}
    trial = _trial_of(description)
    if ENDED not in description or trial is None or trial.name != folder.name:
        return None
    try:
        history = read_csv_log(folder / PROGRESS_FILE)
        if len(history["epoch"]) != description["cycles"]:
            return None
        identity = (trial.name, trial.env.n_bits, trial.env.max_steps, trial.preset, trial.seed)
        origin = (description[ENDED], description[MACHINE], description["herfast"])
        fixed = {**dict(zip(_TRIAL_COLUMNS, identity, strict=True)), **asdict(trial.config)}
        fixed |= {"hidden": ",".join(map(str, trial.config.hidden)), **dict(zip(_ORIGIN_COLUMNS, origin, strict=True))}
        epochs = [history["epoch"] == epoch for epoch in np.unique(history["epoch"])]
        rows = [{**fixed, **_epoch_row(history, cycles)} for cycles in epochs] or [{**fixed, **_NO_EPOCH}]
        return [{name: row[name] for name in RESULT_COLUMNS} for row in rows]
    except (KeyError, ValueError, OSError):  # damaged
        return None


def _epoch_row(history: Mapping[str, NDArray[Any]], cycles: NDArray[np.bool_]) -> dict[str, Any]:
    """What came of the epoch that has these cycles."""
    means = {name: float(history[name][cycles].mean()) for name in _MEAN_COLUMNS}
    return {**means, **{name: history[name][cycles][-1].item() for name in ("epoch", *_LAST_COLUMNS)}}
