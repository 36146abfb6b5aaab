"""Grid world on packed words: moves between the free cells of a map."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Encoding, Words
from herfast.common.bits import _core_envs, unpack_bits
from herfast.common.validation import check_integer, short_repr
from herfast.envs.base import CoreEnv, Spec
from herfast.envs.grid_map import FOUR_ROOMS, GridTables, distances_to, grid_tables, normalised_map
from herfast.envs.rendering import BLUE, DARK, PALE_BLUE, Bits, as_bits, draw_squares


@dataclass(frozen=True, init=False)
class GridWorld(CoreEnv):
    """Grid world in which every episode has a start and a goal of its own.

    State and goal have one bit per free cell, in reading order. The only 1 marks the position. The actions
    move up, right, down and left. A move into a wall or out of the map leaves the state as it is.

    The start is drawn uniformly from the free cells that are connected with another one. The goal is drawn
    uniformly from the other cells connected with the start. Threads may share an environment, since it holds
    no state.

    Args:
        map: Rows of characters, separated by newlines: "#" is a wall, "." or a space is a free cell. Shorter
            rows are continued with walls, and newlines at both ends are dropped. A map whose rows all begin
            with a space is rejected as indented. "four_rooms" is the map FOUR_ROOMS. The attribute has "."
            for spaces, and rows of equal lengths.
        max_steps: Number of steps after which an episode is truncated, from 1 to 65,535. Default: the number
            of free cells.

    Raises:
        TypeError: `map` is not a str, or `max_steps` not an integer.
        ValueError: `map` has other characters, no two connected free cells, or more than 65,535 cells
            including walls, or `max_steps` is out of range.
    """

    map: str
    max_steps: int
    _tables: GridTables = field(init=False, repr=False, compare=False)  # follow from the map

    n_actions: ClassVar[int] = 4
    encoding: ClassVar[Encoding] = "binary"
    action_label: ClassVar[str] = "move"
    action_names: ClassVar[tuple[str, ...]] = ("up", "right", "down", "left")

    def __init__(self, map: str, max_steps: int | None = None) -> None:
        object.__setattr__(self, "map", normalised_map(map))
        tables = grid_tables(self.map)
        if not tables.starts.size:
            raise ValueError(f"map must have two connected free cells, got {short_repr(map)}")
        object.__setattr__(self, "_tables", tables)
        if max_steps is None:
            max_steps = self.n_state_bits
        object.__setattr__(self, "max_steps", check_integer("max_steps", max_steps, 1, 65_535))

    def __reduce__(self) -> tuple[type[GridWorld], tuple[str, int]]:
        """Return the call that makes a copy."""
        return type(self), (self.map, self.max_steps)

    @property
    def n_state_bits(self) -> int:
        return len(self._tables.moves)

    @property
    def n_goal_bits(self) -> int:
        return self.n_state_bits

    @property
    def label(self) -> str:
        if self.map == FOUR_ROOMS:
            return "four_rooms"
        n_rows, n_columns = self._tables.is_free.shape
        return f"grid-{n_rows}x{n_columns}-{crc32(self.map.encode()):08x}"

    def spec(self) -> Spec:
        return {"id": "GridWorld", "map": self.map, "max_steps": self.max_steps}

    def describe(self) -> str:
        name, *_ = self.label.rsplit("-", 1)  # without the digest of the map
        return f"{name} with {self.n_state_bits:,} free cells in at most {self.max_steps:,} steps"

    def better_actions(self, states: Words, goals: Words) -> NDArray[np.bool_]:
        """Return bool[M, 4], True for actions that shorten the shortest path to the goal.

        Args:
            states: uint64[M, W], each with exactly one 1.
            goals: uint64[M, W], likewise.

        Raises:
            TypeError, ValueError: An argument has another dtype, shape or number of ones.
        """
        moves = self._tables.moves
        cells = self._cells("states", states)
        goal_cells = self._cells("goals", goals)
        better = np.empty((len(cells), self.n_actions), np.bool_)
        for goal in np.unique(goal_cells):
            rows = np.flatnonzero(goal_cells == goal)
            distances = distances_to(moves, goal)
            better[rows] = distances[moves[cells[rows]]] < distances[cells[rows], None]
        return better

    def _reset(self, bit_generator: np.random.BitGenerator, out_states: Words, out_goals: Words) -> None:
        _, moves, starts = self._tables
        _core_envs.grid_world_reset(bit_generator, moves, starts, out_states, out_goals)

    def _step(self, *arrays: Any) -> None:
        _, moves, starts = self._tables
        _core_envs.grid_world_step(moves, starts, *arrays)

    def render_ansi(self, state: Bits, goal: Bits) -> str:
        """Return the map as text: @ is the position, G the goal, * both.

        Args:
            state: int8[S].
            goal: int8[S].
        """
        codes = as_bits("state", state, self.n_state_bits) + 2 * as_bits("goal", goal, self.n_goal_bits)
        symbols = np.full(self._tables.is_free.shape, "#")
        symbols[self._tables.is_free] = np.array([".", "@", "G", "*"])[codes]
        return "\n".join("".join(row) for row in symbols)

    def render_rgb_array(self, state: Bits, goal: Bits) -> NDArray[np.uint8]:
        """Return the map as an image of squares.

        Walls are dark, the goal is blue, and a small orange square marks the position.

        Args:
            state: int8[S].
            goal: int8[S].

        Returns:
            RGB pixels uint8[height, width, 3].
        """
        marks = np.zeros(self._tables.is_free.shape, np.bool_)
        marks[self._tables.is_free] = as_bits("state", state, self.n_state_bits)
        colours = np.full((*marks.shape, 3), DARK, np.uint8)
        palette = np.array([PALE_BLUE, BLUE], np.uint8)
        colours[self._tables.is_free] = palette[as_bits("goal", goal, self.n_goal_bits)]
        return draw_squares(colours, marks)

    def _cells(self, name: str, words: Words) -> NDArray[np.intp]:
        """Return the index of the only 1 in each row, [M]."""
        bits = unpack_bits(words, self.n_state_bits)
        n_ones = bits.sum(axis=-1)
        if (n_ones != 1).any():
            raise ValueError(f"{name} must have exactly one 1 per row, got {n_ones[n_ones != 1][0]}")
        cells: NDArray[np.intp] = bits.argmax(axis=-1)
        return cells
