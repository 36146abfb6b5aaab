"""Trials: the runs of a sweep.

A trial is determined by its environment, preset, seed and settings.

The folder of a trial is a run folder with the trial's name. When a trial is finished, its config.json is
written a last time, with how it ended ("ended") and the length of its history ("cycles"). Then its checkpoint
is removed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from herfast.callbacks.text_logs import read_csv_log
from herfast.common.atomic_file import locked, write_file
from herfast.common.history import columns_by
from herfast.config import CHECKPOINT_EVERY, OLDER_BEHAVIOUR, Config, config_fields, saved_fields
from herfast.envs.base import GoalEnv
from herfast.envs.bit_flip import BitFlip
from herfast.envs.registry import env_label, make_env
from herfast.experiments.run import (
    AGENT_FILE,
    CHECKPOINT_FILE,
    CONFIG_FILE,
    ENDED,
    PROGRESS_FILE,
    check_folder_free,
    create_run,
    describe_run,
    read_config,
    write_config,
)
from herfast.experiments.run_training import CheckpointCallback, is_finished, train_in_folder
from herfast.presets import Preset

if TYPE_CHECKING:
    from herfast.dqn.agent import Agent

MACHINE = "machine"  # key in config.json of a finished trial: the machine that trained it
_TRIAL_COLUMNS = ("cell", "n_bits", "max_steps", "preset", "seed")
_EPOCH_COLUMNS = ("epoch", *columns_by("mean"), *columns_by("final"), *columns_by("total"))
_ORIGIN_COLUMNS = (ENDED, MACHINE, "version", "env")
RESULT_COLUMNS = (*_TRIAL_COLUMNS, *config_fields(), *_EPOCH_COLUMNS, *_ORIGIN_COLUMNS)


@dataclass(frozen=True)
class Trial:
    """Everything that determines a trial's results."""

    env: GoalEnv
    preset: Preset
    seed: int
    config: Config

    @property
    def name(self) -> str:
        """Name of the trial's folder, see `trial_name`."""
        return trial_name(self.env, self.preset, self.seed, asdict(self.config))

    @property
    def description(self) -> dict[str, Any]:
        """Contents of config.json until the trial is finished."""
        return describe_run(self.env, self.preset, self.seed, asdict(self.config))

    def is_same(self, other: Trial | None) -> bool:
        """Return True if the other trial has the same settings.

        Environments are compared by their specs.
        """
        return other is not None and self.description == other.description


def trial_name(env: GoalEnv, preset: Preset, seed: int, fields: Mapping[str, Any]) -> str:
    """Return the name of a folder: frequently varied settings and a digest of all.

    Fields that have the effect of herfast 0.1.0 without them are left out, so that its sweeps can be resumed.
    """
    spec = env.spec()
    identity: list[Any] = [spec]
    if spec["id"] == "BitFlip":  # as in herfast 0.1.0
        identity = [value for name, value in spec.items() if name != "id"]
    older = OLDER_BEHAVIOUR.items()
    settings = {name: value for name, value in fields.items() if (name, value) not in older}
    contents = [*identity, preset, seed, settings]
    digest = sha256(dumps(contents, sort_keys=True).encode()).hexdigest()[:12]
    return f"{env_label(env)}-{preset}-k{fields['k']}-seed{seed}-{digest}"


