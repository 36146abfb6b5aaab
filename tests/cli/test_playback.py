"""Episodes in the terminal: lines, colours and animation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest
from support.terminal import SGR, Screen, terminal
from support.toy_env import Lamps

from herfast import BitFlip, pack_bits
from herfast.cli import playback
from herfast.envs import rendering


def play_with_flips(
    state: str, goal: str, max_steps: int = 9, flips: tuple[int, ...] = ()
) -> Iterator[playback.EpisodeStep]:
    """Play an episode that flips the bits of `flips`, then the first wrong one."""
    first_flips = list(flips)

    def predict(observation: Any) -> tuple[np.int64, None]:
        wrong = np.flatnonzero(observation["observation"] != observation["desired_goal"])
        return np.int64(first_flips.pop(0) if first_flips else wrong[0]), None

    words = (pack_bits([[*map(int, text)]]) for text in (state, goal))
    return playback.play_episode(BitFlip(len(state), max_steps), predict, *words)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Simulate a terminal of 80 x 24 characters with colours.

    Returns the seconds of all pauses, which are skipped.
    """
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80"), ("LINES", "24")):
        monkeypatch.setenv(name, value)
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


SUCCESS = """\
NEW EPISODE
goal       0110
start      1010  2 to go
flip     3 1011  3 to go
              ^
flip     0 0011  2 to go
           ^
flip     1 0111  1 to go
            ^
flip     3 0110  0 to go
              ^
SUCCESS AFTER 4 STEPS

"""
FAILURE = """\
NEW EPISODE
goal       00
start      11  2 to go
flip     1 10  1 to go
            ^
FAILURE AFTER 1 STEPS

"""
EPISODES = [(("1010", "0110", 9, (3,)), SUCCESS), (("11", "00", 1, (1,)), FAILURE)]


@pytest.mark.parametrize(("arguments", "lines"), EPISODES)
def test_an_episode_in_plain_text(arguments: Any, lines: str, capsys: pytest.CaptureFixture[str]) -> None:
    playback.write_episode(play_with_flips(*arguments))
    assert capsys.readouterr().out == lines


def test_each_step_has_its_own_state() -> None:
    steps = list(play_with_flips("000", "111"))
    assert [rendering.as_text(step.state) for step in steps] == ["000", "100", "110", "111"]


# ---- colours


@pytest.mark.parametrize(("arguments", "lines"), EPISODES)
def test_colours_do_not_change_the_text(arguments: Any, lines: str) -> None:
    with terminal() as written:
        playback.write_episode(play_with_flips(*arguments))
    assert SGR.sub("", written.text) == lines
    assert "\x1b[" in written.text
    assert all(line.count("\x1b[0m") * 2 == line.count("\x1b[") for line in written.text.splitlines())


