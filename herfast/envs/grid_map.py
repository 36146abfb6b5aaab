"""Maps of grid worlds: text, and tables of moves and connected cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.common.validation import short_repr

_SHIFTS = ((1, 0), (0, -1), (-1, 0), (0, 1))  # of the map, which bring the cell that an action leads to
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


class GridTables(NamedTuple):
    """Cells of a map, numbered in reading order."""

    is_free: NDArray[np.bool_]  # [rows, columns]
    moves: NDArray[np.uint16]  # [S, 4], the cell that each action leads to
    starts: NDArray[np.uint16]  # [n_starts, 3], as in csrc/grid_world.h


def normalised_map(text: object) -> str:
    """Return a map with "." for spaces, and rows of equal lengths."""
    if not isinstance(text, str):
        raise TypeError(f"map must be a str, got {short_repr(text)}")
    if text == "four_rooms":
        return FOUR_ROOMS
    rows = text.strip("\n").split("\n")
    if all(row.startswith(" ") for row in rows):
        raise ValueError(
            "map must not be indented, got only rows that begin with a space: write '.' for them"
        )
    rows = [row.replace(" ", ".") for row in rows]
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


def grid_tables(text: str) -> GridTables:
    """Return the tables of a map as `normalised_map` returns it."""
    is_free = np.array([list(row) for row in text.split("\n")], "U1") == "."
    inner = np.pad(is_free, 1)
    cells = np.arange(np.count_nonzero(is_free))
    index = np.full(inner.shape, -1)
    index[inner] = cells
    moves = np.empty((len(cells), len(_SHIFTS)), np.uint16)
    for action, shift in enumerate(_SHIFTS):
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
    return GridTables(is_free, moves, starts)


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


def distances_to(moves: NDArray[np.uint16], goal: np.intp) -> NDArray[np.int64]:
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
