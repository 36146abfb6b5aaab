"""How a game looks: the lines of `herfast play`, their colours in a terminal, and how they move there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest
from support.terminal import SGR, Screen, terminal

from herfast import BitFlip
from herfast.cli import playback
from herfast.envs import rendering


def game(state: str, goal: str, max_steps: int = 9, flips: tuple[int, ...] = ()) -> Iterator[playback.EpisodeStep]:
    """Flips the bits of `flips` first, then always the first wrong one."""
    first_flips = list(flips)

    def predict(observation: Any) -> tuple[np.int64, None]:
        wrong = np.flatnonzero(observation["observation"] != observation["desired_goal"])
        return np.int64(first_flips.pop(0) if first_flips else wrong[0]), None

    bits = (np.array([*map(int, text)], np.int8) for text in (state, goal))
    return playback.play_episode(BitFlip(len(state), max_steps), predict, *bits)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A terminal of 80 x 24 that knows colours, whatever the tests run in; the pauses made, which take no time."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80"), ("LINES", "24")):
        monkeypatch.setenv(name, value)
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


WON = """\
NEW GAME
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
WON AFTER 4 STEPS

"""
LOST = """\
NEW GAME
goal       00
start      11  2 to go
flip     1 10  1 to go
            ^
LOST AFTER 1 STEPS

