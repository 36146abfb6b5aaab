"""Callbacks of `Agent.learn`: types, combination, and a base class of writers."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from herfast.common.atomic_file import check_file, with_path
from herfast.common.thread_guard import ThreadGuard, one_thread
from herfast.common.validation import short_repr

Trainer = TypeVar("Trainer")
Callback: TypeAlias = Callable[[Trainer], "bool | np.bool_ | None"]

_Writer = TypeVar("_Writer", bound="HistoryWriter")


class HasHistory(Protocol):
    """Members of an agent that a HistoryWriter reads."""

    @property
    def history(self) -> Mapping[str, NDArray[Any]]:
        """Columns [cycles] by name."""

    @property
    def cycles(self) -> int:
        """Number of completed cycles."""


def combine(callback: Callback[Trainer] | Sequence[Callback[Trainer]] | None) -> Callable[[Trainer], bool]:
    """Combine callbacks into one function.

    Args:
        callback: A callback, a list or tuple of callbacks, or None.

    Returns:
        A function that calls all callbacks in order and returns whether training continues. It returns False
        if one of them returned False, of Python or NumPy.

    Raises:
        TypeError: A callback is not callable.
    """
    callbacks: list[Any]
    if callback is None:
        callbacks = []
    elif isinstance(callback, (list, tuple)):
        callbacks = list(callback)
    else:
        callbacks = [callback]
    for function in callbacks:
        if not callable(function):
            raise TypeError(f"callback must be a callable or a list of callables, got {short_repr(function)}")

    def combined(trainer: Trainer) -> bool:
        should_continue = True
        for function in callbacks:
            result = function(trainer)
            if isinstance(result, (bool, np.bool_)) and not result:
                should_continue = False
        return should_continue

    return combined


class HistoryWriter(ABC):
    """Base class of callbacks that keep a file equal to an agent's history.

    The first call of an agent writes its whole history and later calls append. Each call of another agent
    than the last writes a whole history again. A file that was removed is written again. A writer is a
    context manager that closes the file. A second thread that uses it at the same time gets a RuntimeError.

    Args:
        path: The file, or its folder. A relative path is resolved at once.

    Raises:
        OSError: The file cannot be written there. Calls raise it, too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._check_path()
        # History that the file holds up to row _n_rows, or None if the next call opens the file.
        self._history: Mapping[str, NDArray[Any]] | None = None
        self._n_rows = 0
        self._file: Any = None
        self._thread_guard = ThreadGuard()

    @one_thread
    def __call__(self, agent: HasHistory) -> None:
        """Write the rows of the agent's history that the file does not have.

        Raises:
            OSError: The file cannot be written. The message names it.
        """
        history = agent.history
        if history is not self._history or not self._is_current():
            self.close()
            self._check_path()
            with self._named_errors():
                self._n_rows = self._open_file(history)
        self._history = None  # if an error occurs below, the next call opens the file again
        columns = [column[self._n_rows :].tolist() for column in history.values()]
        with self._named_errors():
            self._write([dict(zip(history, values, strict=True)) for values in zip(*columns, strict=True)])
        self._history = history
        self._n_rows = agent.cycles

    def __enter__(self: _Writer) -> _Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @one_thread
    def close(self) -> None:
        """Close the file. A later call opens it again."""
        self._history = None
        if self._file is not None:
            with self._named_errors():
                self._close_file()

    def _check_path(self) -> None:
        """Raise OSError unless a regular file can have the path."""
        check_file(self._path)

    @abstractmethod
    def _open_file(self, history: Mapping[str, NDArray[Any]]) -> int:
        """Set `_file` to the open file for a history; return how many rows it holds."""

    @abstractmethod
    def _write(self, rows: list[dict[str, Any]]) -> None:
        """Append rows of the history to the file."""

    def _is_current(self) -> bool:
        """Return whether the open file still exists and holds what was written."""
        return os.fstat(self._file.fileno()).st_nlink > 0

    def _close_file(self) -> None:
        """Close the open or already closed file."""
        self._file.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Name the path in the message of an OSError."""
        try:
            yield
        except OSError as error:
            raise with_path("write", self._path, error) from error
