"""The folder of a run: which files are its own, when it may be written, and how it is read back.

    config.json             what was asked for: the version, the game, the preset, the seed, every field of Config;
                            who goes on with the run may ask for other limits, and they are written there
    progress.csv            the history, one row a cycle, each written as soon as the cycle ends
    agent.safetensors       the agent, to play with
    checkpoint.safetensors  everything, to go on learning from as if the run had never been stopped
    success, return and loss, each as .png and .svg

A run never touches a file that is not its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herfast.callbacks.text_logs import CsvLog, read_csv_log
from herfast.common.atomic_file import write_file
from herfast.common.version import __version__
from herfast.config import Config
from herfast.envs.bit_flip import BitFlip
from herfast.plotting.run_plots import PLOT_FILES, plot_run

if TYPE_CHECKING:
    from herfast.dqn.agent import Agent

CONFIG_FILE = "config.json"
PROGRESS_FILE = "progress.csv"
AGENT_FILE = "agent.safetensors"
CHECKPOINT_FILE = "checkpoint.safetensors"
RUN_FILES = (CONFIG_FILE, PROGRESS_FILE, AGENT_FILE, CHECKPOINT_FILE, *PLOT_FILES)


def check_folder_free(folder: Path, overwrite: bool) -> None:
    """Raises FileExistsError or NotADirectoryError unless a run may be written into `folder`."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, where the folder of a run is wanted")
    taken = [name for name in RUN_FILES if (folder / name).exists()]
    if taken and read_config(folder) is None:
        raise FileExistsError(f"{folder} holds a {taken[0]} that is not of a run of herfast: choose another --out")
    if taken and not overwrite:
        raise FileExistsError(f"{folder} already holds a run: --resume goes on with it, --overwrite replaces it")


def find_checkpoint(folder: Path) -> Path:
    """The checkpoint of the run in `folder`. Raises FileNotFoundError if there is no run, or none to go on from."""
    if read_config(folder) is None:
        raise FileNotFoundError(f"{folder} is not the folder of a run: it holds no {CONFIG_FILE} of herfast")
    if not (folder / CHECKPOINT_FILE).is_file():
        raise FileNotFoundError(f"{folder} holds no {CHECKPOINT_FILE} to go on from: train anew with --overwrite")
    return folder / CHECKPOINT_FILE


def create_run(folder: Path, description: Mapping[str, Any]) -> None:
    """Remove what an older run left in the folder, and write config.json."""
    for name in RUN_FILES:
        if name != CONFIG_FILE:  # which is replaced below: without it a run cannot be told from foreign files
            (folder / name).unlink(missing_ok=True)
    write_config(folder, description)


def update_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Put the fields of Config that are now in force into config.json, atomically, and leave the rest as it is."""
    write_config(folder, {**(read_config(folder) or {}), "config": config})


def describe_run(env: BitFlip, preset: str, seed: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What config.json says of a run."""
    environment = {"id": "BitFlip", "n_bits": env.n_bits, "max_steps": env.max_steps}  # as in the agent's file
    return {"herfast": __version__, "environment": environment, "preset": preset, "seed": seed, "config": fields}


def write_config(folder: Path, description: Mapping[str, Any]) -> None:
    """Write config.json, atomically."""
    write_file(folder / CONFIG_FILE, (json.dumps(description, indent=2) + "\n").encode())


def read_config(folder: Path) -> dict[str, Any] | None:
    """What config.json says, or None if there is none of ours."""
    try:
        description = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return description if isinstance(description, dict) and "herfast" in description else None


def find_file(path: Path, name: str) -> Path:
    """The file `name` of the run in folder `path`; or `path` itself, if it is a file. Raises FileNotFoundError."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_dir():
        return path
    if not (path / name).exists():
        if read_config(path) is None:
            raise FileNotFoundError(f"{path} holds no {name}, so it is not the folder of a run")
        raise FileNotFoundError(
            f"{path} holds no {name}: the run is not over, or did not end well; see its {PROGRESS_FILE}"
        )
    return path / name


def plot_run_folder(path: Path) -> list[Path]:
    """Draw the plots of a run beside its progress.csv; `path` is its folder or that file. Raises as `plot_run`."""
    csv_log = find_file(path, PROGRESS_FILE)
    try:
        config = read_config(csv_log.parent) or {}
        title = f"{config['environment']['n_bits']} bits, preset {config['preset']}, seed {config['seed']}"
    except (KeyError, TypeError):  # no config.json of ours, or one that was edited
        title = ""
    return plot_run(read_csv_log(csv_log), csv_log.parent, title)


def train_in_folder(
    agent: Agent,
    folder: Path,
    stopped: Callable[[], bool],
    after_epoch: Callable[[int, bool], None],
    progress_bar: bool = False,
) -> None:
    """Learn up to Config's `epochs` and `until`, or until `stopped`, writing the history into `folder` as it grows.

    `after_epoch` is told how many epochs are done, and whether learning goes on.
    """
    config = agent.config
    last = last_cycle(config)
    with CsvLog(folder / PROGRESS_FILE) as log:
        log.write(agent.history)

        def after_cycle(agent: Agent) -> bool:
            log.write(agent.history)
            epoch, within = divmod(agent.cycles, config.cycles_per_epoch)
            continues = agent.cycles < last and not agent.solved and not stopped()
            if within == 0:
                after_epoch(epoch, continues)
            return continues

        epochs = -(-(last - agent.cycles) // config.cycles_per_epoch)  # one begun counts, `after_cycle` ends it in time
        agent.learn(epochs, until=config.until, progress_bar=progress_bar, callback=after_cycle)


def last_cycle(config: Config) -> int:
    """The number of cycles in Config's `epochs`."""
    return config.epochs * config.cycles_per_epoch
