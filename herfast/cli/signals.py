"""Ctrl-C, SIGTERM and SIGHUP.

Training of a run stops at the end of the cycle, or within it after PATIENCE seconds, and the run is saved. In
sweeps and animations these signals raise an exception.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

PATIENCE = 0.25  # seconds that the current cycle may take after the signal
_MESSAGE = b"\nStopping and saving the run; press Ctrl-C again to stop immediately without saving.\n"
_DEFAULTS: dict[int, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


class CycleTimeout(KeyboardInterrupt):
    """The current cycle did not end within PATIENCE seconds of the signal."""


class Terminated(KeyboardInterrupt):
    """Signal that is raised as an exception, as Ctrl-C is by Python."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


def exit_code(interrupt: object) -> int:
    """Return the exit code by the convention of shells: 128 plus the signal's number.

    Args:
        interrupt: an Interruption or a KeyboardInterrupt, by default of Ctrl-C.
    """
    return 128 + (getattr(interrupt, "signal", None) or signal.SIGINT)


class Interruption:
    """The first signal that was received; true if there was one."""

    signal: int | None = None
    training = True

    def __bool__(self) -> bool:
        return self.signal is not None

    def end_training(self) -> None:
        """Stop raising `CycleTimeout`, so that saving is not interrupted."""
        self.training = False


@contextmanager
def catch_signals() -> Iterator[Interruption]:
    """Record the first signal in the block instead of ending the process.

    Later signals are those of `_handle_first`. If other code handles SIGALRM, `CycleTimeout` is never raised.

    Yields:
        The Interruption, which is updated when a signal is received.

    Raises:
        CycleTimeout: the current cycle did not end within PATIENCE seconds of the signal. It is not raised
            after `Interruption.end_training`.
    """
    interruption = Interruption()
    has_timer = False

    def record(number: int) -> None:
        nonlocal has_timer
        interruption.signal = number
        if signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            has_timer = True
            signal.signal(signal.SIGALRM, raise_timeout)
            # Repeated, since a callback may catch the exception.
            signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
        with suppress(AttributeError, OSError, ValueError):  # stderr is None, closed, full or not a file
            # Unlike print, this is safe in a handler that interrupts another print.
            os.write(sys.stderr.fileno(), _MESSAGE)

    def raise_timeout(number: int, _: FrameType | None) -> None:
        if interruption.training:
            raise CycleTimeout

    with _handle_first(record):
        try:
            yield interruption
        finally:
            interruption.end_training()
            if has_timer:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)


@contextmanager
def raise_signals() -> Iterator[None]:
    """Raise the first signal in the block as `Terminated`, a KeyboardInterrupt."""

    def end(number: int) -> None:
        raise Terminated(number)

    with _handle_first(end):
        yield


@contextmanager
def _handle_first(handle: Callable[[int], None]) -> Iterator[None]:
    """Call `handle` with the number of the first signal in the block.

    A later Ctrl-C raises KeyboardInterrupt immediately; later SIGTERM and SIGHUP are ignored. Handlers that
    other code has installed are not replaced. A signal that is ignored stays so, as SIGHUP after nohup.
    Outside of the main thread, which alone can have handlers, nothing is handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = False

    def handler(number: int, _: FrameType | None) -> None:
        nonlocal received
        if received:
            return
        received = True
        if signal.SIGINT in handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        handle(number)

    handled = [number for number, default in _DEFAULTS.items() if signal.getsignal(number) is default]
    for number in handled:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, _DEFAULTS[number])
