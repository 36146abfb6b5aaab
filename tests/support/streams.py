"""Streams in place of stdout and stderr that cannot be written."""

import errno
import io
import os
from collections.abc import Callable
from typing import TextIO


class FailingStream(io.StringIO):
    """Text stream that raises an OSError with this errno while `fails` is True."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.fails = True
        self._number = number

    def write(self, text: str) -> int:
        self.flush()
        return super().write(text)

    def flush(self) -> None:
        if self.fails:
            raise OSError(self._number, os.strerror(self._number))


def full() -> TextIO:
    return FailingStream(errno.ENOSPC)


def without_reader() -> TextIO:
    return FailingStream(errno.EPIPE)


def closed() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


def missing() -> None:
    return None


UNWRITABLE: tuple[Callable[[], TextIO | None], ...] = (full, without_reader, closed, missing)
