"""Errors caused by the user, printed without a traceback.

Any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Error caused by the user.

    The message has one line, or for a sweep a line per failed trial.
    """


@contextmanager
def user_errors() -> Iterator[None]:
    """Convert errors of invalid arguments, files, memory or imports to UserError.

    Raises:
        UserError: for OSError, ValueError, TypeError, MemoryError and ImportError within the block.
    """
    try:
        yield
    except OSError as error:
        message: object = error
        if error.filename:
            message = f"{error.strerror}: {error.filename}"
        raise UserError(message) from error
    except (ValueError, TypeError, MemoryError, ImportError) as error:
        raise UserError(error) from error
