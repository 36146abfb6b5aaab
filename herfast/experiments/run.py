"""Run folders: file names, creation, validation and plots.

A run folder contains:

- config.json: the herfast version, the environment, the preset, the seed and every field of Config. A resumed
  run writes its new limits there.
- progress.csv: the history. The row of a cycle is written as soon as the cycle ends.
- agent.safetensors: the agent, without its replay buffer.
- checkpoint.safetensors: the whole state of training. A resumed run equals one that was never stopped.
  A run that has saved neither this file nor its agent may be begun again.
- success, return and loss: the plots, each as .png and .svg.

Files of other programs in the folder are never changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herfast.callbacks.text_logs import read_csv_log
from herfast.common.atomic_file import check_not_special, write_file
from herfast.config import saved_fields
from herfast.envs.base import GoalEnv
from herfast.envs.registry import make_env
from herfast.experiments.sweep_folder import is_sweep_folder
from herfast.plotting.run_plots import PLOT_FILES, plot_run
from herfast.version import __version__

if TYPE_CHECKING:
    from herfast.dqn.agent import Agent

CONFIG_FILE = "config.json"
PROGRESS_FILE = "progress.csv"
AGENT_FILE = "agent.safetensors"
CHECKPOINT_FILE = "checkpoint.safetensors"
ENDED = "ended"  # key in config.json of a finished trial: how it ended
RUN_FILES = (CONFIG_FILE, PROGRESS_FILE, AGENT_FILE, CHECKPOINT_FILE, *PLOT_FILES)


def check_folder_free(folder: Path, overwrite: bool) -> None:
    """Check that a run may be written to `folder`.

    Args:
        folder: the folder, which need not exist. It may contain files of other programs.
        overwrite: whether a run in it may be replaced.

    Raises:
        NotADirectoryError: `folder` is a file.
        FileExistsError: it contains a sweep, a run that has saved something, or a file with a name from
            RUN_FILES that herfast did not write.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: choose a folder for the run")
    if is_sweep_folder(folder):
        raise FileExistsError(f"{folder} contains a sweep: choose another folder for the run")
    taken = [name for name in RUN_FILES if (folder / name).exists()]
    if taken and read_config(folder) is None:
        raise FileExistsError(
            f"{folder} contains a {taken[0]} that herfast did not write: choose another --out"
        )
    if taken and _has_results(folder) and not overwrite:
        raise FileExistsError(
            f"{folder} already contains a run: "
            "continue it with herfast resume, or replace it with --overwrite"
        )


def find_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint of a run, or None if the run has not saved anything.

    Raises:
        FileNotFoundError: `folder` contains no run, or a finished one without a checkpoint.
    """
    if read_config(folder) is None:
        raise FileNotFoundError(
            f"{folder} is not the folder of a run: it contains no {CONFIG_FILE} written by herfast"
        )
    if (folder / CHECKPOINT_FILE).is_file():
        return folder / CHECKPOINT_FILE
    if _has_results(folder):
        raise FileNotFoundError(
            f"{folder} contains no {CHECKPOINT_FILE} to resume from: use herfast train --overwrite"
        )
    return None


def load_run(folder: Path) -> Agent:
    """Return the agent of the run in `folder`, from where its training continues.

    Without a checkpoint it is a new agent, as config.json describes it.

    Raises:
        FileNotFoundError: as `find_checkpoint`.
        OSError, ValueError, MemoryError: as `Agent.load`, or config.json is damaged.
    """
    from herfast.dqn.agent import Agent

    checkpoint = find_checkpoint(folder)
    if checkpoint is not None:
        return Agent.load(checkpoint)
    description = read_config(folder) or {}
    try:
        env = make_env(description["environment"])
        fields = saved_fields(description["config"])
        return Agent(env, description["preset"], description["seed"], **fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / CONFIG_FILE} does not describe a run: {error}") from error


def has_ended(folder: Path) -> bool:
    """Return True if config.json records the end of a trial.

    Unlike `herfast.experiments.trial.trial_rows`, it reads no other file.
    """
    return ENDED in (read_config(folder) or {})


def _has_results(folder: Path) -> bool:
    """Return True if the run in `folder` has saved an agent, or is a finished trial."""
    saved = any((folder / name).exists() for name in (AGENT_FILE, CHECKPOINT_FILE))
    return saved or has_ended(folder)


def create_run(folder: Path, description: Mapping[str, Any]) -> None:
    """Remove the files of an older run from `folder` and write config.json.

    Args:
        folder: the folder, which exists.
        description: the contents of config.json, as from `describe_run`.
    """
    # config.json is replaced, not removed, since it marks the other files as herfast's, even after a crash.
    for name in RUN_FILES:
        if name != CONFIG_FILE:
            (folder / name).unlink(missing_ok=True)
    write_config(folder, description)


def update_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Replace the fields of Config in config.json, atomically."""
    write_config(folder, {**(read_config(folder) or {}), "config": config})


def describe_run(env: GoalEnv, preset: str, seed: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of config.json.

    Args:
        env: the environment.
        preset: the preset's name.
        seed: the agent's seed.
        fields: every field of Config.
    """
    return {
        "herfast": __version__,
        "environment": env.spec(),
        "preset": preset,
        "seed": seed,
        "config": fields,
    }


def write_config(folder: Path, description: Mapping[str, Any]) -> None:
    """Write `description` to config.json, atomically."""
    write_file(folder / CONFIG_FILE, (json.dumps(description, indent=2) + "\n").encode())


def read_config(folder: Path) -> dict[str, Any] | None:
    """Return the contents of config.json, or None if herfast has not written one."""
    try:
        check_not_special(folder / CONFIG_FILE)
        description = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if isinstance(description, dict) and "herfast" in description:
        return description
    return None


def find_file(path: Path, name: str) -> Path:
    """Return the path of a file of a run.

    Args:
        path: the run's folder, or the file itself.
        name: the name of the file in the folder.

    Raises:
        FileNotFoundError: `path` does not exist, or it is a folder without the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_dir():
        return path
    if not (path / name).exists():
        if read_config(path) is None:
            raise FileNotFoundError(f"{path} is not the folder of a run: it contains no {name}")
        raise FileNotFoundError(
            f"{path} contains no {name}: the run is unfinished or failed; see its {PROGRESS_FILE}"
        )
    return path / name


def plot_run_folder(path: Path) -> list[Path]:
    """Draw the plots of a run into the folder of its progress.csv.

    Args:
        path: the run's folder, or its progress.csv.

    Returns:
        The paths of the plots.

    Raises:
        FileNotFoundError: there is no progress.csv.
        ValueError: the file is not the history of a run.
        OSError, ImportError: as `plot_run`.
    """
    csv_log = find_file(path, PROGRESS_FILE)
    try:
        config = read_config(csv_log.parent) or {}
        env = make_env(config["environment"])
        title = f"{env.describe()}, preset {config['preset']}, seed {config['seed']}"
    except (KeyError, TypeError, ValueError):  # config.json is missing, foreign or edited
        title = ""
    return plot_run(read_csv_log(csv_log), csv_log.parent, title)
