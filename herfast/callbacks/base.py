"""Callbacks of `Agent.learn`: combining several, and the base class of those that write the history."""

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
    """What a HistoryWriter needs of the agent that calls it."""

    @property
    def history(self) -> Mapping[str, NDArray[Any]]:
        """Columns [cycles]."""

    @property
    def cycles(self) -> int:
        """Cycles completed."""


def combine(callback: Callback[Trainer] | Sequence[Callback[Trainer]] | None) -> Callable[[Trainer], bool]:
    """Combine a callback, a list or tuple of them, or None into one function that returns whether to continue.

    All of them are called; it returns False if one of them does. Raises TypeError for anything else.
    """
    given = () if callback is None else callback
    callbacks: list[Any] = [*given] if isinstance(given, (list, tuple)) else [given]
    for function in callbacks:
        if not callable(function):
            raise TypeError(f"callback must be a function of the agent or a list of them, got {short_repr(function)}")

    def call(trainer: Trainer) -> bool:
        answers = [function(trainer) for function in callbacks]
        return not any(isinstance(answer, (bool, np.bool_)) and not answer for answer in answers)

    return call


class HistoryWriter(ABC):
    """Base class: keeps a file in step with an agent's history. A context manager."""

    def __init__(self) -> None:
        self._history: Mapping[str, NDArray[Any]] | None = None  # that of the file, up to its row _n_rows
        self._n_rows = 0
        self._file: Any = None

    def __call__(self, agent: HasHistory) -> None:
        """Write the rows of the agent's history that the file lacks."""
        history = agent.history
        if history is not self._history:
            self.close()
            self._file = self._begin()
            self._n_rows = 0
        self._history = None  # until all is written: after an error the next call begins anew
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
        """Close the file; a later call begins anew."""
        self._history = None
        if self._file is not None:
            self._file.close()

    @abstractmethod
    def _begin(self) -> Any:
        """Open a file that shows nothing of its earlier contents."""

    @abstractmethod
    def _write(self, rows: list[dict[str, Any]]) -> None:
        """Write rows of the history to the file."""
