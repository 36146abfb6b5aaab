"""What `Agent.learn` calls after each cycle: one function or several, and one that writes the history as it grows."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeVar

from numpy.typing import NDArray

from herfast.checks import check_file, check_path, shown

if TYPE_CHECKING:
    from herfast.agent import Agent

Callback: TypeAlias = "Callable[[Agent], bool | None]"

_M = TypeVar("_M", bound="_Mirror")


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
        return not any(answer is False for answer in answers)

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
