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

from herfast.networks.arrays import IS_RUNNING, PASSED
from herfast.networks.compiled.entry_points import Call
from herfast.networks.compiled.processors import n_processors

MIN_OPERATIONS = 2**22  # samples times parameters of an update or a step, below which threads do not pay
MAX_THREADS = 1_024
# Calls after which the slower one of one thread and several is tried again, by whether several are faster.
RETRY_EVERY = {False: 16, True: 64}
LAST_TIMES = 3  # the shortest of these counts

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
        prepared: its prepared arguments.
        processors: the processors to use, empty if the system cannot choose them.
    """

    def __init__(self, call: Call, prepared: bytes, processors: set[int]) -> None:
        self._call = call
        self._prepared = prepared
        self._processors = processors
        self._is_taken = False

    def run(self) -> None:
        if not self._is_taken:
            self._is_taken = True
            if self._processors:
                with suppress(OSError):  # the processors of the process have changed
                    os.sched_setaffinity(0, self._processors)
            self._call.run(self._prepared)


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

    def claim(self, n_threads: int, claimed: list[SimpleQueue[_Job]]) -> None:
        """Add the queues of at most n_threads - 1 workers to `claimed`.

        There are fewer if processors are busy.
        """
        with self._lock:
            n_running = sum(1 + len(workers) for workers in self._claims.values())
            self._claims[id(claimed)] = claimed
            limit = max(n_threads, n_processors()) - n_running
            while len(claimed) < min(n_threads, limit) - 1:
                if not (self._free or self._start_worker()):
                    return
                claimed.append(self._free.pop())

    def release(self, claimed: list[SimpleQueue[_Job]]) -> None:
        """Give workers back."""
        with self._lock:
            self._claims.pop(id(claimed), None)
            self._free += claimed

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


class SharedCall:
    """A kernel that several threads run together, the calling one included.

    Several threads may be slower than one: another process may use a processor, or data may take long from
    one to another. So calls are timed, and run as those that were faster lately. Results are the same.

    Args:
        calls: the kernel with the memory of each thread.
        barrier: int64[16], the barrier of the threads.
    """

    def __init__(self, calls: Sequence[Call], barrier: NDArray[np.int64]) -> None:
        self._calls = calls
        self._barrier = barrier
        self._n_calls = 0
        # The last seconds per unit of work, with one thread and with several.
        self._seconds: list[deque[float]] = [deque(maxlen=LAST_TIMES), deque(maxlen=LAST_TIMES)]

    def __call__(self, n_threads: int, work: int, *arguments: Any) -> None:
        """Run the kernel in at most `n_threads` threads.

        Args:
            n_threads: at least 1. No more threads are used than there are calls.
            work: the amount of work, to compare the times of calls.
            arguments: the other arguments, without the last two, the thread's number and that of threads.
        """
        n_threads = min(n_threads, len(self._calls))
        if n_threads == 1:
            self._calls[0](*arguments, 0, 1)
            return
        if self._barrier[IS_RUNNING]:
            raise RuntimeError("a signal handler must not use a network in the middle of a call of it")
        is_shared = self._is_next_shared()
        started = time.perf_counter()
        if is_shared:
            self._share(n_threads, arguments)
        else:
            self._calls[0](*arguments, 0, 1)
        if self._n_calls > 1:  # the first one has started threads, and may have compiled
            self._seconds[is_shared].append((time.perf_counter() - started) / max(1, work))

    def _is_next_shared(self) -> bool:
        """Return True if the next call is to have several threads."""
        self._n_calls += 1
        if self._n_calls <= 4:
            return self._n_calls != 3  # threads, twice; one thread; threads
        # A time is unknown if calls ended with exceptions.
        is_faster = min(self._seconds[True], default=0.0) < min(self._seconds[False], default=1.0)
        return is_faster != (self._n_calls % RETRY_EVERY[is_faster] == 0)

    def _share(self, n_threads: int, arguments: Sequence[Any]) -> None:
        """Run the kernel in at most `n_threads` threads."""
        pool = _pool
        claimed: list[SimpleQueue[_Job]] = []
        try:
            self._barrier[IS_RUNNING] = 1
            pool.claim(n_threads, claimed)
            calls = self._calls[: 1 + len(claimed)]
            prepared = [call.prepare((*arguments, i, len(calls))) for i, call in enumerate(calls)]
            processors = _other_processors()
            jobs = [_Job(call, prepared[i], processors) for i, call in enumerate(calls)]
            _run_together(calls[0], prepared[0], dict(zip(claimed, jobs[1:], strict=True)), self._barrier)
        finally:
            self._barrier[IS_RUNNING] = 0
            pool.release(claimed)


def _run_together(
    own: Call, prepared: bytes, jobs: Mapping[SimpleQueue[_Job], _Job], barrier: NDArray[np.int64]
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
            own.run(prepared)
        except BaseException as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
