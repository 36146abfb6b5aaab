"""Render a state and its goal, as text or as pixels."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bits: TypeAlias = NDArray[np.int8]  # [n], of zeros and ones
_SQUARE, _GAP, _MARGIN = 16, 2, 8  # pixels of the picture, even as its sides must be in a video
_COLUMNS = 32  # bits in a row of it
_COLOURS = np.array(  # of a bit, [right or wrong, 0 or 1]: pale blue and blue, pale orange and orange
    [[(0xC9, 0xD8, 0xEA), (0x1F, 0x5F, 0xA8)], [(0xF7, 0xD3, 0xB3), (0xD1, 0x60, 0x0A)]], np.uint8
)


def as_text(bits: Bits) -> str:
    """Bits [n] as zeros and ones."""
    return "".join(np.where(bits, "1", "0"))


def render_ansi(state: Bits, goal: Bits) -> str:
    """State and goal, both [n], in one line."""
    return f"state {as_text(state)} goal {as_text(goal)}"


def render_rgb_array(state: Bits, goal: Bits) -> NDArray[np.uint8]:
    """State and goal, both [n], in pixels uint8[height, width, 3] of red, green and blue; n alone sets their shape.

    A square per bit, dark for 1 and pale for 0: rows of 32 bits of the goal, in blue, and close below each the same
    bits of the state, in blue where they are right and in orange where not.
    """
    columns = min(len(goal), _COLUMNS)
    rows = -(-len(goal) // columns)
    squares = np.full((2, rows * columns, 3), 255, np.uint8)
    squares[0, : len(goal)] = _COLOURS[0, goal]
    squares[1, : len(goal)] = _COLOURS[state ^ goal, state]
    goals, states = squares.reshape(2, rows, 1, columns, 1, 3)
    height, width = 2 * _MARGIN + 2 * _SQUARE + _GAP, _SQUARE + _GAP
    pixels = np.full((rows, height, columns, width, 3), 255, np.uint8)
    pixels[:, _MARGIN : _MARGIN + _SQUARE, :, :_SQUARE] = goals
    pixels[:, -_MARGIN - _SQUARE : -_MARGIN, :, :_SQUARE] = states
    sides = (_MARGIN, _MARGIN - _GAP)
    return np.pad(pixels.reshape(rows * height, columns * width, 3), ((0, 0), sides, (0, 0)), constant_values=255)
