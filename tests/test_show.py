"""How a game looks: the lines of `herfast play`, their colours in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from terminal import SGR, terminal

from herfast import show


class Player:
    """Flips the bits of `flips` first, then always the first wrong one."""

    def __init__(self, max_steps: int, flips: tuple[int, ...]) -> None:
        self.env = SimpleNamespace(max_steps=max_steps)
        self.flips = list(flips)

    def predict(self, observation: Any) -> tuple[np.int64, None]:
        wrong = np.flatnonzero(observation["observation"] != observation["desired_goal"])
        return np.int64(self.flips.pop(0) if self.flips else wrong[0]), None


def game(state: str, goal: str, max_steps: int = 9, flips: tuple[int, ...] = ()) -> Iterator[show.Moment]:
    player: Any = Player(max_steps, flips)
    return show.moments(player, *(np.array([*map(int, bits)], np.int8) for bits in (state, goal)))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An 80-column terminal that knows colours, whatever the tests run in."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80"), ("LINES", "24")):
        monkeypatch.setenv(name, value)


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
    show.write(game(*arguments))
    assert capsys.readouterr().out == lines


def test_each_moment_has_a_state_of_its_own() -> None:
    assert [show.text(moment.state) for moment in game("000", "111")] == ["000", "100", "110", "111"]


# ---- in a terminal


@pytest.mark.parametrize(("arguments", "lines"), GAMES)
def test_colours_change_no_character(arguments: Any, lines: str) -> None:
    with terminal() as written:
        show.write(game(*arguments))
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
        show.write(game(*GAMES[0][0]))
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
            show.write(game(*arguments))
    found = [styles(line) for line in written.text.splitlines() if "^" not in line.replace("\x1b", "")]
    label, after = "." * 11, "." * 9
    won = ["bbbb", f"OObb{after}", f"OOb@{after}", f"BObO{after}", f"bBbO{after}", f"bbbB{after}"]
    lost = ["bb", f"OO{after}", f"OB{after}"]
    expected = ["." * 8, *(label + bits for bits in won), "b" * 17, "", "." * 8, *(label + bits for bits in lost)]
    assert found == [*expected, "O" * 18, ""]
