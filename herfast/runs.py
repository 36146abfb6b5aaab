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

import csv
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from herfast import __version__, plots

if TYPE_CHECKING:
    from herfast.envs import BitFlip

CONFIG = "config.json"
PROGRESS = "progress.csv"
AGENT = "agent.safetensors"
CHECKPOINT = "checkpoint.safetensors"
OWN_FILES = (CONFIG, PROGRESS, AGENT, CHECKPOINT, *plots.FILES)

_INTEGERS = frozenset({"epoch", "env_steps", "episodes", "updates"})


def check_free(folder: Path, overwrite: bool) -> None:
    """Raises FileExistsError or NotADirectoryError unless a run may be written into `folder`."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, where the folder of a run is wanted")
    taken = [name for name in OWN_FILES if (folder / name).exists()]
    if taken and describe(folder) is None:
        raise FileExistsError(f"{folder} holds a {taken[0]} that is not of a run of herfast: choose another --out")
    if taken and not overwrite:
        raise FileExistsError(f"{folder} already holds a run: --resume goes on with it, --overwrite replaces it")


def resumable(folder: Path) -> Path:
    """The checkpoint of the run in `folder`. Raises FileNotFoundError if there is no run, or none to go on from."""
    if describe(folder) is None:
        raise FileNotFoundError(f"{folder} is not the folder of a run: it holds no {CONFIG} of herfast")
    if not (folder / CHECKPOINT).is_file():
        raise FileNotFoundError(f"{folder} holds no {CHECKPOINT} to go on from: train anew with --overwrite")
    return folder / CHECKPOINT


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make the folder and keep it until the context ends. Raises BlockingIOError if another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(folder, descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(
            f"another herfast writes into {folder}: wait for its end, or choose another --out"
        ) from None
    except OSError:  # a file system without locks
        pass


def begin(folder: Path, description: Mapping[str, Any]) -> None:
    """Remove what an older run left in the folder, and write config.json."""
    for name in OWN_FILES:
        if name != CONFIG:  # which is replaced below: without it a run cannot be told from foreign files
            (folder / name).unlink(missing_ok=True)
    describe_as(folder, description)


def amend(folder: Path, config: Mapping[str, Any]) -> None:
    """Put the fields of Config that are now in force into config.json, atomically, and leave the rest as it is."""
    describe_as(folder, {**(describe(folder) or {}), "config": config})


def description(game: BitFlip, preset: str, seed: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What config.json says of a run."""
    what = {"id": "BitFlip", "n_bits": game.n_bits, "max_steps": game.max_steps}  # as in the agent's file
    return {"herfast": __version__, "environment": what, "preset": preset, "seed": seed, "config": fields}


def describe_as(folder: Path, description: Mapping[str, Any]) -> None:
    """Write config.json, atomically."""
    write_whole(folder / CONFIG, (json.dumps(description, indent=2) + "\n").encode())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is never there in part, in a folder that is claimed."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def describe(folder: Path) -> dict[str, Any] | None:
    """What config.json says, or None if there is none of ours."""
    try:
        description = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return description if isinstance(description, dict) and "herfast" in description else None


def find(path: Path, name: str) -> Path:
    """The file `name` of the run in folder `path`; or `path` itself, if it is a file. Raises FileNotFoundError."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_dir():
        return path
    if not (path / name).exists():
        if describe(path) is None:
            raise FileNotFoundError(f"{path} holds no {name}, so it is not the folder of a run")
        raise FileNotFoundError(f"{path} holds no {name}: the run is not over, or did not end well; see its {PROGRESS}")
    return path / name


class Progress:
    """Writes progress.csv anew, then appends the rows of a history that are not there yet; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / PROGRESS).open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._n_rows = -1  # not even the header

    def write(self, history: Mapping[str, NDArray[Any]]) -> None:
        """Write and flush the new rows of `history`, columns [cycles]; the first call writes the header."""
        columns = [history[name] for name in history]
        if self._n_rows < 0:
            self._writer.writerow(list(history))
            self._n_rows = 0
        rows = list(zip(*(column[self._n_rows :].tolist() for column in columns), strict=True))
        self._writer.writerows(rows)
        self._file.flush()
        self._n_rows += len(rows)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:  # closed, whatever comes
            self._file.flush()
            os.fsync(self._file.fileno())


def read_progress(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a progress.csv, int64 or float64 [cycles]; a last line that a crash left unfinished is left out.

    Raises ValueError if it is not the progress of a run.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not the progress of a run: it is not text") from None
    header, *rows = list(csv.reader(text[: text.rfind("\n") + 1].splitlines())) or [[]]
    if "success" not in header:
        raise ValueError(f"{path} is not the progress of a run: its first line names no column 'success'")
    try:
        columns = list(zip(*rows, strict=True)) or [()] * len(header)
        return {
            name: np.array(column, dtype=np.float64).astype(np.int64 if name in _INTEGERS else np.float64)
            for name, column in zip(header, columns, strict=True)
        }
    except ValueError:
        raise ValueError(f"{path} is not the progress of a run: not every row holds {len(header)} numbers") from None


def plot(path: Path) -> list[Path]:
    """Draw the plots of a run beside its progress.csv; `path` is its folder or that file. Raises as plots.plot_run."""
    progress = find(path, PROGRESS)
    try:
        run = describe(progress.parent) or {}
        title = f"{run['environment']['n_bits']} bits, preset {run['preset']}, seed {run['seed']}"
    except (KeyError, TypeError):  # no config.json of ours, or one that was edited
        title = ""
    return plots.plot_run(read_progress(progress), progress.parent, title)
