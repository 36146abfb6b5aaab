"""Reference lights-out environment with Python integers, one episode at a time."""

from numpy.random import BitGenerator
from reference.bits import prefix
from reference.draw import below, words


def press(state: int, width: int, height: int, cell: int) -> int:
    """Return the state after a press, which flips cells at a distance up to 1."""
    y, x = divmod(cell, width)
    for row in range(max(y - 1, 0), min(y + 2, height)):
        for column in range(max(x - 1, 0), min(x + 2, width)):
            if row == y or column == x:
                state ^= 1 << (row * width + column)
    return state


def pressed(state: int, width: int, height: int, cells: list[int]) -> int:
    for cell in cells:
        state = press(state, width, height, cell)
    return state


def draw_presses(raw: BitGenerator, n_cells: int, most: int | None) -> list[int]:
    """Return any number of cells, or a number from 1 to `most` of them."""
    if most is None:
        drawn = words(raw, -(-n_cells // 64))
        return [cell for cell in range(n_cells) if drawn >> cell & 1]
    cells: list[int] = []
    count = 1 + below(raw, most)
    for last in range(n_cells - count, n_cells):
        cell = below(raw, last + 1)
        cells.append(last if cell in cells else cell)
    return cells


def reset(raw: BitGenerator, width: int, height: int, most: int | None) -> tuple[int, int]:
    n_cells = width * height
    start = goal = prefix(words(raw, -(-n_cells // 64)), n_cells)
    while goal == start:
        goal = pressed(start, width, height, draw_presses(raw, n_cells, most))
    return start, goal
