"""Threads that run a kernel together.

The threads of a process are shared by all agents in it: a call gets those that are free. Results do not
depend on their number.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast.networks.compiled.entry_points import Call
from herfast.networks.compiled.processors import n_processors

MIN_OPERATIONS = 2**22  # samples times parameters of an update or a step, below which threads do not pay
MAX_THREADS = 1_024
PASSED, STALLS, IS_RUNNING = 1, 2, 3  # numbers in a barrier, see `Team`
# A thread had to wait long for another in two of the last four calls, mostly since another process uses a
# processor. Then calls have one thread for a while, at least and usually at most as many seconds. Each time
# this doubles, and each call without a long wait makes it a tenth shorter.
LAST_CALLS, MANY_STALLS = 4, 2
LEAST_PAUSE, LONGEST_PAUSE = 0.05, 1.6
LEAST_PAUSE_IN_CALLS = 20  # the least pause, if it is longer, as a multiple of the time of the call

_getcpu: Callable[[], int] | None = getattr(ctypes.CDLL(None), "sched_getcpu", None)  # not on macOS


def n_threads_for(threads: int | None, operations: int) -> int:
    """Return the number of threads for an update or a step.

    Args:
        threads: the number that the user has set, or None.
        operations: samples times parameters.
    """
    if threads is not None:
        return threads
    if operations < MIN_OPERATIONS:
        return 1
    return n_processors()


class _Job:
    """A call that one worker makes once, though it may be put into the queue twice.

    Args:
        call: the call.
        numbers: its prepared arguments.
        processors: the processors to use, empty if the system cannot choose them.
    """

    def __init__(self, call: Call, numbers: Sequence[int], processors: set[int]) -> None:
        self._call = call
        self._numbers = numbers
        self._processors = processors
        self._is_taken = False

    def run(self) -> None:
        if not self._is_taken:
            self._is_taken = True
            if self._processors:
                with suppress(OSError):  # the processors of the process have changed
                    os.sched_setaffinity(0, self._processors)
            self._call.run(self._numbers)


def _other_processors() -> set[int]:
    """Return the processors that this thread may use but the one that runs it.

    The result is empty if the system does not tell. Linux may keep a worker on the processor of the thread
    that woke it, where the two would take turns.
    """
    if not hasattr(os, "sched_getaffinity") or _getcpu is None:
        return set()
    allowed = os.sched_getaffinity(0)
    return allowed - {_getcpu()} or allowed


class _Pool:
    """Worker threads that wait for jobs.

    They are started when they are first needed.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may make a call
        self._free: list[SimpleQueue[_Job]] = []
        self._claims: dict[int, list[SimpleQueue[_Job]]] = {}  # workers of each running call, by id
        self._stalled: deque[bool] = deque(maxlen=LAST_CALLS)
        self._pause = LEAST_PAUSE
        self._paused_until = 0.0

    def claim(self, n_threads: int, claimed: list[SimpleQueue[_Job]]) -> None:
        """Add the queues of at most n_threads - 1 workers to `claimed`.

        There are fewer if processors are busy.
        """
        with self._lock:
            n_running = sum(1 + len(workers) for workers in self._claims.values())
            self._claims[id(claimed)] = claimed
            if time.monotonic() < self._paused_until:
                return
            limit = max(n_threads, n_processors()) - n_running
            while len(claimed) < min(n_threads, limit) - 1:
                if not (self._free or self._start_worker()):
                    return
                claimed.append(self._free.pop())

    def release(self, claimed: list[SimpleQueue[_Job]], seconds: float, stalled: bool) -> None:
        """Give workers back after a call that took so long."""
        with self._lock:
            self._claims.pop(id(claimed), None)
            if not claimed:
                return
            self._free += claimed
            self._stalled.append(stalled)
            if not stalled:
                self._pause = max(0.9 * self._pause, LEAST_PAUSE)
            elif sum(self._stalled) >= MANY_STALLS:
                pause = max(self._pause, LEAST_PAUSE_IN_CALLS * seconds)
                self._paused_until = time.monotonic() + pause
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                self._stalled.clear()

    def _start_worker(self) -> bool:
        """Start another worker. Return False if the system has no more threads."""
        queue: SimpleQueue[_Job] = SimpleQueue()
        try:
            threading.Thread(target=_work, args=(queue,), name="herfast kernel", daemon=True).start()
        except RuntimeError:
            return False
        self._free.append(queue)
        return True


def _work(queue: SimpleQueue[_Job]) -> None:
    """Run jobs until the process ends."""
    while True:
        queue.get().run()


_pool = _Pool()


def _after_fork() -> None:
    """Begin with a new pool, since threads are not forked."""
    global _pool
    _pool = _Pool()


os.register_at_fork(after_in_child=_after_fork)


def run(calls: Sequence[Call], barrier: NDArray[np.int64], *arguments: Any) -> None:
    """Run a kernel in at most len(calls) threads, the calling one included.

    Args:
        calls: the kernel with the memory of each thread.
        barrier: int64[16], the barrier of the threads.
        arguments: its other arguments, without the last two: the number of the thread, and of all threads.
    """
    if len(calls) == 1:
        calls[0](*arguments, 0, 1)
        return
    if barrier[IS_RUNNING]:
        raise RuntimeError("a signal handler must not use a network in the middle of a call of it")
    pool = _pool
    claimed: list[SimpleQueue[_Job]] = []
    started = time.monotonic()
    try:
        barrier[IS_RUNNING], barrier[STALLS] = 1, 0
        pool.claim(len(calls), claimed)
        n_threads = 1 + len(claimed)
        prepared = [calls[i].prepare((*arguments, i, n_threads)) for i in range(n_threads)]
        processors = _other_processors()
        jobs = [_Job(calls[i], prepared[i], processors) for i in range(1, n_threads)]
        _run_together(calls[0], prepared[0], dict(zip(claimed, jobs, strict=True)), barrier)
    finally:
        barrier[IS_RUNNING] = 0
        pool.release(claimed, time.monotonic() - started, stalled=bool(barrier[STALLS]))


def _run_together(
    own: Call, numbers: Sequence[int], jobs: Mapping[SimpleQueue[_Job], _Job], barrier: NDArray[np.int64]
) -> None:
    """Give the workers their jobs and make the own call.

    A signal may raise an exception before the own call has begun, and the workers would wait for it forever.
    So this tries again until a barrier is passed, which needs all threads. Then the exception is raised.
    """
    passed = barrier[PASSED]
    interrupt: BaseException | None = None
    is_first = True
    while is_first or (jobs and barrier[PASSED] == passed):
        is_first = False
        try:
            for queue, job in jobs.items():
                queue.put(job)
            own.run(numbers)
        except BaseException as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