@pytest.mark.parametrize(
    ("variable", "value", "coloured"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "0", False), ("NO_COLOR", "", True), ("TERM", "dumb", False)],
)
def test_no_color_and_a_dumb_terminal_get_plain_text(
    variable: str, value: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with terminal() as written:
        playback.write_episode(play_with_flips(*EPISODES[0][0]))
    assert ("\x1b" in written.text) == coloured
    assert (written.text == SUCCESS) == (not coloured)


def styles(line: str) -> str:
    """A letter per character: b blue, O orange, B and @ in reverse, . no colour."""
    letters = {"": ".", "38;5;32": "b", "1;38;5;166": "O", "38;5;32;7": "B", "1;38;5;166;7": "@"}
    parts = re.findall(r"\x1b\[([\d;]+)m(.*?)\x1b\[0m|([^\x1b]+)", line)
    return "".join(letters[style] * len(painted or plain) for style, painted, plain in parts)


def test_right_bits_are_blue_wrong_ones_orange_and_flipped_ones_in_reverse() -> None:
    with terminal() as written:
        for arguments, _ in EPISODES:
            playback.write_episode(play_with_flips(*arguments))
    found = [styles(line) for line in written.text.splitlines() if "^" not in line.replace("\x1b", "")]
    title = "." * len("NEW EPISODE")
    label, after = "." * 11, "." * 9
    success = ["bbbb", f"OObb{after}", f"OOb@{after}", f"BObO{after}", f"bBbO{after}", f"bbbB{after}"]
    failure = ["bb", f"OO{after}", f"OB{after}"]
    expected = [title, *(label + bits for bits in success), "b" * len("SUCCESS AFTER 4 STEPS"), ""]
    expected += [title, *(label + bits for bits in failure), "O" * len("FAILURE AFTER 1 STEPS"), ""]
    assert found == expected


# ---- animation


@pytest.mark.parametrize("dumb", [False, True])
def test_without_animation_episodes_are_printed_without_pauses(
    dumb: bool, pauses: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if dumb:
        monkeypatch.setenv("TERM", "dumb")
        with terminal() as written:
            playback.write_episode(play_with_flips(*EPISODES[0][0]), watch=True)
        assert written.text == SUCCESS
    else:
        playback.write_episode(play_with_flips(*EPISODES[0][0]), watch=True)
        assert capsys.readouterr().out == SUCCESS
    assert pauses == []


def animate(episodes: list[list[playback.EpisodeStep]]) -> str:
    """The output of animated episodes."""
    with terminal() as written:
        for steps in episodes:
            playback.write_episode(iter(steps), watch=True)
    return written.text


def play_spread(n_bits: int, max_steps: int) -> list[playback.EpisodeStep]:
    """Play an episode whose wrong bits are spread over the whole state."""
    goal = np.random.default_rng(n_bits).integers(0, 2, n_bits, dtype=np.int8)
    state = goal.copy()
    state[:: -(-n_bits // 7)] ^= 1
    return list(play_with_flips(rendering.as_text(state), rendering.as_text(goal), max_steps))


def expected_frame(step: playback.EpisodeStep, width: int) -> list[str]:
    """The lines of a step in a terminal that is large enough for all bits."""
    mark = "".join("^" if changed else " " for changed in step.changed).rstrip()
    lines = []
    for start in range(0, len(step.state), width):
        names = ("goal", step.label) if start == 0 else ("", "")
        rows = (rendering.as_text(step.goal), rendering.as_text(step.state), mark)
        lines += [
            f"{name:11}{row[start : start + width]}".rstrip()
            for name, row in zip((*names, ""), rows, strict=True)
        ]
    return [*lines, step.end or f"{step.to_go} to go"]


@pytest.mark.parametrize("no_color", ["", "1"])
@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (132, 50), (45, 60)])
@pytest.mark.parametrize("n_bits", [1, 20, 68, 69, 100, 256])
def test_each_step_replaces_the_previous_one(
    n_bits: int, columns: int, lines: int, no_color: str, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", str(columns)), ("LINES", str(lines)), ("NO_COLOR", no_color)):
        monkeypatch.setenv(name, value)
    episodes = [play_spread(n_bits, 9), play_spread(n_bits, 1)]
    text = animate(episodes)
    assert bool(SGR.search(text.replace("\x1b[0m\x1b[?25h", ""))) == (not no_color)
    screen = Screen(text, columns, lines)
    frames = [expected_frame(step, columns - 12) for steps in episodes for step in steps]
    assert len(screen.erased) == len(frames) - len(episodes), "the last frame of each episode stays"
    seen = iter([*screen.erased, screen.shown()])
    for steps in episodes:
        for step in steps[:-1]:
            frame = expected_frame(step, columns - 12)
            assert next(seen)[-len(frame) :] == frame
    ends = [["NEW EPISODE", *expected_frame(steps[-1], columns - 12), ""] for steps in episodes]
    assert [*screen.above, *screen.shown(), ""] == list(chain(*ends)), "nothing else stays"
    assert pauses == [playback.PAUSE] * len(frames)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (40, 8)])
def test_the_flipped_bit_is_shown_if_the_terminal_is_too_small_for_all_bits(
    columns: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    steps = play_spread(1000, 9)
    screen = Screen(animate([steps]), columns, lines)
    left = [*screen.above, *screen.shown()]
    assert sum(line.startswith("goal") for line in left) == 1
    for step, shown in zip(steps, [*screen.erased, left], strict=True):
        first = max(place for place, line in enumerate(shown) if line.startswith("goal"))
        *frame, last = shown[first:]
        assert last == (step.end or f"{step.to_go} to go")
        goal, state, mark = (
            "".join(line[11:].ljust(columns - 12) for line in frame[row::3]) for row in range(3)
        )
        start = int(step.changed.argmax()) - mark.index("^") if step.changed.any() else 0
        for bits, row in ((step.goal, goal), (step.state, state)):
            assert rendering.as_text(bits[start:]).startswith(row.rstrip())


def test_the_cursor_is_hidden_only_during_an_animation(monkeypatch: pytest.MonkeyPatch) -> None:
    text = animate([play_spread(8, 9)])
    assert (text.count("\x1b[?25l"), text.count("\x1b[?25h")) == (1, 1)
    assert text.startswith("\x1b[?25l")
    assert text.endswith("\x1b[?25h")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    with terminal() as written, pytest.raises(KeyboardInterrupt):
        playback.write_episode(iter(play_spread(100, 9)), watch=True)
    screen = Screen(written.text, 80, 24)
    assert screen.cursor
    assert (screen.row, screen.column) == (8, 0), "below the frame"


# ---- pictures


class DrawnLamps(Lamps):
    """Lamps that draw themselves, each with its goal, and with < at the selected one."""

    action_names = ("switch", "select")

    def render_ansi(self, state: Any, goal: Any) -> str:
        assert (len(state), len(goal)) == (3, 2)
        marks = ("<", " ") if state[2] == 0 else (" ", "<")
        return "\n".join(f"{state[i]}{marks[i]} {goal[i]}" for i in range(2))


class LargeLamps(DrawnLamps):
    """Lamps with a picture of 100 x 300 different characters, and @ at a place.

    The state determines the place.
    """

    def render_ansi(self, state: Any, goal: Any) -> str:
        place = int(state @ [1, 2, 4])
        rows = [[chr(0x3000 + 300 * row + column) for column in range(300)] for row in range(100)]
        rows[10 * place][40 * place + 3] = "@"
        return "\n".join(map("".join, rows))


def play_lamps(env: Lamps, actions: list[int], state: int = 0, goal: int = 3) -> list[playback.EpisodeStep]:
    """Play an episode of lamps that takes the given actions."""
    remaining = list(actions)

    def predict(observation: Any) -> tuple[np.int64, None]:
        return np.int64(remaining.pop(0)), None

    states, goals = (np.array([[word]], np.uint64) for word in (state, goal))
    return list(playback.play_episode(env, predict, states, goals))


def test_the_picture_of_an_environment_is_printed_under_the_name_of_the_action(capsys: Any) -> None:
    playback.write_episode(iter(play_lamps(DrawnLamps(), [0, 1, 0])))
    steps = ("start\n0< 1\n0  1", "switch\n1< 1\n0  1", "select\n1  1\n0< 1", "switch\n1  1\n1< 1")
    expected = "\n".join(["NEW EPISODE", *steps, "SUCCESS AFTER 3 STEPS", "", ""])
    assert capsys.readouterr().out == expected


def test_without_a_picture_actions_may_have_names(capsys: Any) -> None:
    class NamedLamps(Lamps):
        action_names = ("switch", "select another")

    playback.write_episode(iter(play_lamps(NamedLamps(1), [1])))
    assert capsys.readouterr().out == (
        "NEW EPISODE\ngoal           11\nstart          000  2 to go\n"
        "select another 001  2 to go\n                 ^\nFAILURE AFTER 1 STEPS\n\n"
    )


def test_an_environment_without_display_members_shows_bits_and_indices(capsys: Any) -> None:
    playback.write_episode(iter(play_lamps(Lamps(1), [0])))
    assert "\naction     0 100  1 to go\n             ^\n" in capsys.readouterr().out


def test_each_picture_replaces_the_previous_one() -> None:
    episodes = [play_lamps(DrawnLamps(), [0, 1, 0]), play_lamps(DrawnLamps(2), [1, 1])]
    screen = Screen(animate(episodes), 80, 24)
    frames = [
        [step.label, *(step.picture or "").splitlines(), step.end] for steps in episodes for step in steps
    ]
    seen = iter([*screen.erased, screen.shown()])
    assert len(screen.erased) == len(frames) - len(episodes), "the last frame of each episode stays"
    for frame in frames:
        if not frame[-1]:
            assert next(seen)[-3:] == frame[:3]
    ends = [line for frame in frames if frame[-1] for line in ("NEW EPISODE", *frame, "")]
    assert [*screen.above, *screen.shown(), ""] == ends, "nothing else stays"


def is_in_the_middle(place: int, start: int, length: int, end: int) -> bool:
    """Return whether `place` is in the middle of a part of [0, end).

    It may be elsewhere in a part that is at an end.
    """
    if not start <= place < start + length:
        return False
    return abs(2 * place - 2 * start - length) <= 2 or start in (0, end - length)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (30, 4), (2, 2), (400, 200)])
