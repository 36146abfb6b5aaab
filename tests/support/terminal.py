"""Pseudo-terminal in place of stdout, and the screen that a terminal would show."""

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SGR = re.compile(r"\x1b\[[\d;]*m")


class Terminal:
    """Result of `terminal`."""

    text = ""  # the output, set when the terminal is closed


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Replace sys.stdout by a pseudo-terminal."""
    controller, terminal_end = os.openpty()
    text = bytearray()

    def read() -> None:
        # Output that is not yet read when the terminal is closed may be lost, so read until an end mark.
        while not text.endswith(b"\0"):
            text.extend(os.read(controller, 4096))

    # Without a reader, a full buffer would block the writer.
    reader = threading.Thread(target=read, daemon=True)
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
    """Screen of a terminal after a text was written to it, without colours."""

    def __init__(self, text: str, columns: int, lines: int) -> None:
        self.rows = [[" "] * columns for _ in range(lines)]
        self.row = 0
        self.column = 0
        self.cursor = True  # True if the cursor is visible
        self.above: list[str] = []  # lines scrolled off the screen
        self.erased: list[list[str]] = []  # lines shown before each erasure
        for number, final, character in re.findall(
            r"\x1b\[([\d;?]*)([A-Za-z])|(.)", SGR.sub("", text), re.DOTALL
        ):
            if final:
                self._escape(number + final)
            elif character == "\r":
                self.column = 0
            else:
                if character == "\n" or self.column == columns:
                    self.row += 1
                    self.column = 0
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
        """Return the lines of the screen without the empty ones at the end."""
        return "\n".join("".join(row).rstrip() for row in self.rows).rstrip("\n").split("\n")
