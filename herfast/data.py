"""What the rooms hand to each other: batches of trajectories, minibatches, and the random streams they are drawn from.

Letters used for shapes everywhere: E environments in lockstep, T step limit, B batch, U updates; a state of S bits is
Ws words of 64 bits, a goal of G bits is Wg words; bit i is bit i & 63 of word i >> 6, and bits past the end are 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]
Strategy: TypeAlias = Literal["future", "final", "episode", "random"]  # of hindsight goals


class Trajectories(NamedTuple):
    """E finished episodes. Rewards and terminations are not stored: they follow from states and goals."""

    states: Words  # [T+1, E, Ws]; states[t, e] is defined for t <= lengths[e]
    actions: NDArray[np.uint16]  # [T, E]; actions[t, e] is defined for t < lengths[e]
    goals: Words  # [E, Wg]
    lengths: NDArray[np.int32]  # [E], 1 <= lengths <= T: the number of steps


class Minibatches(NamedTuple):
    """U minibatches of B transitions, goals already relabelled."""

    states: Words  # [U, B, Ws]
    next_states: Words  # [U, B, Ws]
    goals: Words  # [U, B, Wg]
    actions: NDArray[np.uint16]  # [U, B]
    rewards: NDArray[np.float32]  # [U, B]: 0 where the next state reaches the goal, else -1
    terminated: NDArray[np.bool_]  # [U, B]: the next state reaches the goal
    steps_to_goal: NDArray[np.int32]  # [U, B]: steps from state to goal along the stored episode; 0 = unknown


class Role(IntEnum):
    """Who draws from a random stream. The numbers are part of the file format and never change."""

    ENVIRONMENT = 0
    EXPLORATION = 1
    REPLAY = 2
    WEIGHTS = 3
    EVALUATION = 4  # the games by which an agent judges itself while it learns
    TEST = 5  # games named by a seed, which no agent's own stream ever plays


def stream(seed: int | None, role: Role) -> np.random.Generator:
    """The random stream of one role: PCG64 seeded by `SeedSequence(seed, spawn_key=(role,))`; None is fresh entropy.

    Raises TypeError or ValueError as `checked_seed` does.
    """
    entropy = np.random.SeedSequence(checked_seed(seed), spawn_key=(int(role),))
    return np.random.Generator(np.random.PCG64(entropy))


def checked_seed(seed: object) -> int | None:
    """`seed`; TypeError unless it is None or an integer (NumPy's are, bool is not), ValueError if it is negative."""
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed must be None or an integer >= 0, got {' '.join(repr(seed).split())}")
    if seed < 0:
        raise ValueError(f"seed must be None or an integer >= 0, got {seed}")
    return int(seed)


def n_words(n_bits: int) -> int:
    """The number of 64-bit words that hold `n_bits` bits."""
    return (n_bits + 63) // 64


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

    def restore(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Take over saved columns; ValueError, and nothing changes, unless all are there, 1-D and equally long."""
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
