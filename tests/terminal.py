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
    ours, theirs = os.openpty()
    text = bytearray()

    def read() -> None:
        while not text.endswith(b"\0"):  # the end mark; what is still on its way when a terminal is closed may be lost
            text.extend(os.read(ours, 4096))

    reader = threading.Thread(target=read, daemon=True)  # else a full buffer would stop who writes
    reader.start()
    before, written = sys.stdout, Terminal()
    sys.stdout = open(theirs, "w", encoding="utf-8")  # noqa: SIM115 (closed below)
    try:
        yield written
    finally:
        print(end="\0", flush=True)
        reader.join()
        sys.stdout.close()
        sys.stdout = before
        os.close(ours)
        written.text = text[:-1].decode().replace("\r\n", "\n")
