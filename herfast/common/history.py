"""The history of training: named columns with one row per cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS: dict[str, type] = {  # of an agent's history
    "epoch": np.int64,
    "success": np.float64,
    "return": np.float64,
    "loss": np.float64,
    "epsilon": np.float64,
    "learning_rate": np.float64,
    "env_steps": np.int64,
    "episodes": np.int64,
    "updates": np.int64,
    "seconds": np.float64,
    "greedy_success": np.float64,
}


class History(Mapping[str, NDArray[Any]]):
    """Named columns that grow a row at a time; `history["loss"]` is a read-only NumPy view of one column."""

    def __init__(self, **dtypes: type) -> None:
        self._columns: dict[str, NDArray[Any]] = {name: np.empty(64, dtype) for name, dtype in dtypes.items()}
        self._rows = 0

    def append(self, **row: float) -> None:
        """Add a row; every column is named."""
        if row.keys() != self._columns.keys():
            raise ValueError(f"a row has the columns {', '.join(self._columns)}, got {', '.join(row)}")
        if self._rows == len(next(iter(self._columns.values()))):
            self._columns = {name: np.resize(column, 2 * self._rows) for name, column in self._columns.items()}
        for name, value in row.items():
            self._columns[name][self._rows] = value
        self._rows += 1

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """The columns [cycles], by name."""
        return dict(self)

    def load_state_dict(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Replace all rows by saved columns.

        Raises ValueError, and changes nothing, unless all are there, 1-D and equally long.
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
