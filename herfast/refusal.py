"""What was asked for cannot be done: a sentence for the user, where a fault of ours shows its traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Refused(Exception):
    """What was asked for cannot be done; the message is one sentence for the user."""


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what the checks at the door raise into a refusal."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{error.strerror}: {error.filename}" if error.filename else error) from error
    except (ValueError, TypeError, MemoryError, ImportError) as error:
        raise Refused(error) from error
