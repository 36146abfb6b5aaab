"""How a game looks: as lines of text, in colour and moving in a terminal that allows it, and as a picture."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from herfast.agent import Agent

Bits: TypeAlias = NDArray[np.int8]  # [n], of zeros and ones

PAUSE = 0.15  # seconds from one step to the next

_LABEL = 11  # characters before the bits
_RIGHT, _WRONG = "38;5;32", "1;38;5;166"  # SGR codes: blue, and bold orange, as in the plots of a run
_FLIPPED = "7"  # in reverse
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[0m\x1b[?25h"  # and end a colour that was cut off

_SQUARE, _GAP, _MARGIN = 16, 2, 8  # pixels of the picture, even as its sides must be in a video
_COLUMNS = 32  # bits in a row of it
_COLOURS = np.array(  # of a bit, [right or wrong, 0 or 1]: pale blue and blue, pale orange and orange
    [[(0xC9, 0xD8, 0xEA), (0x1F, 0x5F, 0xA8)], [(0xF7, 0xD3, 0xB3), (0xD1, 0x60, 0x0A)]], np.uint8
)


class Moment(NamedTuple):
    """A game at its start or after a step."""

    state: Bits
    goal: Bits
    flip: int  # the bit that was flipped, -1 at the start
    to_go: int  # bits in which state and goal differ
    end: str  # "WON AFTER 3 STEPS" or the like, empty while the game goes on


def moments(agent: Agent, state: Bits, goal: Bits) -> Iterator[Moment]:
    """The game that `agent` plays greedily from `state` to `goal`, both int8[n]: its start, then each step."""
    flip, steps = -1, 0
    while True:
        to_go = int((state != goal).sum())
        over = not to_go or steps == agent.env.max_steps
        end = f"{'LOST' if to_go else 'WON'} AFTER {steps} STEPS" if over else ""
        yield Moment(state, goal, flip, to_go, end)
        if over:
            return
        flip = int(agent.predict({"observation": state, "desired_goal": goal})[0])
        state = state.copy()
        state[flip] ^= 1
        steps += 1


def write(game: Iterator[Moment], watch: bool = False) -> None:
    """Write a game to stdout, as plain text unless that is a terminal, where it moves if you `watch`."""
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    coloured = terminal and not os.environ.get("NO_COLOR")  # https://no-color.org
    if terminal and watch:
        _animate(game, coloured)
    else:
        for line in _lines(game, coloured):
            print(line)


def _animate(game: Iterator[Moment], coloured: bool) -> None:
    """Draw each moment in the place of the one before."""
    try:
        print(_HIDE_CURSOR + "NEW GAME")
        height = 0
        for moment in game:
            frame = _frame(moment, coloured)
            back = f"\r\x1b[{height}A\x1b[J" if height else ""
            print(back + "\n".join(frame), flush=True)
            height = len(frame)
            time.sleep(PAUSE)
        print()
    finally:
        print(end=_SHOW_CURSOR, flush=True)


def _frame(moment: Moment, coloured: bool) -> list[str]:
    """The lines of a moment, which fit the terminal: of more bits than it has room for, those around the flipped."""
    state, goal, flip, to_go, end = moment
    size = shutil.get_terminal_size()
    width = max(size.columns - _LABEL - 1, 1)  # the last column stays free, where some terminals begin a new line
    page = width * max((size.lines - 2) // 3, 1)  # room for the last line and the cursor
    first = max(flip, 0) // page * page
    flipped = np.arange(len(state)) == flip
    labels = f"{'goal':{_LABEL}}", _label(flip)
    lines = []
    for start in range(first, min(first + page, len(state)), width):
        part = slice(start, start + width)
        for label, bits in zip(labels, (goal, state), strict=True):
            lines.append(label + _bits(bits[part], goal[part], flipped[part], coloured))
        lines.append(_mark(flipped[part]))
        labels = " " * _LABEL, " " * _LABEL
    return [*lines, _ending(end, to_go, coloured) if end else f"{to_go} to go"]


def _lines(game: Iterator[Moment], coloured: bool) -> Iterator[str]:
    """Goal, start, the state after each step with the flipped bit marked below, and how the game ended."""
    yield "NEW GAME"
    for state, goal, flip, to_go, end in game:
        flipped = np.arange(len(state)) == flip
        if flip < 0:
            yield f"{'goal':{_LABEL}}{_bits(goal, goal, flipped, coloured)}"
        yield f"{_label(flip)}{_bits(state, goal, flipped, coloured)}  {to_go} to go"
        if flip >= 0:
            yield _mark(flipped)
        if end:
            yield _ending(end, to_go, coloured)
    yield ""


def _label(flip: int) -> str:
    return f"{'start' if flip < 0 else f'flip {flip:5d}':{_LABEL}}"


def _bits(bits: Bits, goal: Bits, flipped: NDArray[np.bool_], coloured: bool) -> str:
    """Bits as zeros and ones, coloured by whether they equal those of `goal`; all arrays [n]."""
    if not coloured:
        return text(bits)
    styles = np.where(bits == goal, _RIGHT, _WRONG).astype(object) + np.where(flipped, f";{_FLIPPED}", "")
    runs = groupby(zip(styles, text(bits), strict=True), key=lambda pair: pair[0])
    return "".join(_painted("".join(bit for _, bit in run), style) for style, run in runs)


def _mark(flipped: NDArray[np.bool_]) -> str:
    """A ^ below the flipped bit, if there is one."""
    return (" " * _LABEL + "".join(np.where(flipped, "^", " "))).rstrip()


def _ending(end: str, to_go: int, coloured: bool) -> str:
    return _painted(end, _WRONG if to_go else _RIGHT) if coloured else end


def _painted(words: str, style: str) -> str:
    return f"\x1b[{style}m{words}\x1b[0m"


def text(bits: Bits) -> str:
    """Bits [n] as zeros and ones."""
    return "".join(np.where(bits, "1", "0"))


def line(state: Bits, goal: Bits) -> str:
    """State and goal, both [n], in one line."""
    return f"state {text(state)} goal {text(goal)}"


def picture(state: Bits, goal: Bits) -> NDArray[np.uint8]:
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
