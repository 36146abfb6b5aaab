"""Tests of the threads that run a kernel together, with calls that only record."""

import threading

import numpy as np
import pytest

from herfast.networks.arrays import PASSED
from herfast.networks.compiled import processors, thread_pool
from herfast.networks.compiled.thread_pool import MIN_OPERATIONS, SharedCall, n_threads_for

BARRIER = np.zeros(16, np.int64)


class Recorder:
    """A call that records its arguments and waits until all threads have made it."""

    def __init__(self):
        self.found = []
        self.arrived = threading.Condition()

    def __call__(self, *arguments):
        self.run(self.prepare(arguments))

    def prepare(self, arguments):
        return arguments

    def run(self, arguments):
        with self.arrived:
            self.found.append(arguments)
            self.arrived.notify_all()
            self.arrived.wait_for(lambda: len(self.found) >= arguments[-1], timeout=60)
        if arguments[-2] == 0:
            BARRIER[PASSED] += 1


def found_in(n_calls, *arguments):
    """Return the arguments that reach each of the calls, sorted."""
    recorder = Recorder()
    SharedCall([recorder] * n_calls, BARRIER)(n_calls, 1, *arguments)
    return sorted(recorder.found)


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """Return a new pool on a machine with 4 processors."""
    pool = thread_pool._Pool()
    monkeypatch.setattr(thread_pool, "_pool", pool)
    monkeypatch.setattr(thread_pool, "n_processors", lambda: 4)
    return pool


@pytest.mark.parametrize("n_calls", [1, 2, 3, 7])
def test_all_threads_get_the_arguments_and_their_number(n_calls):
    assert found_in(n_calls, "a", "b") == [("a", "b", i, n_calls) for i in range(n_calls)]


def test_no_more_threads_are_used_than_have_memory():
    """The affinity mask may have become wider since the memory was allocated."""
    recorder = Recorder()
    SharedCall([recorder] * 2, BARRIER)(4, 1)
    assert sorted(recorder.found) == [(0, 2), (1, 2)]


def test_workers_are_used_again(pool):
    for n_calls in (2, 3, 2, 3):
        found_in(n_calls)
    assert (len(pool._free), pool._claims) == (2, {})


def test_calls_at_the_same_time_share_the_processors(pool):
    """Three threads of another call run, so one of 4 processors is left."""
    claimed = []
    pool.claim(3, claimed)
    assert found_in(4) == [(0, 1)]
    pool.release(claimed)
    assert len(found_in(4)) == 4


def test_an_error_before_the_call_begins_starts_no_worker(pool):
    class Failing(Recorder):
        def prepare(self, arguments):
            raise TypeError("wrong dtype")

    with pytest.raises(TypeError, match="wrong dtype"):
        SharedCall([Recorder(), Failing()], BARRIER)(2, 1)
    assert (len(pool._free), pool._claims) == (1, {})
    assert len(found_in(2)) == 2


@pytest.mark.parametrize("at", [0, 1])
def test_a_signal_while_workers_begin_lets_the_call_end(at, pool, monkeypatch):
    """The exception is raised before or after the first worker has its job."""
    interrupts = [KeyboardInterrupt()]

    class InterruptedQueue(thread_pool.SimpleQueue):
        def put(self, job):
            if at == 1:
                super().put(job)
            if interrupts:
                raise interrupts.pop()
            if at == 0:
                super().put(job)

    monkeypatch.setattr(thread_pool, "SimpleQueue", InterruptedQueue)
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        SharedCall([recorder] * 3, BARRIER)(3, 1)
    assert sorted(recorder.found) == [(i, 3) for i in range(3)]
    assert (len(pool._free), pool._claims) == (2, {})
    assert len(found_in(3)) == 3


@pytest.mark.parametrize("after", [False, True])
def test_a_signal_at_the_own_share_lets_the_call_end(after, pool):
    """The exception is raised before or after the thread's own share."""
    interrupts = [KeyboardInterrupt()]

    class Interrupted(Recorder):
        def run(self, arguments):
            if arguments[-2] or after:
                super().run(arguments)
            if arguments[-2] == 0 and interrupts:
                raise interrupts.pop()
            if arguments[-2] == 0:
                super().run(arguments)

    recorder = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        SharedCall([recorder] * 3, BARRIER)(3, 1)
    assert sorted(recorder.found) == [(i, 3) for i in range(3)]
    assert len(found_in(3)) == 3


def test_a_call_in_the_middle_of_another_one_is_rejected(pool):
    """A signal handler may run before the own share has begun."""

    class Nested(Recorder):
        def prepare(self, arguments):
            with pytest.raises(RuntimeError, match=r"^a signal handler must not use a network in the middle"):
                shared(2, 1)
            return arguments

    recorder = Nested()
    shared = SharedCall([recorder] * 2, BARRIER)
    shared(2, 1)
    assert len(recorder.found) == 2


