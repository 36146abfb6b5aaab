"""What `Agent.learn` calls after each cycle: one function or several, and two that show the history while it grows."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from herfast.checks import check_file, check_path, shown

if TYPE_CHECKING:
    from tensorboardX import RecordWriter

    from herfast.agent import Agent

Callback: TypeAlias = "Callable[[Agent], bool | np.bool_ | None]"

_M = TypeVar("_M", bound="_Mirror")

_TAGS = {  # of the history's columns in TensorBoard, as Stable-Baselines3 names them
    "success": "rollout/success_rate",
    "return": "rollout/ep_rew_mean",
    "epsilon": "rollout/exploration_rate",
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "greedy_success": "eval/success_rate",
}


def together(callback: Callback | Sequence[Callback] | None) -> Callable[[Agent], bool]:
    """One function for a callback, a list or tuple of them, or none: calls all of them, and is False if one is.

    Raises TypeError for anything else.
    """
    given = () if callback is None else callback
    callbacks: list[Any] = [*given] if isinstance(given, (list, tuple)) else [given]
    for one in callbacks:
        if not callable(one):
            raise TypeError(f"callback must be a function of the agent or a list of them, got {shown(one)}")

    def call(agent: Agent) -> bool:
        answers = [one(agent) for one in callbacks]
        return not any(isinstance(answer, (bool, np.bool_)) and not answer for answer in answers)

    return call


class _Mirror(ABC):
    """Shows the history of the agent that calls it, and no row that is not in it; a context manager."""

    def __init__(self) -> None:
        self._history: Mapping[str, NDArray[Any]] | None = None  # that which is shown, up to its row _n_rows
        self._n_rows = 0
        self._file: Any = None

    def __call__(self, agent: Agent) -> None:
        """Write the rows of the agent's history that are not there yet."""
        history = agent.history
        if history is not self._history:
            self.close()
            self._file, self._n_rows = self._begin(), 0
        self._history = None  # until all is written: after an error the next call begins anew
        columns = [column[self._n_rows :].tolist() for column in history.values()]
        self._write([dict(zip(history, values, strict=True)) for values in zip(*columns, strict=True)])
        self._history, self._n_rows = history, agent.cycles

    def __enter__(self: _M) -> _M:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a later call begins anew."""
        self._history = None
        if self._file is not None:
            self._file.close()

    @abstractmethod
    def _begin(self) -> Any:
        """An open file, where nothing is to be seen of what was there."""

    @abstractmethod
    def _write(self, rows: list[dict[str, Any]]) -> None:
        """Write rows of the history into it."""


class JsonLines(_Mirror):
    """A callback of `Agent.learn` that writes the history as JSON lines: an object a cycle, as soon as the cycle ends.

        with JsonLines("run.jsonl") as log:
            agent.learn(callback=log)

    An object has all columns of `agent.history`; NaN, which JSON lacks, is null. A process that is killed leaves whole
    lines, and at most the last one torn.

    The file mirrors the history of the agent that calls: the first call writes it anew, whatever it held, and later
    ones append. An agent loaded from a checkpoint (`save(replay=True)`) so goes on with its file: cycles after the
    checkpoint, which it will learn again, are dropped. Give each agent a file of its own. It is a context manager, or
    is closed with `close()`.

    Args:
        path: the file, in a folder that exists. Nothing is written before the first call.

    Raises:
        TypeError, ValueError: a path that cannot name a file.
        FileNotFoundError, IsADirectoryError: its folder is missing, or it is a folder.
        OSError: when called, where it cannot be written.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__()
        check_path("path", path)
        self._path = Path(path)
        check_file(self._path)

    def _begin(self) -> IO[str]:
        return self._path.open("w", buffering=1, encoding="utf-8")  # 1: each line is flushed

    def _write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            known = {name: value if math.isfinite(value) else None for name, value in row.items()}
            self._file.write(json.dumps(known) + "\n")


class TensorBoard(_Mirror):
    """A callback of `Agent.learn` that shows the history in TensorBoard, over environment steps; needs tensorboardX.

        with TensorBoard("logs/seed0") as log:
            agent.learn(callback=log)  # meanwhile: tensorboard --logdir logs

    The scalars have Stable-Baselines3's names: rollout/success_rate, rollout/ep_rew_mean (the return),
    rollout/exploration_rate (epsilon), train/loss, train/learning_rate, time/fps (environment steps a second, of all
    learning so far), and at each epoch's end eval/success_rate (of greedy play). They are on the disk at each epoch's
    end, and when it is closed.

    The folder shows the history of the agent that calls: the first call writes all of it into a new event file, which
    hides what older ones in the folder hold. So an agent loaded from a checkpoint goes on with its folder. Give each
    agent a folder of its own. It is a context manager, or is closed with `close()`.

    Args:
        folder: where the event file goes. Made, and written into, by the first call.

    Raises:
        TypeError, ValueError: a path that cannot name a folder.
        NotADirectoryError: it is a file, or below one.
        ImportError: tensorboardX is not installed.
        OSError: when called, where it cannot be written.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        super().__init__()
        check_path("folder", folder)
        self._folder = Path(folder)
        there = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        if not there.is_dir():
            raise NotADirectoryError(f"cannot write into {folder}: {there} is a file")
        try:
            from tensorboardX import RecordWriter  # SummaryWriter would wait for ever once the disk is full
            from tensorboardX.proto.event_pb2 import Event
        except ImportError as error:
            raise ImportError(
                "TensorBoard needs tensorboardX, which is not installed: pip install 'herfast[tensorboard]'"
            ) from error
        self._open, self._event = RecordWriter, Event

    def _begin(self) -> RecordWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        file = self._open(str(self._folder / f"events.out.tfevents.{now:.6f}"))  # a folder's are read in this order
        self._add(file, now, file_version="brain.Event:2")
        self._add(file, now, step=0, session_log={"status": "START"})  # hides what older files hold, from step 0 on
        return file

    def _write(self, rows: list[dict[str, Any]]) -> None:
        now = time.time()
        for row in rows:
            scalars = {tag: row[column] for column, tag in _TAGS.items()}
            scalars["time/fps"] = row["env_steps"] / row["seconds"]
            known = [{"tag": tag, "simple_value": value} for tag, value in scalars.items() if not math.isnan(value)]
            ended = now + row["seconds"] - rows[-1]["seconds"]
            self._add(self._file, ended, step=row["env_steps"], summary={"value": known})
        if not all(math.isnan(row["greedy_success"]) for row in rows):  # not each cycle: it waits for the disk
            self._file.flush()

    def _add(self, file: RecordWriter, wall_time: float, **event: Any) -> None:
        file.write(self._event(wall_time=wall_time, **event).SerializeToString())
