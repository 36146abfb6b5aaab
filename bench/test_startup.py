"""Time of imports and of the first cycle, with and without a cache of kernels.

Run with `pytest bench/test_startup.py --benchmark-only -s`. Processes are timed as a whole, from their start
to the end of the import or of the first cycle.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

FIRST_CYCLE = str(Path(__file__).with_name("first_cycle.py"))
PROCESSES = 5
MAX_EMPTY_CACHE = 8.0  # seconds
MAX_RATIO = 1.1  # of a process with a filled cache to one that imports Numba


def measured(cache, *arguments):
    """Run Python with `arguments` and return the JSON value that it prints.

    Its "ended" is changed from the time of day to "seconds" since the start of the process.
    """
    started = time.time()
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=cache,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        check=True,
        capture_output=True,
        text=True,
    )
    result = json.loads(finished.stdout)
    return {"seconds": result.pop("ended") - started, **result}


def seconds_of_import(cache, statement):
    code = f"import json, time; {statement}; print(json.dumps({{'ended': time.time()}}))"
    return measured(cache, "-c", code)["seconds"]


@pytest.fixture
def cache(tmp_path):
    """Return a folder with the kernels of a first cycle, and its weights' digest."""
    return tmp_path, measured(tmp_path, FIRST_CYCLE)["weights"]


@pytest.mark.parametrize(
    ("statement", "max_seconds"),
    [("import herfast", 0.5), ("from herfast import Agent", 1.0)],
    ids=["herfast", "Agent"],
)
def test_import(benchmark, tmp_path, statement, max_seconds):
    checked = f"{statement}; import sys; assert 'numba' not in sys.modules"
    seconds_of_import(tmp_path, checked)
    seconds = []
    benchmark.pedantic(lambda: seconds.append(seconds_of_import(tmp_path, checked)), rounds=PROCESSES)
    benchmark.extra_info.update(seconds=statistics.median(seconds), most_seconds=max_seconds)
    assert statistics.median(seconds) < max_seconds


def test_first_cycle_with_an_empty_cache(benchmark, cache, tmp_path_factory):
    """Measure the whole process, and the split of its time in processes of their own."""
    _, weights = cache
    results = []
    splits = []

    def run():
        results.append(measured(tmp_path_factory.mktemp("empty"), FIRST_CYCLE))

    def run_split():
        splits.append(measured(tmp_path_factory.mktemp("empty"), FIRST_CYCLE, "--split"))

    benchmark.pedantic(run, setup=run_split, rounds=3)
    assert {result["weights"] for result in results + splits} == {weights}
    seconds = statistics.median(result["seconds"] for result in results)
    parts = parts_of(min(splits, key=lambda result: result["seconds"]))
    benchmark.extra_info.update(seconds=seconds, **parts)
    print(f"\nempty cache: {seconds:.2f} s;", *(f"{name} {part:.2f}" for name, part in parts.items()))
    assert seconds < MAX_EMPTY_CACHE


def parts_of(result):
    """Return the seconds of each part of a process that compiles.

    The front end is Numba's, with the linking of its modules. The rest includes the start of the interpreter.
    The sum of all is the time of the process.
    """
    parts = {name: result[name] for name in ("imports", "optimisation", "machine code", "loading")}
    parts["front end"] = result["compilation"] - parts["optimisation"] - parts["machine code"]
    return {**parts, "rest": result["seconds"] - sum(parts.values())}


def test_first_cycle_with_a_filled_cache(benchmark, cache):
    """Measure the whole process, relative to a process that only imports Numba."""
    folder, weights = cache
    results = []
    numba = []
    seconds_of_import(folder, "import numba")
    benchmark.pedantic(
        lambda: results.append(measured(folder, FIRST_CYCLE)),
        setup=lambda: numba.append(seconds_of_import(folder, "import numba")),
        rounds=PROCESSES,
    )
    assert {result["weights"] for result in results} == {weights}
    # The fastest process is the least disturbed one.
    seconds = min(result["seconds"] for result in results)
    cycle = min(result["cycle"] for result in results)
    benchmark.extra_info.update(seconds=seconds, cycle=cycle, numba=min(numba), ratio=seconds / min(numba))
    print(f"\nfilled cache: {seconds:.3f} s, a cycle {cycle:.4f} s, import of Numba {min(numba):.3f} s")
    assert seconds <= MAX_RATIO * min(numba) + cycle
