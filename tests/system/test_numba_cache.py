"""The cache of compiled kernels: notice, reuse, and invalidation by edits."""

import os
import shutil
from pathlib import Path

import pytest
from support.processes import run_python

import herfast

ANNOUNCEMENT = "herfast: compiling kernels (once per machine, about 10 seconds)\n"
LEARN = """
import hashlib
from herfast import Agent, BitFlip
sizes = dict(cycles_per_epoch=2, episodes_per_cycle=4, updates_per_cycle=10)
for n_bits, preset, hidden in ((20, "notebook", (256,)), (50, "fast", (256,)), (7, "paper", (40, 70))):
    agent = Agent(BitFlip(n_bits), preset, seed=0, hidden=hidden, **sizes).learn(epochs=1).learn(epochs=1)
    weights = b"".join(array.tobytes() for array in agent.network.parameters().values())
    print(agent.history["loss"].tolist(), hashlib.sha256(weights).hexdigest())
"""
ACT = """
import numpy as np
import herfast
from herfast import Config, QNetwork
states = np.arange(64, dtype=np.uint64)[:, None]
print(herfast.__file__, QNetwork(6, config=Config(hidden=(64,)), seed=0).act(states, states[::-1]).tolist())
"""
NO_CACHE = """
from numba.core import caching
classes = [thing for thing in vars(caching).values() if hasattr(thing, "_locator_classes")]
assert classes
for cls in classes:
    cls._locator_classes = []
"""


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory):
    """Return a cache folder, and the result of the process that filled it."""
    folder = tmp_path_factory.mktemp("cold")
    return folder, run_python(LEARN, folder, NUMBA_CACHE_DIR=str(folder))


@pytest.mark.slow
def test_compilation_is_announced_once(filled_cache):
    _, first = filled_cache
    assert first.stderr == ANNOUNCEMENT


@pytest.mark.slow
def test_a_second_process_uses_the_cache_silently_with_equal_results(filled_cache):
    folder, first = filled_cache
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb?")}
    second = run_python(LEARN, folder, NUMBA_CACHE_DIR=str(folder))
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert before
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb?")} == before


@pytest.fixture(scope="module")
def package_copy(tmp_path_factory):
    """Return a folder with a package copy and its cache, and its unedited output."""
    folder = tmp_path_factory.mktemp("copied")
    ignored = shutil.ignore_patterns("__pycache__", "_core.c", "*.pyx")
    shutil.copytree(Path(herfast.__file__).parent, folder / "herfast", ignore=ignored)
    return folder, run_copy(folder).stdout


def run_copy(folder, code=ACT):
    environment = {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": str(folder / "cache"),
    }
    result = run_python(code, folder, **environment)
    assert result.stdout.startswith(str(folder / "herfast"))
    return result


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("simd.py", 'builder.fcmp_ordered("<=", args[0]', 'builder.fcmp_ordered(">=", args[0]'),
        ("packed_layer.py", "add(sum3, row2)", "add(sum3, row1)"),
        ("dense_layer.py", "fma(a0, b0, s00)", "fma(a0, b1, s00)"),
        ("forward.py", "q[a, b] > out_values[b]", "q[a, b] < out_values[b]"),
        ("entry_points.py", "work.best[i])", "work.best[0])"),
    ],
    ids=["simd", "packed_layer", "dense_layer", "forward", "entry_points"],
)
def test_an_edit_invalidates_the_cache(package_copy, file, old, new):
    """File size and time stay the same, as in installations that fix all times."""
    folder, before = package_copy
    path = folder / "herfast" / "networks" / "kernels" / file
    source, times = path.read_text(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    assert source.count(old) == 1
    try:
        path.write_text(source.replace(old, new))
        os.utime(path, ns=times)
        edited = run_copy(folder)
    finally:
        path.write_text(source)
        os.utime(path, ns=times)
    assert edited.stdout != before
    assert edited.stderr == ANNOUNCEMENT
    assert run_copy(folder).stdout == before


def test_without_a_cache_folder_it_warns_once_and_works(package_copy):
    folder, expected = package_copy
    result = run_copy(folder, NO_CACHE + ACT + ACT)
    assert result.stdout == 2 * expected
    assert result.stderr.count("RuntimeWarning") == 1
    assert result.stderr.count("no writable folder for compiled kernels") == 1
    assert result.stderr.count(ANNOUNCEMENT) == 1
