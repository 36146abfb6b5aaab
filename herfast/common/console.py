"""Output on the console."""

from __future__ import annotations

import sys
from contextlib import suppress


def print_to_stderr(text: str) -> None:
    """Print a line on stderr if possible.

    A missing, closed or full stderr is ignored.
    """
    if sys.stderr is None:  # print would then write to stdout
        return
    with suppress(OSError, ValueError):  # ValueError: it is closed
        print(text, file=sys.stderr, flush=True)
