"""Time of imports and of the first update, with and without a cache of kernels.

Run with `pytest bench/test_startup.py --benchmark-only`.
"""

import os
import subprocess
import sys

import pytest

FIRST_UPDATE = """
import time
from herfast import Agent, BitFlip
agent = Agent(BitFlip(50), "fast", 0)
start = time.perf_counter()
agent.learn(callback=lambda agent: False)
assert agent.network.updates == agent.config.updates_per_cycle
print(time.perf_counter() - start)
"""


def seconds_of(code, cache):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cache, env=environment, check=True, capture_output=True, text=True
    ).stdout


def timed_in_new_interpreter(code, cache):
    """Return a function that times `code` in a new process."""
    return lambda: seconds_of(
        f"import time; start = time.perf_counter(); {code}; print(time.perf_counter() - start)", cache
    )


@pytest.mark.parametrize(
    ("code", "max_seconds"),
    [("import herfast", 0.5), ("from herfast import Agent", 1.0)],
    ids=["herfast", "Agent"],
)
def test_import(benchmark, tmp_path, code, max_seconds):
    run = timed_in_new_interpreter(code, tmp_path)
    run()
    seconds = sorted(float(run()) for _ in range(5))[2]
    benchmark.extra_info.update(seconds=seconds, most_seconds=max_seconds)
    benchmark.pedantic(run, rounds=3)
    assert seconds < max_seconds


def test_first_update_with_an_empty_cache(benchmark, tmp_path):
    """First cycle with its 40 updates. Target: under 15 s."""
    seconds = float(benchmark.pedantic(seconds_of, (FIRST_UPDATE, tmp_path), rounds=1))
    benchmark.extra_info.update(seconds=seconds)
    assert seconds < 15


def test_first_update_from_the_cache(benchmark, tmp_path):
    """First cycle in a new process with compiled kernels. Target: under 1 s."""
    seconds_of(FIRST_UPDATE, tmp_path)
    seconds = float(benchmark.pedantic(seconds_of, (FIRST_UPDATE, tmp_path), rounds=3))
    benchmark.extra_info.update(seconds=seconds)
    assert seconds < 1
