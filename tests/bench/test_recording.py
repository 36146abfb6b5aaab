"""Tests of bench/recording.py, which makes docs/recording.svg."""

import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from recording import COLUMNS, LAST, LINES, LONGEST, SHORTEST, Terminal, record, svg

RECORDING = Path(__file__).parents[2] / "docs" / "recording.svg"
SVG = "{http://www.w3.org/2000/svg}"


def screen_of(text):
    """Return the lines on a screen, without styles."""
    terminal = Terminal()
    terminal.write(text)
    return ["".join(part for _, part, _ in line) for line in terminal.screen()]


@pytest.mark.parametrize(
    ("text", "screen"),
    [
        ("ab\r\nc", ["ab", "c"]),
        ("10%\r 9", [" 9%"]),
        ("a\r\nb\r\nc\r\n\x1b[3A\x1b[Jd\r\n", ["d", ""]),
        ("a\x1b[?25lb\x1b[?25h", ["ab"]),
        ("x" * COLUMNS + "y", ["x" * COLUMNS, "y"]),
        ("\r\n".join(map(str, range(LINES + 2))), [str(i) for i in range(2, LINES + 2)]),
    ],
)
def test_the_screen_after_output(text, screen):
    assert screen_of(text) == screen


def test_cells_keep_their_style():
    terminal = Terminal()
    terminal.write("ab\x1b[38;5;32mc\x1b[0md")
    assert terminal.screen() == [((0, "ab", ""), (2, "c", "38;5;32"), (3, "d", ""))]


def test_an_unknown_control_sequence_raises():
    with pytest.raises(ValueError, match="2K is unknown"):
        Terminal().write("\x1b[2K")


def test_commands_run_in_a_terminal_and_pauses_are_bounded(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import os, sys\nprint(sys.stdout.isatty(), os.get_terminal_size())")
    screens = record([f"{sys.executable} script.py"] * 2, tmp_path)
    shown = "".join(text for line in screens[-1][1] for _, text, _ in line)
    assert shown.count(f"True os.terminal_size(columns={COLUMNS}, lines={LINES})") == 2
    seconds = [second for second, _ in screens]
    assert seconds[0] == 0
    for before, now in pairwise(seconds):
        assert SHORTEST <= round(now - before, 6) <= 2 * LONGEST


def test_a_failed_command_raises(tmp_path):
    with pytest.raises(RuntimeError, match="ended with exit code 1"):
        record([f"{sys.executable} -cexit(1)"], tmp_path)


def test_lines_are_visible_while_they_stay_the_same():
    screens = [(0.0, [((0, "<a>", ""),)]), (1.0, [((0, "<a>", ""),), ((0, "b", "38;5;32;7"),)])]
    groups = ElementTree.fromstring(svg(screens)).findall(f"{SVG}g")
    assert [group.find(f"{SVG}text").text for group in groups] == ["<a>", "b"]
    times = [group.find(f"{SVG}animate").get("keyTimes") for group in groups]
    assert times == ["0;0.0000;1.0000", f"0;{1 / (1 + LAST):.4f};1.0000"]
    assert [group.get("visibility") for group in groups] == ["visible"] * 2
    assert groups[1].find(f"{SVG}rect").get("class") == "right"


def test_a_line_that_is_replaced_is_hidden_at_the_end():
    screens = [(0.0, [((0, "a", ""),)]), (1.0, [((0, "b", ""),)])]
    groups = ElementTree.fromstring(svg(screens)).findall(f"{SVG}g")
    assert [group.get("visibility") for group in groups] == ["hidden", "visible"]


def test_the_recording_in_docs_is_small_and_ends_in_success():
    text = RECORDING.read_text(encoding="utf-8")
    assert RECORDING.stat().st_size < 300_000
    groups = ElementTree.fromstring(text).findall(f"{SVG}g")
    last = [group.find(f"{SVG}text").text for group in groups if group.get("visibility") == "visible"]
    assert any("herfast play" in "".join(group.itertext()) for group in groups)
    assert last[-1].startswith("SUCCESS AFTER")
    assert 10 < float(groups[0].find(f"{SVG}animate").get("dur").rstrip("s")) < 20
