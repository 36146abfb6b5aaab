"""Training history: named columns with one row per cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Aggregate: TypeAlias = Literal["mean", "final", "total"]


class Column(NamedTuple):
    """Properties of one column of an agent's history."""

    dtype: type
    epoch: Aggregate | None = None
    """Value of an epoch in the results of a sweep; None leaves the column out.

    "mean" is the mean over the epoch's cycles. "final" is the value at its end, NaN if none was measured.
    "total" is the running total since the start of training.
    """
    tag: str | None = None
    """Name in TensorBoard, as in Stable-Baselines3; None leaves the column out."""


HISTORY_SCHEMA = {
    "epoch": Column(np.int64),
    "success": Column(np.float64, "mean", "rollout/success_rate"),
    "return": Column(np.float64, "mean", "rollout/ep_rew_mean"),
    "loss": Column(np.float64, "mean", "train/loss"),
    "epsilon": Column(np.float64, None, "rollout/exploration_rate"),
    "learning_rate": Column(np.float64, None, "train/learning_rate"),
    "env_steps": Column(np.int64, "total"),
    "episodes": Column(np.int64, "total"),
    "updates": Column(np.int64, "total"),
    "seconds": Column(np.float64, "total"),
    "greedy_success": Column(np.float64, "final", "eval/success_rate"),
}


def columns_by(aggregate: Aggregate) -> list[str]:
    """Return the names of the columns with this epoch aggregate, in order."""
    return [name for name, column in HISTORY_SCHEMA.items() if column.epoch == aggregate]


class History(Mapping[str, NDArray[Any]]):
    """Named columns that grow by one row per cycle.

    `history["loss"]` is a read-only NumPy view of one column.
    """

    def __init__(self, dtypes: Mapping[str, type] | None = None) -> None:
        """Create empty columns.

        Args:
            dtypes: dtype of each column by name; by default the columns of HISTORY_SCHEMA.
        """
        if dtypes is None:
            dtypes = {name: column.dtype for name, column in HISTORY_SCHEMA.items()}
        self._columns: dict[str, NDArray[Any]] = {name: np.empty(64, dtype) for name, dtype in dtypes.items()}
        self._rows = 0

    def append(self, **row: float) -> None:
        """Add a row.

        Args:
            row: One value for every column.

        Raises:
            ValueError: A column is missing or unknown.
        """
        if row.keys() != self._columns.keys():
            raise ValueError(f"a row has the columns {', '.join(self._columns)}, got {', '.join(row)}")
        if self._rows == len(next(iter(self._columns.values()))):
            self._columns = {
                name: np.resize(column, 2 * self._rows) for name, column in self._columns.items()
            }
        for name, value in row.items():
            self._columns[name][self._rows] = value
        self._rows += 1

    def total(self, name: str) -> Any:
        """Return the last value of a column, 0 without rows."""
        if self._rows == 0:
            return 0
        return self[name][-1].item()

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return all columns [cycles] by name."""
        return dict(self)

    def load_state_dict(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Replace all rows by saved columns.

        Args:
            columns: As returned by `state_dict`. They are copied.

        Raises:
            ValueError: A column is missing or unknown, or they are not 1-D and equally long. Nothing is
                changed.
        """
        if columns.keys() != self._columns.keys():
            raise ValueError(f"history has the columns {', '.join(self._columns)}, got {', '.join(columns)}")
        columns = {name: np.array(columns[name], own.dtype) for name, own in self._columns.items()}
        shapes = {column.shape for column in columns.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ValueError(f"history columns must be equally long, got shapes {sorted(shapes)}")
        self._rows = len(next(iter(columns.values())))
        self._columns = {name: np.resize(column, max(64, self._rows)) for name, column in columns.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        column = self._columns[name][: self._rows]
        column.flags.writeable = False
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)
