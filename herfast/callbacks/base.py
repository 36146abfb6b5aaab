"""Callbacks of `Agent.learn`: types, combination, and a base class of writers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

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

    The first call of an agent writes its whole history and later calls append. A writer is a context manager
    that closes the file.
    """

    def __init__(self) -> None:
        # History that the file holds up to row _n_rows, or None if the next call writes it from the start.
        self._history: Mapping[str, NDArray[Any]] | None = None
        self._n_rows = 0
        self._file: Any = None

    def __call__(self, agent: HasHistory) -> None:
        """Write the rows of the agent's history that the file does not have."""
        history = agent.history
        if history is not self._history:
            self.close()
            self._file = self._open_file(list(history))
            self._n_rows = 0
        self._history = None  # if an error occurs below, the next call writes the whole history again
        columns = [column[self._n_rows :].tolist() for column in history.values()]
        self._write([dict(zip(history, values, strict=True)) for values in zip(*columns, strict=True)])
        self._history = history
        self._n_rows = agent.cycles

    def __enter__(self: _Writer) -> _Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. A later call writes the whole history again."""
        self._history = None
        if self._file is not None:
            self._file.close()

    @abstractmethod
    def _open_file(self, columns: list[str]) -> Any:
        """Open the file for rows of these columns; discard or hide older contents."""

    @abstractmethod
    def _write(self, rows: list[dict[str, Any]]) -> None:
        """Append rows of the history to the file."""
