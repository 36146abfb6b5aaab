"""Raise RuntimeError when two threads use one object at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class ThreadGuard:
    """Non-blocking re-entrant lock.

    The thread that holds it may enter again, for instance from a callback. Copies and pickles get a new,
    unlocked one.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[type[ThreadGuard], tuple[()]]:
        return ThreadGuard, ()

    def enter(self) -> bool:
        """Acquire the lock; return False if another thread holds it."""
        return self._lock.acquire(blocking=False)

    def leave(self) -> None:
        """Release the lock once; each successful `enter` needs one `leave`."""
        self._lock.release()


class _Guarded(Protocol):
    """Object whose methods `one_thread` can wrap."""

    _thread_guard: ThreadGuard


Owner = TypeVar("Owner", bound=_Guarded)
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def one_thread(
    method: Callable[Concatenate[Owner, Parameters], Result],
) -> Callable[Concatenate[Owner, Parameters], Result]:
    """Decorate a method so that only one thread at a time can use its object.

    It raises RuntimeError while another thread runs a decorated method of the same object.
    """

    @wraps(method)
    def guarded(self: Owner, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if not self._thread_guard.enter():
            owner = type(self).__name__.lower()
            raise RuntimeError(
                f"{method.__name__} was called while another thread uses this {owner}: "
                "give each thread its own"
            )
        try:
            return method(self, *args, **kwargs)
        finally:
            self._thread_guard.leave()

    return guarded