"""
GAMES = [(("1010", "0110", 9, (3,)), WON), (("11", "00", 1, (1,)), LOST)]


@pytest.mark.parametrize(("arguments", "lines"), GAMES)
def test_a_game_in_plain_text(arguments: Any, lines: str, capsys: pytest.CaptureFixture[str]) -> None:
    playback.write_episode(game(*arguments))
    assert capsys.readouterr().out == lines


def test_each_moment_has_a_state_of_its_own() -> None:
    assert [rendering.as_text(moment.state) for moment in list(game("000", "111"))] == ["000", "100", "110", "111"]


# ---- in a terminal


@pytest.mark.parametrize(("arguments", "lines"), GAMES)
def test_colours_change_no_character(arguments: Any, lines: str) -> None:
    with terminal() as written:
        playback.write_episode(game(*arguments))
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
        playback.write_episode(game(*GAMES[0][0]))
    assert ("\x1b" in written.text) == coloured
    assert (written.text == WON) == (not coloured)


def styles(line: str) -> str:
    """A letter for each character: b blue, O bold orange, in reverse B and @, . without colour."""
    letters = {"": ".", "38;5;32": "b", "1;38;5;166": "O", "38;5;32;7": "B", "1;38;5;166;7": "@"}
    parts = re.findall(r"\x1b\[([\d;]+)m(.*?)\x1b\[0m|([^\x1b]+)", line)
    return "".join(letters[style] * len(painted or plain) for style, painted, plain in parts)


def test_bits_are_blue_where_right_orange_where_wrong_and_in_reverse_where_flipped() -> None:
    with terminal() as written:
        for arguments, _ in GAMES:
            playback.write_episode(game(*arguments))
    found = [styles(line) for line in written.text.splitlines() if "^" not in line.replace("\x1b", "")]
    label, after = "." * 11, "." * 9
    won = ["bbbb", f"OObb{after}", f"OOb@{after}", f"BObO{after}", f"bBbO{after}", f"bbbB{after}"]
    lost = ["bb", f"OO{after}", f"OB{after}"]
    expected = ["." * 8, *(label + bits for bits in won), "b" * 17, "", "." * 8, *(label + bits for bits in lost)]
    assert found == [*expected, "O" * 18, ""]


# ---- to watch


@pytest.mark.parametrize("dumb", [False, True])
def test_what_cannot_move_is_written_out_without_a_pause(
    dumb: bool, pauses: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if dumb:
        monkeypatch.setenv("TERM", "dumb")
        with terminal() as written:
            playback.write_episode(game(*GAMES[0][0]), watch=True)
        assert written.text == WON
    else:
        playback.write_episode(game(*GAMES[0][0]), watch=True)
        assert capsys.readouterr().out == WON
    assert pauses == []


def watched(games: list[list[playback.EpisodeStep]]) -> str:
    with terminal() as written:
        for moments in games:
            playback.write_episode(iter(moments), watch=True)
    return written.text


def strewn(n_bits: int, max_steps: int) -> list[playback.EpisodeStep]:
    """A game in which bits from one end of the string to the other are wrong."""
    goal = np.random.default_rng(n_bits).integers(0, 2, n_bits, dtype=np.int8)
    state = goal.copy()
    state[:: -(-n_bits // 7)] ^= 1
    return list(game(rendering.as_text(state), rendering.as_text(goal), max_steps))


def drawn(moment: playback.EpisodeStep, width: int) -> list[str]:
    """The lines of a frame that has room for all its bits."""
    mark = " " * moment.flip + "^" if moment.flip >= 0 else ""
    lines = []
    for start in range(0, len(moment.state), width):
        names = ("goal", f"flip {moment.flip:5d}" if moment.flip >= 0 else "start") if start == 0 else ("", "")
        rows = (rendering.as_text(moment.goal), rendering.as_text(moment.state), mark)
        lines += [
            f"{name:11}{row[start : start + width]}".rstrip() for name, row in zip((*names, ""), rows, strict=True)
        ]
    return [*lines, moment.end or f"{moment.to_go} to go"]


@pytest.mark.parametrize("no_color", ["", "1"])
@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (132, 50), (45, 60)])
@pytest.mark.parametrize("n_bits", [1, 20, 68, 69, 100, 256])
def test_each_step_is_drawn_in_the_place_of_the_one_before(
    n_bits: int, columns: int, lines: int, no_color: str, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", str(columns)), ("LINES", str(lines)), ("NO_COLOR", no_color)):
        monkeypatch.setenv(name, value)
    games = [strewn(n_bits, 9), strewn(n_bits, 1)]
    text = watched(games)
    assert bool(SGR.search(text.replace("\x1b[0m\x1b[?25h", ""))) == (not no_color)
    screen = Screen(text, columns, lines)
    frames = [drawn(moment, columns - 12) for moments in games for moment in moments]
    assert len(screen.erased) == len(frames) - len(games), "all but the last of each game"
    seen = iter([*screen.erased, screen.shown()])
    for moments in games:
        for moment in moments[:-1]:
            frame = drawn(moment, columns - 12)
            assert next(seen)[-len(frame) :] == frame
    ends = [["NEW GAME", *drawn(moments[-1], columns - 12), ""] for moments in games]
    assert [*screen.above, *screen.shown(), ""] == list(chain(*ends)), "and nothing else is left"
    assert pauses == [playback.PAUSE] * len(frames)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (40, 8)])
def test_of_a_game_larger_than_the_terminal_the_flipped_bit_is_shown(
    columns: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    moments = strewn(1000, 9)
    screen = Screen(watched([moments]), columns, lines)
    left = [*screen.above, *screen.shown()]
    assert sum(line.startswith("goal") for line in left) == 1
    for moment, shown in zip(moments, [*screen.erased, left], strict=True):
        first = max(place for place, line in enumerate(shown) if line.startswith("goal"))
        *frame, last = shown[first:]
        assert last == (moment.end or f"{moment.to_go} to go")
        goal, state, mark = ("".join(line[11:].ljust(columns - 12) for line in frame[row::3]) for row in range(3))
        start = moment.flip - mark.index("^") if moment.flip >= 0 else 0
        for bits, row in ((moment.goal, goal), (moment.state, state)):
            assert rendering.as_text(bits[start:]).startswith(row.rstrip())


def test_the_cursor_is_hidden_only_while_a_game_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    text = watched([strewn(8, 9)])
    assert (text.count("\x1b[?25l"), text.count("\x1b[?25h")) == (1, 1)
    assert text.startswith("\x1b[?25l")
    assert text.endswith("\x1b[?25h")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    with terminal() as written, pytest.raises(KeyboardInterrupt):
        playback.write_episode(iter(strewn(100, 9)), watch=True)
    screen = Screen(written.text, 80, 24)
    assert screen.cursor
    assert (screen.row, screen.column) == (8, 0), "below the frame"
