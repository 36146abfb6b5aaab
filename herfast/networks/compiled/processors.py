"""Number of processors that this process may use."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from herfast.common.control_groups import control_groups, read_lines


def n_processors(root: Path = Path("/")) -> int:
    """Return the number of processors that this process may use.

    It is the smallest of its affinity mask, the quota of its control groups, and OMP_NUM_THREADS where set.

    Args:
        root: the folder that holds proc and sys.
    """
    counts = [os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        counts.append(len(os.sched_getaffinity(0)))
    counts.extend(_quotas(root))
    with suppress(ValueError):  # not a number, or a list of them
        counts.append(int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0]))
    return max(1, min(counts))


@cache
def _quotas(root: Path) -> list[int]:
    """Return the whole processors that each control group with a quota leaves."""
    quotas = []
    with suppress(ValueError, IndexError):  # a file in an unknown format
        for folder in control_groups(root, "cpu"):
            for line in read_lines(folder / "cpu.max"):
                quota, period = line.split()
                if quota != "max":
                    quotas.append(int(quota) // int(period))
            for line in read_lines(folder / "cpu.cfs_quota_us"):
                if int(line) > 0:
                    quotas.append(int(line) // int(read_lines(folder / "cpu.cfs_period_us")[0]))
    return quotas
