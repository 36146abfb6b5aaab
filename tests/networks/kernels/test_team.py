"""Tests of the threads that make an update together: their shares and barriers."""

from threading import Thread

import numpy as np
import pytest
from support.kernel_calls import call, compiled

from herfast.networks.arrays import Team
from herfast.networks.kernels.simd import inner
from herfast.networks.kernels.team import share, wait

SIZES = [*range(10), 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000]


@inner
def _share(size, team, out):
    out[0], out[1] = share(size, team)


@inner
def _rounds(team, n_rounds, counts, out):
    """Count rounds, and in `out` those that another thread has not counted yet."""
    for _ in range(n_rounds):
        counts[16 * team.thread] += 1
        wait(team)
        for thread in range(team.n_threads):
            if counts[16 * thread] != counts[16 * team.thread]:
                out[team.thread] += 1
        wait(team)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4, 7, 64])
def test_shares_are_whole_vectors_and_cover_everything_once(n_threads):
    barrier = np.zeros(16, np.int64)
    for size in SIZES:
        ends = [0]
        for thread in range(n_threads):
            out = np.full(2, -1, np.int64)
            call(_share, size, Team(thread, n_threads, barrier), out)
            start, end = out
            assert start % 32 == 0 or start == end
            if start < end:
                assert start == ends[-1]
                ends.append(end)
        assert ends[-1] == size
        vectors = np.diff([-(-end // 32) for end in ends])
        assert vectors.size == min(n_threads, -(-size // 32))
        assert vectors.size == 0 or vectors.max() - vectors.min() <= 1


@pytest.mark.parametrize("n_threads", [1, 2, 3, 7])
def test_no_thread_passes_a_barrier_before_all_have_arrived(n_threads):
    barrier, counts = np.zeros(16, np.int64), np.zeros(16 * n_threads, np.int64)
    wrong = np.zeros(n_threads, np.int64)
    functions = [compiled(_rounds, Team(i, n_threads, barrier), 500, counts, wrong) for i in range(n_threads)]
    threads = [Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts[::16].tolist() == [500] * n_threads
    assert not wrong.any()
    assert barrier[:2].tolist() == [0, 1000 * (n_threads > 1)]
