"""Output to a stdout and stderr that may be None, closed or full."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, cast


def print_to_stderr(text: str) -> None:
    """Print a line on stderr, above a progress bar.

    It is lost if stderr cannot be written.
    """
    from tqdm import tqdm

    stream = LossyStream(sys.stderr)
    tqdm.write(text, file=stream)
    stream.flush()


class LossyStream:
    """Text stream that loses what the stream below it cannot write.

    Args:
        stream: the stream below, which may be None, closed, full, or a pipe without a reader.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        # In a copy _stream is not set yet. copy asks for special methods, as __getstate__ in Python 3.10.
        if name == "_stream" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._stream, name)

    def __eq__(self, other: object) -> bool:
        # tqdm clears its bar before other output to an equal stream. It compares with a wrapper of its own.
        if other is self or other is self._stream:
            return True
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._stream)

    def write(self, text: str) -> int:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.flush()

    def isatty(self) -> bool:
        """Return True if the stream below is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # it is closed
            return False


@contextmanager
def usable_output() -> Iterator[None]:
    """Make stdout and stderr usable within the block.

    A closed one is replaced, and characters that cannot be encoded are printed escaped.
    """
    with ExitStack() as replaced:
        for name, redirect in (("stdout", redirect_stdout), ("stderr", redirect_stderr)):
            stream = getattr(sys, name)
            if stream is None or getattr(stream, "closed", False):
                # A real file, since its descriptor is then not taken by a file that is opened later.
                devnull = replaced.enter_context(open(os.devnull, "w", encoding="utf-8"))
                replaced.enter_context(redirect(devnull))
            elif hasattr(stream, "reconfigure"):
                with suppress(OSError, ValueError):  # it cannot be flushed
                    replaced.callback(stream.reconfigure, errors=stream.errors)
                    stream.reconfigure(errors="backslashreplace")
        yield


@contextmanager
def lossy_output() -> Iterator[None]:
    """Lose output within the block that cannot be written, without an error."""
    stdout = cast(TextIO, LossyStream(sys.stdout))
    stderr = cast(TextIO, LossyStream(sys.stderr))
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            yield
    finally:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            drop_unwritten()


def drop_unwritten() -> None:
    """Drop what stdout could not write, which Python would write again at its exit."""
    with suppress(AttributeError, OSError, ValueError):  # it is closed, or not a file
        descriptor = sys.stdout.fileno()
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, descriptor)
        os.close(devnull)
