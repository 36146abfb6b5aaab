"""Record commands in a terminal as an animated SVG.

`python bench/recording.py --out docs/recording.svg` records `herfast train` and `herfast play --watch`. The
output is that of the commands. Only pauses are changed: short ones are longer, long ones shorter.
"""

import argparse
import fcntl
import html
import os
import pty
import re
import select
import struct
import subprocess
import tempfile
import termios
import time
from itertools import groupby
from pathlib import Path

COMMANDS = ("herfast train --n-bits 50", "herfast play runs/bitflip-50-fast-seed0 --games 1 --watch")
COLUMNS = 88
LINES = 22
SHORTEST = 0.2  # seconds that a screen is shown
LONGEST = 1.0
LAST = 3.0  # seconds that the last screen is shown
SETTLED = 0.01  # seconds without output after which a screen is complete
PIECE = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|([\s\S])")

WIDTH = 8.4  # of a character, pixels
HEIGHT = 18
MARGIN = 14
PROMPT = "prompt"
CLASSES = {"38;5;32": "right", "1;38;5;166": "wrong", PROMPT: PROMPT}  # styles of `play`, and of the prompt
REVERSE = ";7"  # at the end of a style
CSS = """\
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d7dce2;
  white-space: pre; }
.prompt { fill: #7ee787; font-weight: bold; }
.right { fill: #0087d7; }
.wrong { fill: #d75f00; font-weight: bold; }
text.reverse { fill: #0d1117; font-weight: bold; }"""


class Terminal:
    """A screen that knows the control sequences of herfast and tqdm.

    `cells` has a list of (character, style) for each line that was written.
    """

    def __init__(self):
        self.cells = [[]]
        self.top = 0  # first line on the screen
        self.row = 0
        self.column = 0
        self.style = ""

    def write(self, text):
        for numbers, command, character in PIECE.findall(text):
            if character:
                self._put(character)
            else:
                self._control(command, numbers)

    def screen(self):
        """Return the lines on the screen, each a tuple of (column, text, style)."""
        lines = []
        for cells in self.cells[self.top :]:
            runs = []
            column = 0
            for style, run in groupby(cells, key=lambda cell: cell[1]):
                text = "".join(character for character, _ in run)
                runs.append((column, text, style))
                column += len(text)
            lines.append(tuple(runs))
        return lines

    def _put(self, character):
        if character == "\n":
            self._go_to(self.row + 1)
        elif character == "\r":
            self.column = 0
        else:
            if self.column == COLUMNS:
                self.column = 0
                self._go_to(self.row + 1)
            cells = self.cells[self.row]
            cells[self.column : self.column + 1] = [(character, self.style)]
            self.column += 1

    def _go_to(self, row):
        self.row = row
        while len(self.cells) <= row:
            self.cells.append([])
        self.top = max(self.top, len(self.cells) - LINES)

    def _control(self, command, numbers):
        if command == "A":
            self._go_to(self.row - int(numbers))
        elif command == "J":
            del self.cells[self.row + 1 :]
            del self.cells[self.row][self.column :]
        elif command == "m":
            self.style = numbers.removeprefix("0")
        elif numbers != "?25":  # shows or hides the cursor
            raise ValueError(f"the control sequence {numbers}{command} is unknown")


def record(commands, folder):
    """Run commands in a terminal. Returns screens, each as (seconds, lines)."""
    terminal = Terminal()
    screens = []
    now = 0.0
    for command in commands:
        terminal.style = PROMPT
        terminal.write("$ ")
        terminal.style = ""
        terminal.write(f"{command}\r\n")
        screens.append((now, terminal.screen()))
        for pause, text in outputs(command, folder):
            now += min(max(pause, SHORTEST), LONGEST)
            terminal.write(text)
            screens.append((now, terminal.screen()))
        now += LONGEST
    return screens


def outputs(command, folder):
    """Run a command in a terminal. Yields its output, each time as (seconds since the last, text)."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", LINES, COLUMNS, 0, 0))
    streams = {"stdin": its, "stdout": its, "stderr": its}
    environment = {**os.environ, "TERM": "xterm-256color"}
    before = time.perf_counter()
    with subprocess.Popen(command.split(), cwd=folder, env=environment, **streams) as process:
        os.close(its)
        while output := read(ours):
            now = time.perf_counter()
            while select.select([ours], [], [], SETTLED)[0] and (more := read(ours)):
                output += more
            yield now - before, output.decode()
            before = now
    os.close(ours)
    if process.returncode:
        raise RuntimeError(f"{command} ended with exit code {process.returncode}")


def read(terminal):
    """Return output of a terminal, or b"" if all processes have closed it."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # so Linux reports it
        return b""


def svg(screens):
    """Return an SVG that shows screens one after another, again and again.

    A line that stays the same is written once. Without animation the last screen is visible.
    """
    end = screens[-1][0] + LAST
    parts = []
    for row in range(LINES):
        start = 0.0
        line = ()
        for seconds, lines in [*screens, (end, None)]:
            new = None
            if lines is not None:
                new = (*lines, *[()] * LINES)[row]
            if new != line:
                if line:
                    parts.append(line_svg(line, row, start / end, seconds / end, end))
                start = seconds
                line = new
    width = round(COLUMNS * WIDTH + 2 * MARGIN)
    height = LINES * HEIGHT + 2 * MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>\n{CSS}\n</style>'
    screen = f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>'
    return "\n".join([head, screen, *parts, "</svg>\n"])


def line_svg(line, row, first, last, seconds):
    """Return a line that is visible from `first` to `last`, parts of the animation's seconds."""
    visibility = "visible" if last == 1 else "hidden"
    parts = [
        f'<g visibility="{visibility}"><animate attributeName="visibility" calcMode="discrete" '
        f'values="hidden;visible;hidden" keyTimes="0;{first:.4f};{last:.4f}" dur="{seconds:.1f}s" '
        'repeatCount="indefinite"/>'
    ]
    y = MARGIN + row * HEIGHT
    for column, text, style in line:
        words = text.strip()
        x = MARGIN + (column + text.find(words)) * WIDTH
        width = len(words) * WIDTH
        name = CLASSES.get(style.removesuffix(REVERSE), "plain")
        if style.endswith(REVERSE):
            parts.append(f'<rect class="{name}" x="{x:.5g}" y="{y}" width="{width:.5g}" height="{HEIGHT}"/>')
            name = "reverse"
        if words:
            place = f'x="{x:.5g}" y="{y + HEIGHT - 5}" textLength="{width:.5g}"'
            parts.append(f'<text class="{name}" {place}>{html.escape(words)}</text>')
    return "".join([*parts, "</g>"])


def main():
    parser = argparse.ArgumentParser(description="Record herfast in a terminal.")
    parser.add_argument("--out", type=Path, required=True, help="SVG file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        screens = record(COMMANDS, folder)
    args.out.write_text(svg(screens), encoding="utf-8")
    print(f"{args.out}: {len(screens)} screens, {args.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
