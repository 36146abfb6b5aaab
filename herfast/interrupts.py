"""Ctrl-C and SIGTERM while an agent learns: it stops at the end of its cycle, or soon within it, and can be saved."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

PATIENCE = 0.25  # seconds that a cycle may go on after the signal

_DEFAULTS: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Late(KeyboardInterrupt):
    """The cycle in which the signal came takes too long to be waited for."""


class Interruption:
    """Which signal came, if any; true if one did."""

    signal: int | None = None
    learning = True

    def __bool__(self) -> bool:
        return self.signal is not None

    def learning_ends(self) -> None:
        """From here on `Late` is not raised: what follows, saving above all, is worth waiting for."""
        self.learning = False
        if self:
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Within it the first signal is noted, and PATIENCE later `Late` is raised; a second signal stops at once.

    Handlers of others are left alone, as is every thread but the main one, which alone can have handlers.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def note(number: int, _: FrameType | None) -> None:
        interruption.signal = number
        for ours in handled:
            signal.signal(ours, _DEFAULTS[ours])
        if interruption.learning:
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        os.write(2, b"\nStopping and saving the run; Ctrl-C again stops at once, without saving.\n")  # reentrant

    handled = [number for number, default in _DEFAULTS.items() if signal.getsignal(number) is default]
    for number in handled:
        signal.signal(number, note)
    alarm = signal.signal(signal.SIGALRM, _late)
    try:
        yield interruption
    finally:
        interruption.learning_ends()
        signal.signal(signal.SIGALRM, alarm)
        for number in handled:
            signal.signal(number, _DEFAULTS[number])


def _late(number: int, frame: FrameType | None) -> None:
    raise Late
