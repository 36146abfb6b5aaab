"""Episodes in the terminal, as lines of text or animated.

Each step shows the bits of goal and state, or the text of the environment's `render_ansi`, if it has one.
Colours are used if stdout is a terminal, unless NO_COLOR is set (https://no-color.org) or TERM is "dumb".
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from itertools import groupby, zip_longest
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words
from herfast.common.bits import unpack_bits
from herfast.envs.base import GoalEnv, StatefulEnv, stateful
from herfast.envs.rendering import Bits, as_text

Predict: TypeAlias = Callable[[dict[str, Bits]], tuple[Any, None]]

PAUSE = 0.15  # seconds from one step to the next
_MIN_LABEL_WIDTH = 11  # of the labels before the bits, characters
# SGR codes: blue and bold orange, as in the plots of a run, and reverse video.
_RIGHT = "38;5;32"
_WRONG = "1;38;5;166"
_CHANGED = "7"
_FIRST = np.zeros(1, np.int64)  # row of the only episode
_HIDE_CURSOR = "\x1b[?25l"
_SHOW_CURSOR = "\x1b[0m\x1b[?25h"  # also ends a colour that was interrupted


class EpisodeStep(NamedTuple):
    """State of an episode at its start or after a step."""

    state: Bits  # [S]
    goal: Bits  # [G], compared with the first G bits of the state
    label: str  # "start", or the action that was taken
    label_width: int  # characters for the labels of all steps, and a space
    picture: str | None  # lines of text that the environment draws; None shows the bits
    focus: tuple[int, int]  # line and column of the last change of the picture
    changed: NDArray[np.bool_]  # [S], bits that the action changed
    to_go: int  # number of bits in which state and goal differ
    end: str  # such as "SUCCESS AFTER 3 STEPS"; empty while the episode continues


def play_episode(env: GoalEnv, predict: Predict, states: Words, goals: Words) -> Iterator[EpisodeStep]:
    """Play one episode.

    Args:
        env: the environment.
        predict: the policy, `Agent.predict` or a function like it, of bits of state and goal.
        states: the first state, uint64[1, Ws]. It is copied.
        goals: the goal, uint64[1, Wg].

    Yields:
        The start of the episode, then each step.
    """
    states = states.copy()
    terminated = np.zeros(1, np.bool_)
    goal = unpack_bits(goals[0], env.n_goal_bits).view(np.int8)
    state = unpack_bits(states[0], env.n_state_bits).view(np.int8)
    changed = np.zeros(len(state), np.bool_)
    label = "start"
    label_width = _label_width(env)
    render_ansi = getattr(env, "render_ansi", None)
    picture = None
    focus = (0, 0)
    for steps in range(env.max_steps + 1):
        to_go = int((state[: len(goal)] != goal).sum())
        end = ""
        if terminated[0] or steps == env.max_steps:
            end = f"{_result(env, bool(terminated[0]))} AFTER {steps} STEPS"
        if render_ansi is not None:
            before = picture
            picture = render_ansi(state, goal)
            if before is not None:
                focus = _first_change(before, picture) or focus
        yield EpisodeStep(state, goal, label, label_width, picture, focus, changed, to_go, end)
        if end:
            return
        action, _ = predict({"observation": state, "desired_goal": goal})
        label = _action_text(env, int(action))
        env.step(states, goals, np.array([action], np.uint16), _FIRST, states, terminated)
        previous = state
        state = unpack_bits(states[0], env.n_state_bits).view(np.int8)
        changed = state != previous


def begin_next(env: StatefulEnv, states: Words, goals: Words) -> None:
    """Start the next episode of the first sub-environment.

    Args:
        env: the environment.
        states: receives the start state, uint64[1, Ws].
        goals: receives the goal, uint64[1, Wg].
    """
    while not env.begin(_FIRST, states, goals).size:
        env.step(states, goals, np.zeros(1, np.uint16), _FIRST[:0], states, np.zeros(1, np.bool_))


def _result(env: GoalEnv, is_terminated: bool) -> str:
    """Return SUCCESS or FAILURE for an episode that has ended."""
    sub_envs = stateful(env)
    is_success = is_terminated
    if sub_envs is not None:
        is_success = bool(sub_envs.finish(_FIRST).successes[0])
    if is_success:
        return "SUCCESS"
    return "FAILURE"


def _action_text(env: GoalEnv, action: int) -> str:
    """Return the name of an action, by default the label of actions and its index."""
    names: tuple[str, ...] | None = getattr(env, "action_names", None)
    if names is not None:
        return names[action]
    return f"{getattr(env, 'action_label', 'action')} {action:5d}"


def _label_width(env: GoalEnv) -> int:
    """Return the number of characters for the label of any action, and a space."""
    names = getattr(env, "action_names", None) or [_action_text(env, 0)]
    return max(_MIN_LABEL_WIDTH, *(len(name) + 1 for name in names))


def _first_change(before: str, after: str) -> tuple[int, int] | None:
    """Return line and column of the first character that differs, or None."""
    lines = zip_longest(before.splitlines(), after.splitlines(), fillvalue="")
    for row, (old_line, new_line) in enumerate(lines):
        for column, (old, new) in enumerate(zip_longest(old_line, new_line)):
            if old != new:
                return row, column
    return None


def write_episode(episode: Iterator[EpisodeStep], watch: bool = False) -> None:
    """Print an episode.

    Args:
        episode: the episode, as from `play_episode`.
        watch: whether to animate it, if stdout is a terminal.
    """
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    coloured = terminal and not os.environ.get("NO_COLOR")
    if terminal and watch:
        _animate(episode, coloured)
    else:
        for line in _lines(episode, coloured):
            print(line)


def _animate(episode: Iterator[EpisodeStep], coloured: bool) -> None:
    """Draw each step in the place of the previous one."""
    try:
        print(_HIDE_CURSOR + "NEW EPISODE")
        height = 0
        for step in episode:
            frame = _frame(step, coloured)
            text = "\n".join(frame)
            if height:
                text = f"\r\x1b[{height}A\x1b[J{text}"
            print(text, flush=True)
            height = len(frame)
            time.sleep(PAUSE)
        print()
    finally:
        print(end=_SHOW_CURSOR, flush=True)


def _frame(step: EpisodeStep, coloured: bool) -> list[str]:
    """Return the lines of a step, cut to the size of the terminal.

    If the bits do not fit, those around the first changed bit are shown. Of a picture, the part around the
    last change is shown.
    """
    size = shutil.get_terminal_size()
    columns = size.columns - 1  # the last stays empty, since some terminals begin a new line after it
    if step.picture is not None:
        height = max(size.lines - 3, 1)  # without the label, the last line and the line of the cursor
        picture = _part(step.picture.splitlines(), step.focus, height, columns)
        return [step.label[:columns], *picture, _end_text(step, coloured)]
    width = max(columns - step.label_width, 1)
    page = width * max((size.lines - 2) // 3, 1)  # without the last line and the line of the cursor
    first = int(step.changed.argmax()) // page * page
    labels = ["goal", step.label]
    lines = []
    for start in range(first, min(first + page, len(step.state)), width):
        part = slice(start, start + width)
        for label, bits in zip(labels, (step.goal, step.state), strict=True):
            text = _bits_text(bits[part], step.goal[part], step.changed[part], coloured)
            lines.append(f"{label:{step.label_width}}{text}")
        lines.append(_marks(step.changed[part], step.label_width))
        labels = ["", ""]
    lines.append(_end_text(step, coloured) or f"{step.to_go} to go")
    return lines


def _part(lines: list[str], focus: tuple[int, int], height: int, width: int) -> list[str]:
    """Return `height` lines of `width` characters around the focus.

    The focus is in the middle, unless the picture ends before.
    """
    row, column = focus
    longest = max(map(len, lines), default=0)
    top = max(min(row - height // 2, len(lines) - height), 0)
    left = max(min(column - width // 2, longest - width), 0)
    return [line[left : left + width] for line in lines[top : top + height]]


def _lines(episode: Iterator[EpisodeStep], coloured: bool) -> Iterator[str]:
    """Yield the lines of an episode: start, each step, and the end."""
    yield "NEW EPISODE"
    for number, step in enumerate(episode):
        if step.picture is not None:
            yield step.label
            yield from step.picture.splitlines()
        else:
            yield from _bits_lines(step, number == 0, coloured)
        if step.end:
            yield _end_text(step, coloured)
    yield ""


def _bits_lines(step: EpisodeStep, is_start: bool, coloured: bool) -> Iterator[str]:
    """Yield the state of a step and its marks; at the start, goal and state."""
    if is_start:
        yield f"{'goal':{step.label_width}}{_bits_text(step.goal, step.goal, step.changed, coloured)}"
    state = _bits_text(step.state, step.goal, step.changed, coloured)
    yield f"{step.label:{step.label_width}}{state}  {step.to_go} to go"
    if not is_start:
        yield _marks(step.changed, step.label_width)


def _bits_text(bits: Bits, goal: Bits, changed: NDArray[np.bool_], coloured: bool) -> str:
    """Return zeros and ones, coloured by comparison with the goal's first bits."""
    if not coloured:
        return as_text(bits)
    n = len(goal)
    styles = np.full(len(bits), "", object)
    styles[:n] = np.where(bits[:n] == goal, _RIGHT, _WRONG)
    styles = styles + np.where(changed[: len(bits)], f";{_CHANGED}", "")
    parts = []
    for style, pairs in groupby(zip(styles, as_text(bits), strict=True), key=lambda pair: pair[0]):
        parts.append(_with_style("".join(bit for _, bit in pairs), style))
    return "".join(parts)


def _marks(changed: NDArray[np.bool_], label_width: int) -> str:
    """Return a line with a ^ below each changed bit."""
    return (" " * label_width + "".join(np.where(changed, "^", " "))).rstrip()


def _end_text(step: EpisodeStep, coloured: bool) -> str:
    """Return how the episode ended, coloured; empty while it continues."""
    if not (step.end and coloured):
        return step.end
    if step.to_go:
        return _with_style(step.end, _WRONG)
    return _with_style(step.end, _RIGHT)


def _with_style(text: str, style: str) -> str:
    """Return `text` in the style of an SGR code, unchanged if the code is empty."""
    if not style:
        return text
    return f"\x1b[{style.strip(';')}m{text}\x1b[0m"