def test_of_a_large_picture_the_part_around_the_last_change_is_shown(
    columns: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    width = min(columns - 1, 300)
    height = min(max(lines - 3, 1), 100)
    steps = play_lamps(LargeLamps(), [1, 0, 1, 0, 1, 1])
    assert [step.focus for step in steps[:4]] == [(0, 0), (0, 3), (40, 163), (20, 83)]
    for step in steps:
        label, *shown, end = playback._frame(step, coloured=False)
        assert (label, end) == (step.label[: columns - 1], step.end)
        picture = (step.picture or "").splitlines()
        top, left = next((y, line.index(shown[0])) for y, line in enumerate(picture) if shown[0] in line)
        assert shown == [line[left : left + width] for line in picture[top : top + height]]
        row, column = step.focus
        assert is_in_the_middle(row, top, height, 100)
        assert is_in_the_middle(column, left, width, 300)
    if lines > 2:
        screen = Screen(animate([steps]), columns, lines)
        assert [*screen.above, *screen.shown()] == ["NEW EPISODE", label, *shown, end], "nothing else stays"


def test_a_step_that_changes_nothing_keeps_the_part_of_the_picture() -> None:
    class Still(LargeLamps):
        def step(self, states: Any, goals: Any, actions: Any, active: Any, out: Any, terminated: Any) -> None:
            if actions[0] == 1:
                super().step(states, goals, actions, active, out, terminated)

    steps = play_lamps(Still(3), [1, 0, 0])
    assert [step.focus for step in steps] == [(0, 0), (0, 3), (0, 3), (0, 3)]
