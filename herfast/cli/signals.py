"""Ctrl-C and SIGTERM during training: stop at the end of the cycle, or soon within it, and save."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

PATIENCE = 0.25  # seconds that a cycle may go on after the signal
_MESSAGE = b"\nStopping and saving the run; Ctrl-C again stops at once, without saving.\n"
_DEFAULTS: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class CycleTimeout(KeyboardInterrupt):
    """The cycle in which the signal came takes too long to be waited for."""


class Interruption:
    """Which signal came, if any; true if one did."""

    signal: int | None = None
    learning = True

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """As shells have it."""
        return 128 + (self.signal or 0)

    def end_learning(self) -> None:
        """From here on `CycleTimeout` is not raised: what follows, saving above all, is worth waiting for."""
        self.learning = False


@contextmanager
def catch_signals() -> Iterator[Interruption]:
    """Within it the first signal is noted, and after PATIENCE `CycleTimeout` is raised until learning ends.

    A Ctrl-C after that raises KeyboardInterrupt at once; another SIGTERM changes nothing. Handlers of others are left
    alone, of SIGALRM too, without which a cycle is waited for; and every thread but the main one, which alone can have
    handlers.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def note(number: int, _: FrameType | None) -> None:
        if interruption:
            return
        interruption.signal = number
        if signal.SIGINT in handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            handled[signal.SIGALRM] = signal.SIG_DFL
            signal.signal(signal.SIGALRM, late)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)  # again, since who calls back may swallow it
        if sys.stderr is not None:
            with suppress(OSError):  # nobody reads it
                os.write(2, _MESSAGE)  # which, unlike print, may interrupt itself

    def late(number: int, _: FrameType | None) -> None:
        if interruption.learning:
            raise CycleTimeout

    handled = {number: default for number, default in _DEFAULTS.items() if signal.getsignal(number) is default}
    for number in handled:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        interruption.end_learning()
        if signal.SIGALRM in handled:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, default in handled.items():
            signal.signal(number, default)
