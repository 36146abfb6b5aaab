"""A pseudo-terminal in stdout's place, and the screen that a terminal would show of what was written to it."""

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SGR = re.compile(r"\x1b\[[\d;]*m")


class Terminal:
    """What was written to it, once it is closed."""

    text = ""


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Let sys.stdout be a terminal."""
    controller, terminal_end = os.openpty()
    text = bytearray()

    def read() -> None:
        while not text.endswith(b"\0"):  # the end mark; what is still on its way when a terminal is closed may be lost
            text.extend(os.read(controller, 4096))

    reader = threading.Thread(target=read, daemon=True)  # else a full buffer would stop who writes
    reader.start()
    before, written = sys.stdout, Terminal()
    sys.stdout = open(terminal_end, "w", encoding="utf-8")  # noqa: SIM115 (closed below)
    try:
        yield written
    finally:
        print(end="\0", flush=True)
        reader.join()
        sys.stdout.close()
        sys.stdout = before
        os.close(controller)
        written.text = text[:-1].decode().replace("\r\n", "\n")


class Screen:
    """What a terminal shows of a text, without its colours."""

    def __init__(self, text: str, columns: int, lines: int) -> None:
        self.rows, self.row, self.column = [[" "] * columns for _ in range(lines)], 0, 0
        self.cursor = True  # whether it is shown
        self.above: list[str] = []  # what was scrolled away
        self.erased: list[list[str]] = []  # what was shown before each part of the screen was erased
        for number, final, character in re.findall(r"\x1b\[([\d;?]*)([A-Za-z])|(.)", SGR.sub("", text), re.DOTALL):
            if final:
                self._escape(number + final)
            elif character == "\r":
                self.column = 0
            else:
                if character == "\n" or self.column == columns:
                    self.row, self.column = self.row + 1, 0
                if self.row == lines:
                    self.above.append("".join(self.rows.pop(0)).rstrip())
                    self.rows.append([" "] * columns)
                    self.row -= 1
                if character != "\n":
                    self.rows[self.row][self.column] = character
                    self.column += 1

    def _escape(self, sequence: str) -> None:
        if sequence == "J":
            self.erased.append(self.shown())
            self.rows[self.row][self.column :] = [" "] * (len(self.rows[0]) - self.column)
            self.rows[self.row + 1 :] = [[" "] * len(self.rows[0]) for _ in self.rows[self.row + 1 :]]
        elif sequence in ("?25l", "?25h"):
            self.cursor = sequence == "?25h"
        else:
            assert re.fullmatch(r"[1-9]\d*A", sequence), sequence
            self.row = max(self.row - int(sequence[:-1]), 0)

    def shown(self) -> list[str]:
        """Its lines but for the empty ones at the end."""
        return "\n".join("".join(row).rstrip() for row in self.rows).rstrip("\n").split("\n")