def test_without_more_threads_of_the_system_the_call_has_fewer(pool, monkeypatch):
    class NoThread(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(thread_pool.threading, "Thread", NoThread)
    assert found_in(3) == [(0, 1)]


@pytest.mark.parametrize("faster", [1, 2])
def test_calls_have_the_number_of_threads_that_was_faster(faster, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(thread_pool.time, "perf_counter", lambda: now[0])

    class Timed(Recorder):
        def run(self, arguments):
            super().run(arguments)
            if arguments[-2] == 0:
                now[0] += work * (arguments[-1] if faster == 1 else 10 / arguments[-1])

    recorder = Timed()
    shared = SharedCall([recorder] * 2, BARRIER)
    used = []
    for work in [1, 5] * 100:  # times are compared per unit of work
        recorder.found.clear()
        shared(2, work)
        used.append(len(recorder.found))
    assert used[:4] == [2, 2, 1, 2]
    others = [i for i in range(4, 200) if used[i] != faster]
    every = thread_pool.RETRY_EVERY[faster == 2]
    assert others == [i for i in range(4, 200) if (i + 1) % every == 0]


@pytest.mark.parametrize("failing", [1, 2])
def test_calls_that_end_with_exceptions_have_no_time(failing):
    class Failing(Recorder):
        def run(self, arguments):
            super().run(arguments)
            if arguments[-2:] == (0, failing):
                raise KeyboardInterrupt

    shared = SharedCall([Failing()] * 2, BARRIER)
    ended = []
    for _ in range(8):
        shared._calls[0].found.clear()
        try:
            shared(2, 1)
            ended.append(len(shared._calls[0].found))
        except KeyboardInterrupt:
            ended.append("interrupted")
    assert "interrupted" in ended
    assert len(ended) == 8


def test_calls_adapt_to_a_processor_that_becomes_busy(monkeypatch):
    now, seconds = [0.0], {1: 10.0, 2: 5.0}
    monkeypatch.setattr(thread_pool.time, "perf_counter", lambda: now[0])

    class Timed(Recorder):
        def run(self, arguments):
            super().run(arguments)
            if arguments[-2] == 0:
                now[0] += seconds[arguments[-1]]

    recorder = Timed()
    shared = SharedCall([recorder] * 2, BARRIER)

    def threads_of_calls(n):
        used = []
        for _ in range(n):
            recorder.found.clear()
            shared(2, 1)
            used.append(len(recorder.found))
        return used

    assert threads_of_calls(20)[4:] == [2] * 16
    seconds[2] = 20.0
    assert threads_of_calls(20)[3:].count(2) <= 2
    seconds[2] = 5.0
    assert threads_of_calls(300)[-20:].count(1) <= 1


def test_small_work_has_one_thread_unless_a_number_is_set():
    assert n_threads_for(None, MIN_OPERATIONS - 1) == 1
    assert n_threads_for(None, MIN_OPERATIONS) == 4
    assert n_threads_for(3, 1) == 3


V1 = "4:cpu,cpuacct:/job\n3:memory:/other\n"
V1_MOUNTS = "40 30 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
V2 = "0::/job/part\n"
V2_MOUNTS = "41 30 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "expected"),
    [
        ("", "", {}, 64),
        (V2, V2_MOUNTS, {"job/part/cpu.max": "300000 100000\n"}, 3),
        (V2, V2_MOUNTS, {"job/cpu.max": "250000 100000\n", "job/part/cpu.max": "max 100000\n"}, 2),
        (V2, V2_MOUNTS, {"job/part/cpu.max": "50000 100000\n"}, 1),
        (V2, V2_MOUNTS, {"job/part/cpu.max": "damaged\n"}, 64),
        (V1, V1_MOUNTS, {"cpu/job/cpu.cfs_quota_us": "400000", "cpu/job/cpu.cfs_period_us": "100000"}, 4),
        (V1, V1_MOUNTS, {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, 64),
    ],
)
def test_a_quota_of_control_groups_counts(groups, mounts, files, expected, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(processors.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda pid: range(64), raising=False)
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    files |= {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processors.n_processors(tmp_path) == expected


@pytest.mark.parametrize(
    ("setting", "expected"), [("3", 3), ("2,4", 2), ("100", 8), ("0", 1), ("many", 8), ("", 8)]
)
def test_omp_num_threads_and_the_affinity_mask_count(setting, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    monkeypatch.setattr(processors.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda pid: range(8), raising=False)
    assert processors.n_processors(tmp_path) == expected
