"""Ctrl-C and SIGTERM during training.

Training stops at the end of the cycle, or within it after PATIENCE seconds, and the run is saved.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

PATIENCE = 0.25  # seconds that the current cycle may take after the signal
_MESSAGE = b"\nStopping and saving the run; press Ctrl-C again to stop immediately without saving.\n"
_DEFAULTS: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class CycleTimeout(KeyboardInterrupt):
    """The current cycle did not end within PATIENCE seconds of the signal."""


class Interruption:
    """The first signal that was received; true if there was one."""

    signal: int | None = None
    training = True

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """Exit code by the convention of shells: 128 plus the signal's number."""
        return 128 + (self.signal or 0)

    def end_training(self) -> None:
        """Stop raising `CycleTimeout`, so that saving is not interrupted."""
        self.training = False


@contextmanager
def catch_signals() -> Iterator[Interruption]:
    """Record the first Ctrl-C or SIGTERM in the block instead of ending the process.

    A later Ctrl-C raises KeyboardInterrupt immediately; a later SIGTERM is ignored. Handlers that other code
    has installed are not replaced. If there is one for SIGALRM, `CycleTimeout` is never raised. Outside of
    the main thread, which alone can have handlers, nothing is recorded.

    Yields:
        The Interruption, which is updated when a signal is received.

    Raises:
        CycleTimeout: the current cycle did not end within PATIENCE seconds of the signal. It is not raised
            after `Interruption.end_training`.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def record(number: int, _: FrameType | None) -> None:
        if interruption:
            return
        interruption.signal = number
        if signal.SIGINT in handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            handled[signal.SIGALRM] = signal.SIG_DFL
            signal.signal(signal.SIGALRM, raise_timeout)
            # Repeated, since a callback may catch the exception.
            signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
        if sys.stderr is not None:
            with suppress(OSError):  # stderr is closed
                os.write(2, _MESSAGE)  # unlike print, it is safe in a handler that interrupts another print

    def raise_timeout(number: int, _: FrameType | None) -> None:
        if interruption.training:
            raise CycleTimeout

    handled = {
        number: default for number, default in _DEFAULTS.items() if signal.getsignal(number) is default
    }
    for number in handled:
        signal.signal(number, record)
    try:
        yield interruption
    finally:
        interruption.end_training()
        if signal.SIGALRM in handled:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, default in handled.items():
            signal.signal(number, default)
