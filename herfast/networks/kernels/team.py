"""Shares of the threads of an update, and barriers between its parts.

Each thread runs the same code on its share: columns of hidden layers, samples, or parameters. Every number is
computed as by a single thread, in the same order, so results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

from herfast.networks.arrays import ARRIVED, LANES, PASSED, Team
from herfast.networks.kernels.simd import (
    atomic_add,
    atomic_load,
    atomic_store,
    inlined,
    inner,
    yield_processor,
)

SPINS = 100_000  # before a waiting thread offers its processor to others, about 0.1 ms


@inlined
def share(size: int, team: Team) -> Any:
    """Return start and end of a thread's share of `size` elements, in wide vectors."""
    vectors = (size + LANES - 1) // LANES
    start = vectors * team.thread // team.n_threads * LANES
    end = vectors * (team.thread + 1) // team.n_threads * LANES
    return start, end if end < size else size


@inner
def wait(team: Team) -> None:
    """Wait until all threads have arrived here, and see what they have written."""
    if team.n_threads > 1:
        passed = atomic_load(team.barrier, PASSED)
        if atomic_add(team.barrier, ARRIVED, 1) == team.n_threads - 1:
            atomic_store(team.barrier, ARRIVED, 0)
            atomic_store(team.barrier, PASSED, passed + 1)
        else:
            spins = 0
            while atomic_load(team.barrier, PASSED) == passed:
                spins += 1
                if spins > SPINS:
                    yield_processor()
