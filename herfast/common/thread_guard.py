"""Locks of objects that several threads or forked processes use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar
from weakref import WeakSet


class ThreadGuard:
    """Re-entrant lock of an object.

    The thread that holds it may enter again, for instance from a callback. Copies and pickles get a new,
    unlocked one. If the process is forked while another thread holds it, the child cannot enter.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._is_forked = False  # True in a child that was forked while another thread held the lock
        _GUARDS.add(self)

    def __reduce__(self) -> tuple[type[ThreadGuard], tuple[()]]:
        return ThreadGuard, ()

    def enter(self, owner: str, wait: bool) -> bool:
        """Acquire the lock.

        Args:
            owner: name of the object's class, for the error message.
            wait: wait while another thread holds the lock.

        Returns:
            True if the lock is acquired. Without `wait`, False if another thread holds it.

        Raises:
            RuntimeError: the process was forked while another thread held the lock.
        """
        if self._is_forked:
            raise RuntimeError(
                f"this {owner} may be incomplete: another thread used it when the process was forked; "
                "create or load it in the new process"
            )
        return self._lock.acquire(blocking=wait)

    def leave(self) -> None:
        """Release the lock once; each successful `enter` needs one `leave`."""
        self._lock.release()

    def after_fork(self) -> None:
        """Record in a forked process whether a thread of the parent holds the lock."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._is_forked = True


_GUARDS: WeakSet[ThreadGuard] = WeakSet()


def _after_fork() -> None:
    for guard in list(_GUARDS):
        guard.after_fork()


os.register_at_fork(after_in_child=_after_fork)


class _Guarded(Protocol):
    """Object whose methods `one_thread` and `synchronized` can wrap."""

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
    return _guarded(method, wait=False)


def synchronized(
    method: Callable[Concatenate[Owner, Parameters], Result],
) -> Callable[Concatenate[Owner, Parameters], Result]:
    """Decorate a method so that threads which use its object take turns.

    It waits while another thread runs a decorated method of the same object.
    """
    return _guarded(method, wait=True)


def _guarded(
    method: Callable[Concatenate[Owner, Parameters], Result], wait: bool
) -> Callable[Concatenate[Owner, Parameters], Result]:
    """Return `method` with the guard of its object held, which it waits for or not."""

    @wraps(method)
    def guarded(self: Owner, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        guard = self._thread_guard
        owner = type(self).__name__
        if not guard.enter(owner, wait):
            raise RuntimeError(
                f"{method.__name__} was called while another thread uses this {owner}: "
                "give each thread its own"
            )
        try:
            return method(self, *args, **kwargs)
        finally:
            guard.leave()

    return guarded
