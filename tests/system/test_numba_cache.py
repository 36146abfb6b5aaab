"""The cache of compiled kernels: notice, reuse, edits, damage, full disks."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
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
LIMITED_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
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


@pytest.mark.slow
def test_training_replaces_damaged_files(filled_cache, tmp_path):
    folder, first = filled_cache
    cache = shutil.copytree(folder, tmp_path / "cache")
    paths = sorted(cache.rglob("*.nb?"))
    paths[0].write_bytes(b"")
    flip(paths[-1])
    damaged = run_python(LEARN, tmp_path, NUMBA_CACHE_DIR=str(cache))
    assert damaged.stdout == first.stdout
    assert warning_of(damaged).startswith(f"{paths[0].parent}: ")
    repaired = run_python(LEARN, tmp_path, NUMBA_CACHE_DIR=str(cache))
    assert (repaired.stdout, repaired.stderr) == (first.stdout, "")


def flip(path):
    """Flip a bit in the middle of a file, within the machine code."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def warning_of(result):
    """Return the folder and the reason in the only warning of a process."""
    (line,) = (line for line in result.stderr.splitlines() if "Warning: " in line)
    return line.split("RuntimeWarning: cannot use the cache of compiled kernels in ")[1]


@pytest.fixture(scope="module")
def package_copy(tmp_path_factory):
    """Return a folder with a package copy and its cache, and its unedited output."""
    folder = tmp_path_factory.mktemp("copied")
    ignored = shutil.ignore_patterns("__pycache__", "_core.c", "*.pyx")
    shutil.copytree(Path(herfast.__file__).parent, folder / "herfast", ignore=ignored)
    return folder, run_copy(folder).stdout


def run_copy(folder, code=ACT, cache=None):
    environment = {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": str(cache or folder / "cache"),
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
    assert warning_of(result).startswith(str(folder / "cache"))
    assert result.stderr.count(ANNOUNCEMENT) == 1


def test_a_flipped_bit_is_found_and_repaired(package_copy, tmp_path):
    folder, expected = package_copy
    cache = shutil.copytree(folder / "cache", tmp_path / "cache")
    paths = list(cache.rglob("*.nbc"))
    for path in paths:
        flip(path)
    damaged = run_copy(folder, cache=cache)
    assert damaged.stdout == expected
    assert warning_of(damaged).startswith(f"{paths[0].parent}: ")
    assert damaged.stderr.count(ANNOUNCEMENT) == 1
    repaired = run_copy(folder, cache=cache)
    assert (repaired.stdout, repaired.stderr) == (expected, "")


def test_a_limit_of_the_disk_is_named(package_copy, tmp_path):
    folder, expected = package_copy
    result = run_copy(folder, LIMITED_FILES + ACT, tmp_path)
    assert result.stdout == expected
    assert warning_of(result).startswith(str(tmp_path))
    assert f": {os.strerror(errno.EFBIG)} (" in warning_of(result)
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_two_processes_may_fill_the_cache_at_once(package_copy, tmp_path):
    folder, expected = package_copy
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: run_copy(folder, cache=tmp_path), range(2)))
    assert [result.stdout for result in results] == [expected] * 2
    assert [result.stderr for result in results] == [ANNOUNCEMENT] * 2
    last = run_copy(folder, cache=tmp_path)
    assert (last.stdout, last.stderr) == (expected, "")


def test_an_unusable_folder_is_named_and_another_one_used(package_copy, tmp_path):
    folder, expected = package_copy
    file = tmp_path / "file"
    file.touch()
    first, second = (run_copy(folder, cache=file) for _ in range(2))
    assert first.stdout == second.stdout == expected
    for result in (first, second):
        assert warning_of(result).startswith(str(file))
        assert f": {os.strerror(errno.ENOTDIR)} (" in warning_of(result)
    assert ANNOUNCEMENT in first.stderr
    assert ANNOUNCEMENT not in second.stderr
    assert file.read_bytes() == b""
