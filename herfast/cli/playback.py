"""Play episodes in the terminal: as lines of text, or animated, in colour where the terminal has it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from herfast.common.bits import pack_bits, unpack_bits
from herfast.envs.base import GoalEnv
from herfast.envs.rendering import Bits, as_text

Predict: TypeAlias = Callable[[dict[str, Bits]], tuple[Any, None]]

PAUSE = 0.15  # seconds from one step to the next
_LABEL = 11  # characters before the bits
_RIGHT, _WRONG = "38;5;32", "1;38;5;166"  # SGR codes: blue, and bold orange, as in the plots of a run
_FLIPPED = "7"  # in reverse
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[0m\x1b[?25h"  # and end a colour that was cut off


class EpisodeStep(NamedTuple):
    """An episode at its start or after a step."""

    state: Bits
    goal: Bits
    flip: int  # the bit that was flipped, -1 at the start
    to_go: int  # bits in which state and goal differ
    end: str  # "WON AFTER 3 STEPS" or the like, empty while the episode continues


def play_episode(env: GoalEnv, predict: Predict, state: Bits, goal: Bits) -> Iterator[EpisodeStep]:
    """Play one episode: yield its start, then each step.

    Args:
        env: the environment.
        predict: the policy: `Agent.predict` or a function like it.
        state: the first state, int8[S].
        goal: the goal, int8[G].
    """
    states = pack_bits(state[None])
    goals = pack_bits(goal[None])
    active = np.zeros(1, np.int64)
    terminated = np.zeros(1, np.bool_)
    flip = -1
    for steps in range(env.max_steps + 1):
        to_go = int((state != goal).sum())
        end = ""
        if not to_go or steps == env.max_steps:
            end = f"{'LOST' if to_go else 'WON'} AFTER {steps} STEPS"
        yield EpisodeStep(state, goal, flip, to_go, end)
        if end:
            return
        action, _ = predict({"observation": state, "desired_goal": goal})
        flip = int(action)
        env.step(states, goals, np.array([flip], np.uint16), active, states, terminated)
        state = unpack_bits(states[0], env.n_state_bits).view(np.int8)


def write_episode(episode: Iterator[EpisodeStep], watch: bool = False) -> None:
    """Write a game to stdout, as plain text unless that is a terminal, where it moves if you `watch`."""
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    coloured = terminal and not os.environ.get("NO_COLOR")  # https://no-color.org
    if terminal and watch:
        _animate(episode, coloured)
    else:
        for line in _lines(episode, coloured):
            print(line)


def _animate(episode: Iterator[EpisodeStep], coloured: bool) -> None:
    """Draw each moment in the place of the one before."""
    try:
        print(_HIDE_CURSOR + "NEW GAME")
        height = 0
        for step in episode:
            frame = _frame(step, coloured)
            back = f"\r\x1b[{height}A\x1b[J" if height else ""
            print(back + "\n".join(frame), flush=True)
            height = len(frame)
            time.sleep(PAUSE)
        print()
    finally:
        print(end=_SHOW_CURSOR, flush=True)


def _frame(step: EpisodeStep, coloured: bool) -> list[str]:
    """The lines of a moment, which fit the terminal: of more bits than it has room for, those around the flipped."""
    state, goal, flip, to_go, end = step
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


def _lines(episode: Iterator[EpisodeStep], coloured: bool) -> Iterator[str]:
    """Goal, start, the state after each step with the flipped bit marked below, and how the game ended."""
    yield "NEW GAME"
    for state, goal, flip, to_go, end in episode:
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
        return as_text(bits)
    styles = np.where(bits == goal, _RIGHT, _WRONG).astype(object) + np.where(flipped, f";{_FLIPPED}", "")
    runs = groupby(zip(styles, as_text(bits), strict=True), key=lambda pair: pair[0])
    return "".join(_painted("".join(bit for _, bit in run), style) for style, run in runs)


def _mark(flipped: NDArray[np.bool_]) -> str:
    """A ^ below the flipped bit, if there is one."""
    return (" " * _LABEL + "".join(np.where(flipped, "^", " "))).rstrip()


def _ending(end: str, to_go: int, coloured: bool) -> str:
    return _painted(end, _WRONG if to_go else _RIGHT) if coloured else end


def _painted(words: str, style: str) -> str:
    return f"\x1b[{style}m{words}\x1b[0m"
