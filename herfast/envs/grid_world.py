"""Grid world on packed words: moves between the free cells of a map."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Encoding, Words
from herfast.common.bits import _core_envs, unpack_bits
from herfast.common.validation import check_integer, short_repr
from herfast.envs.base import Spec, bit_generator_of, check_reset_arrays, check_step_arrays
from herfast.envs.rendering import BLUE, DARK, PALE_BLUE, Bits, as_bits, draw_squares

MAX_CELLS = 65_535
# Map of Sutton, Precup and Singh 1999 ("Between MDPs and semi-MDPs").
FOUR_ROOMS = """\
#############
#.....#.....#
#.....#.....#
#...........#
#.....#.....#
#.....#.....#
##.####.....#
#.....###.###
#.....#.....#
#.....#.....#
#...........#
#.....#.....#
#############"""


class _Tables(NamedTuple):
    is_free: NDArray[np.bool_]  # [rows, columns]
    moves: NDArray[np.uint16]  # [S, 4], the cell that each action leads to
    starts: NDArray[np.uint16]  # [n_starts, 3], as in csrc/grid_world.h


@dataclass(frozen=True, init=False)
class GridWorld:
    """Grid world in which every episode has a start and a goal of its own.

    State and goal have one bit per free cell, in reading order. The only 1 marks the position. The actions
    move up, right, down and left. A move into a wall or out of the map leaves the state as it is.

    The start is drawn uniformly from the free cells that are connected with another one. The goal is drawn
    uniformly from the other cells connected with the start. Threads may share an environment, since it holds
    no state.

    Args:
        map: Rows of characters, separated by newlines: "#" is a wall, "." or a space is a free cell. Shorter
            rows are continued with walls. Newlines at the beginning and end are dropped. "four_rooms" is the
            map FOUR_ROOMS. The attribute has "." for spaces, and rows of equal lengths.
        max_steps: Number of steps after which an episode is truncated, from 1 to 65,535. Default: the number
            of free cells.

    Raises:
        TypeError: `map` is not a str, or `max_steps` not an integer.
        ValueError: `map` has other characters, no two connected free cells, or more than 65,535 cells
            including walls, or `max_steps` is out of range.
    """

    map: str
    max_steps: int
    _tables: _Tables = field(init=False, repr=False, compare=False)  # follow from the map

    n_actions: ClassVar[int] = 4
    encoding: ClassVar[Encoding] = "binary"
    action_label: ClassVar[str] = "move"
    action_names: ClassVar[tuple[str, ...]] = ("up", "right", "down", "left")

    def __init__(self, map: str, max_steps: int | None = None) -> None:
        object.__setattr__(self, "map", _normalised(map))
        tables = _tables(self.map)
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
        return f"grid-{n_rows}x{n_columns}"

    def spec(self) -> Spec:
        return {"id": "GridWorld", "map": self.map, "max_steps": self.max_steps}

    def describe(self) -> str:
        return f"{self.label} with {self.n_state_bits:,} free cells in at most {self.max_steps:,} steps"

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
            distances = _distances(moves, goal)
            better[rows] = distances[moves[cells[rows]]] < distances[cells[rows], None]
        return better

    def reset(self, rng: np.random.Generator, out_states: Words, out_goals: Words) -> None:
        """Start E episodes. The order of draws is stated in csrc/grid_world.h.

        Args:
            rng: Source of all draws.
            out_states: C-contiguous uint64[E, W], receives the start states.
            out_goals: C-contiguous uint64[E, W], receives the goals.

        Raises:
            TypeError, ValueError: An argument has another type, dtype, shape or layout, or the arrays share
                memory. Nothing is drawn.
        """
        bit_generator = bit_generator_of(rng)
        _, moves, starts = self._tables
        try:
            _core_envs.grid_world_reset(bit_generator, moves, starts, out_states, out_goals)
        except (TypeError, ValueError):
            check_reset_arrays(out_states, out_goals)
            raise

    def step(
        self,
        states: Words,
        goals: Words,
        actions: NDArray[np.uint16],
        active: NDArray[np.int64],
        out_states: Words,
        out_terminated: NDArray[np.bool_],
    ) -> None:
        """Step the episodes in `active`.

        Rows of other episodes are neither read nor written. All arrays are C-contiguous.

        Args:
            states: uint64[E, W], with exactly one 1 in active rows.
            goals: uint64[E, W], likewise.
            actions: uint16[E], each below 4 in active rows.
            active: int64[n_active], indices of episodes, from 0 to E - 1.
            out_states: uint64[E, W], receives the next states. It may be `states`, but not `goals`.
            out_terminated: bool[E], receives whether the next state equals the goal.

        Raises:
            TypeError, ValueError: An argument is not allowed. Nothing is written.
        """
        _, moves, starts = self._tables
        try:
            _core_envs.grid_world_step(
                moves, starts, states, goals, actions, active, out_states, out_terminated
            )
        except (TypeError, ValueError):
            check_step_arrays(states, goals, actions, active, out_states, out_terminated)
            raise

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


