"""Raise RuntimeError when two threads use one object at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class ThreadGuard:
    """Whether a thread is in; it may come in again, from a callback. A copy's is its own, and free."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[type[ThreadGuard], tuple[()]]:
        return ThreadGuard, ()

    def enter(self) -> bool:
        """True, and the thread is in until it leaves, or False if another is."""
        return self._lock.acquire(blocking=False)

    def leave(self) -> None:
        """As often as it entered."""
        self._lock.release()


class _Guarded(Protocol):
    _thread_guard: ThreadGuard


Owner = TypeVar("Owner", bound=_Guarded)
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def one_thread(
    method: Callable[Concatenate[Owner, Parameters], Result],
) -> Callable[Concatenate[Owner, Parameters], Result]:
    """Make `method` raise RuntimeError while another thread is in a method of the same object."""

    @wraps(method)
    def guarded(self: Owner, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if not self._thread_guard.enter():
            owner = type(self).__name__.lower()
            raise RuntimeError(
                f"{method.__name__} was called while another thread uses this {owner}: give each thread its own"
            )
        try:
            return method(self, *args, **kwargs)
        finally:
            self._thread_guard.leave()

    return guarded