def train_trial(trial: Trial, folder: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Train `trial` in `folder` to its end, from its last checkpoint if it has one.

    A trial that diverges is finished, too.

    Args:
        trial: the trial.
        folder: its folder, which is created if it does not exist.
        stopped: called after each cycle. If it returns True, a checkpoint is saved and training stops.

    Raises:
        BlockingIOError: another process uses the folder.
        FileExistsError: the folder contains another run, or files that herfast did not write.
        OSError: the folder cannot be written to.
    """
    with locked(folder):
        existing = read_config(folder)
        if existing is not None and not trial.is_same(_trial_of(existing)):
            raise FileExistsError(
                f"{folder} contains a run with other settings than the trial of that name: move it away"
            )
        agent = _resume_agent(trial, folder) or _create_agent(trial, folder)
        checkpoint = CheckpointCallback(folder, CHECKPOINT_EVERY, stopped, save=_save_checkpoint)
        try:
            train_in_folder(agent, folder, [checkpoint, lambda agent: not stopped()])
        except FloatingPointError:
            _finish(folder, trial, "diverged", agent.cycles)
            return
        agent.save(folder / AGENT_FILE)
        if agent.solved:
            _finish(folder, trial, "solved", agent.cycles)
        elif is_finished(agent):
            _finish(folder, trial, "epochs", agent.cycles)
        else:
            _save_checkpoint(agent, folder)


def _save_checkpoint(agent: Agent, folder: Path) -> None:
    agent.save(folder / CHECKPOINT_FILE, replay=True)


def _trial_of(description: Mapping[str, Any]) -> Trial | None:
    """Return the trial that config.json describes, or None if it is invalid."""
    try:
        env = make_env(description["environment"])
        return Trial(
            env, description["preset"], description["seed"], Config(**saved_fields(description["config"]))
        )
    except (KeyError, TypeError, ValueError):
        return None


def _create_agent(trial: Trial, folder: Path) -> Agent:
    """Create the run in `folder` and return a new agent."""
    from herfast.dqn.agent import Agent

    check_folder_free(folder, overwrite=True)
    create_run(folder, trial.description)
    env = trial.env
    if getattr(env, "holds_state", False):  # other trials run at the same time
        env = make_env(env.spec())
    return Agent(env, trial.preset, trial.seed, threads=1, **asdict(trial.config))


def _resume_agent(trial: Trial, folder: Path) -> Agent | None:
    """Return the agent of the checkpoint.

    None if it is missing, damaged, of another trial or at the end of training: the trial then starts again.
    """
    from herfast.dqn.agent import Agent

    try:
        agent = Agent.load(folder / CHECKPOINT_FILE, threads=1)
    except (OSError, ValueError):
        return None
    if not trial.is_same(Trial(agent.env, agent.preset, agent.seed, agent.config)) or is_finished(agent):
        return None
    return agent


def _finish(folder: Path, trial: Trial, ended: str, cycles: int) -> None:
    """Record in config.json how the trial ended, and remove its checkpoint."""
    machine = f"{platform.node()} ({platform.machine()}, {os.cpu_count()} cores)"
    write_config(folder, {**trial.description, ENDED: ended, "cycles": cycles, MACHINE: machine})
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)


def store_files(trial: Trial, folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a trial that another machine trained.

    config.json, which marks the trial as finished, is written last.

    Args:
        trial: the trial.
        folder: its folder, which is created if it does not exist.
        files: their contents by name.

    Raises:
        BlockingIOError, FileExistsError, OSError: as `train_trial`.
    """
    with locked(folder):
        check_folder_free(folder, overwrite=True)
        create_run(folder, trial.description)
        for name in sorted(files, key=lambda name: name == CONFIG_FILE):
            write_file(folder / name, files[name])


def warm_up_kernels(configs: Iterable[Config]) -> None:
    """Compile or load the kernels, so that no trial's seconds include that time.

    Args:
        configs: the settings of the trials. Kernels differ by depth, dueling and advantage gap.
    """
    from herfast.dqn.agent import Agent

    small: dict[str, Any] = {
        "episodes_per_cycle": 1,
        "updates_per_cycle": 1,
        "batch_size": 1,
        "capacity": 2,
    }
    kinds = {(len(config.hidden) > 1, config.dueling, config.advantage_gap > 0) for config in configs}
    for is_deep, dueling, has_gap in sorted(kinds):
        small["hidden"] = (8,) * (1 + is_deep)
        small["dueling"] = dueling
        small["advantage_gap"] = 0.5 * has_gap
        Agent(BitFlip(1), "notebook", 0, **small).learn(total_timesteps=1)


def trial_rows(folder: Path) -> list[dict[str, Any]] | None:
    """Return the rows of the finished trial in `folder`, one per epoch.

    A row has the trial's settings, its results and its origin:

    - success, return and loss are means over the cycles of the epoch.
    - greedy_success is the value at the end of the epoch.
    - Counts and seconds are totals since the start of the trial.
    - hidden is text, in the format of the command line.
    - env is the environment's spec as JSON.

    A trial that diverges in its first cycle has one row, for epoch 0.

    Returns:
        The rows. None if the trial is not finished, is damaged, or the folder does not have its name.
    """
    description = read_config(folder) or {}
    trial = _trial_of(description)
    if ENDED not in description or trial is None:
        return None
    # As in the file, where initial weights of an older version have another name.
    fields = {**asdict(trial.config), "init": description["config"].get("init", trial.config.init)}
    if trial_name(trial.env, trial.preset, trial.seed, fields) != folder.name:
        return None
    try:
        history = read_csv_log(folder / PROGRESS_FILE)
        if len(history["epoch"]) != description["cycles"]:
            return None
        fixed = {
            "cell": folder.name,
            "n_bits": trial.env.n_state_bits,
            "max_steps": trial.env.max_steps,
            "preset": trial.preset,
            "seed": trial.seed,
            **fields,
            "hidden": ",".join(map(str, trial.config.hidden)),
            ENDED: description[ENDED],
            MACHINE: description[MACHINE],
            "version": description["herfast"],
            "env": dumps(trial.env.spec()),
        }
        epochs = [_epoch_row(history, history["epoch"] == epoch) for epoch in np.unique(history["epoch"])]
        if not epochs:
            epochs = [_no_epoch()]
        rows = []
        for epoch in epochs:
            row = {**fixed, **epoch}
            rows.append({name: row[name] for name in RESULT_COLUMNS})
        return rows
    except (KeyError, ValueError, OSError):  # damaged
        return None


def _epoch_row(history: Mapping[str, NDArray[Any]], cycles: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the results of the epoch with these cycles, a mask bool[cycles]."""
    row: dict[str, Any] = {}
    for name in columns_by("mean"):
        row[name] = float(history[name][cycles].mean())
    for name in ("epoch", *columns_by("final"), *columns_by("total")):
        row[name] = history[name][cycles][-1].item()
    return row


def _no_epoch() -> dict[str, Any]:
    """Return the results of a trial that diverged in its first cycle."""
    unknown = dict.fromkeys((*columns_by("mean"), *columns_by("final")), float("nan"))
    return {"epoch": 0, **unknown, **dict.fromkeys(columns_by("total"), 0)}