def _normalised(text: object) -> str:
    """Return a map with "." for spaces, and rows of equal lengths."""
    if not isinstance(text, str):
        raise TypeError(f"map must be a str, got {short_repr(text)}")
    if text == "four_rooms":
        return FOUR_ROOMS
    rows = text.strip("\n").replace(" ", ".").split("\n")
    for number, row in enumerate(rows, 1):
        for char in row:
            if char not in "#.":
                raise ValueError(
                    f"map must be 'four_rooms' or rows of '#', '.' and spaces, got {char!r} in row {number}"
                )
    width = max(len(row) for row in rows)
    if len(rows) * width > MAX_CELLS:
        raise ValueError(
            f"map must have at most {MAX_CELLS:,} cells with its walls, got {len(rows):,} x {width:,}"
        )
    return "\n".join(row.ljust(width, "#") for row in rows)


def _tables(text: str) -> _Tables:
    """Return the tables of a map as `_normalised` returns it."""
    is_free = np.array([list(row) for row in text.split("\n")], "U1") == "."
    inner = np.pad(is_free, 1)
    cells = np.arange(np.count_nonzero(is_free))
    index = np.full(inner.shape, -1)
    index[inner] = cells
    moves = np.empty((len(cells), GridWorld.n_actions), np.uint16)
    for action, shift in enumerate([(1, 0), (0, -1), (-1, 0), (0, 1)]):
        neighbours = np.roll(index, shift, (0, 1))[inner]
        moves[:, action] = np.where(neighbours >= 0, neighbours, cells)
    rows: list[tuple[int, int, int]] = []
    for component in _components(moves.tolist()):
        first = len(rows)
        if len(component) > 1:
            rows += [(cell, first, first + len(component)) for cell in component]
    starts = np.array(rows, np.uint16).reshape(-1, 3)
    for table in (is_free, moves, starts):
        table.setflags(write=False)
    return _Tables(is_free, moves, starts)


def _components(moves: list[list[int]]) -> list[list[int]]:
    """Return the sets of connected cells, each in reading order."""
    components = []
    is_seen = [False] * len(moves)
    for start in range(len(moves)):
        if is_seen[start]:
            continue
        is_seen[start] = True
        component = [start]
        for cell in component:  # it grows meanwhile
            for neighbour in moves[cell]:
                if not is_seen[neighbour]:
                    is_seen[neighbour] = True
                    component.append(neighbour)
        components.append(sorted(component))
    return components


def _distances(moves: NDArray[np.uint16], goal: np.intp) -> NDArray[np.int64]:
    """Return the lengths of the shortest paths to the goal, S if there is none."""
    distances = np.full(len(moves), len(moves), np.int64)
    distances[goal] = 0
    reached = np.array([goal])
    steps = 0
    while reached.size:
        steps += 1
        neighbours = np.unique(moves[reached])
        reached = neighbours[distances[neighbours] == len(moves)]
        distances[reached] = steps
    return distances
