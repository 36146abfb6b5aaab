"""Errors caused by the user, printed as one line. Any other exception is a bug and keeps its traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """What was asked for cannot be done; the message is one sentence for the user."""


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what the checks at the door raise into a refusal."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{error.strerror}: {error.filename}" if error.filename else error) from error
    except (ValueError, TypeError, MemoryError, ImportError) as error:
        raise UserError(error) from error
