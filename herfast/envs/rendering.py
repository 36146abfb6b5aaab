"""Rendering of a state and its goal as text or pixels."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from herfast.common.validation import as_array, check_zero_or_one

Bits: TypeAlias = NDArray[np.int8]  # [n], zeros and ones
# Sizes in pixels. They are even, since videos need images with even sides.
_SQUARE = 16
_GAP = 2
_MARGIN = 8
_COLUMNS = 32  # bits per row of the image
_MARK = slice(4, 12)  # sides of a small square inside a square
BLUE = (0x1F, 0x5F, 0xA8)
PALE_BLUE = (0xC9, 0xD8, 0xEA)
ORANGE = (0xD1, 0x60, 0x0A)
PALE_ORANGE = (0xF7, 0xD3, 0xB3)
YELLOW = (0xF4, 0xC9, 0x3C)
DARK = (0x3B, 0x40, 0x4A)
GREY = (0x70, 0x70, 0x70)
PALE_GREY = (0xE0, 0xE0, 0xE0)
# Colours of a bit by [0 = as in the goal, 1 = wrong or 2 = not part of the goal, value of the bit].
_COLOURS = np.array([[PALE_BLUE, BLUE], [PALE_ORANGE, ORANGE], [PALE_GREY, GREY]], np.uint8)


def as_bits(name: str, bits: object, n_bits: int) -> Bits:
    """Return `bits` as int8[n_bits].

    Raises:
        ValueError: They have another shape, or one is neither 0 nor 1.
    """
    array = as_array(name, bits)
    if array.shape != (n_bits,):
        raise ValueError(f"{name} must have shape ({n_bits},), got {array.shape}")
    check_zero_or_one(name, array)
    return array.astype(np.int8)


def as_text(bits: Bits) -> str:
    """Return bits [n] as a string of zeros and ones."""
    return "".join(np.where(bits, "1", "0"))


def render_ansi(state: Bits, goal: Bits) -> str:
    """Return state [S] and goal [G] as one line of text."""
    return f"state {as_text(state)} goal {as_text(goal)}"


def render_rgb_array(state: Bits, goal: Bits) -> NDArray[np.uint8]:
    """Return state and goal as an image.

    Each bit is a square, dark for 1 and pale for 0. The goal is drawn in blue, in rows of 32 bits. Below each
    row are the same bits of the state, blue if they equal those of the goal and orange otherwise. Bits past
    the goal's last one are grey.

    Args:
        state: int8[S].
        goal: int8[G], compared with the first G bits of the state.

    Returns:
        RGB pixels uint8[height, width, 3]. Height and width depend only on S.
    """
    comparison = np.full(len(state), 2)
    comparison[: len(goal)] = state[: len(goal)] ^ goal
    columns = min(len(state), _COLUMNS)
    rows = -(-len(state) // columns)
    squares = np.full((2, rows * columns, 3), 255, np.uint8)
    squares[0, : len(goal)] = _COLOURS[0, goal]
    squares[1, : len(state)] = _COLOURS[comparison, state]
    goals, states = squares.reshape(2, rows, 1, columns, 1, 3)
    height = 2 * _MARGIN + 2 * _SQUARE + _GAP
    width = _SQUARE + _GAP
    pixels = np.full((rows, height, columns, width, 3), 255, np.uint8)
    pixels[:, _MARGIN : _MARGIN + _SQUARE, :, :_SQUARE] = goals
    pixels[:, -_MARGIN - _SQUARE : -_MARGIN, :, :_SQUARE] = states
    sides = (_MARGIN, _MARGIN - _GAP)
    return np.pad(
        pixels.reshape(rows * height, columns * width, 3), ((0, 0), sides, (0, 0)), constant_values=255
    )


def draw_squares(colours: NDArray[np.uint8], marks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return rows of squares as an image.

    Args:
        colours: uint8[rows, columns, 3].
        marks: bool[rows, columns], True for squares with a small orange square inside.

    Returns:
        RGB pixels uint8[height, width, 3]. Height and width are even.
    """
    rows, columns = marks.shape
    side = _SQUARE + _GAP
    squares = colours[:, None, :, None]
    pixels = np.full((rows, side, columns, side, 3), 255, np.uint8)
    pixels[:, :_SQUARE, :, :_SQUARE] = squares
    pixels[:, _MARK, :, _MARK] = np.where(marks[:, None, :, None, None], np.array(ORANGE, np.uint8), squares)
    margins = (_MARGIN, _MARGIN - _GAP)
    return np.pad(
        pixels.reshape(rows * side, columns * side, 3), (margins, margins, (0, 0)), constant_values=255
    )
