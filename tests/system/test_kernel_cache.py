"""The cache of compiled kernels: notice, reuse, edits, damage, full disks."""

import errno
import os
import shutil
import subprocess
import sys

import pytest
from support.package_copies import ACT, NOTICE, copy_package, run_copy, saved_kernels, warning_of
from support.processes import run_python

LEARN = """
import hashlib
from herfast import Agent, BitFlip
sizes = dict(cycles_per_epoch=2, episodes_per_cycle=4, updates_per_cycle=10)
for n_bits, preset, hidden in ((20, "notebook", (256,)), (50, "fast", (256,)), (7, "paper", (40, 70))):
    agent = Agent(BitFlip(n_bits), preset, seed=0, hidden=hidden, **sizes).learn(epochs=1).learn(epochs=1)
    weights = b"".join(array.tobytes() for array in agent.network.parameters().values())
    print(agent.history["loss"].tolist(), hashlib.sha256(weights).hexdigest())
"""
LIMITED_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
"""


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory):
    """Return a cache folder, and the result of the process that filled it."""
    folder = tmp_path_factory.mktemp("cold")
    return folder, run_python(LEARN, folder, NUMBA_CACHE_DIR=str(folder))


@pytest.mark.slow
def test_compilation_is_announced_once(filled_cache):
    _, first = filled_cache
    assert first.stderr == NOTICE


@pytest.mark.slow
def test_a_second_process_uses_the_cache_silently_with_equal_results(filled_cache):
    folder, first = filled_cache
    before = saved_kernels(folder)
    second = run_python(LEARN, folder, NUMBA_CACHE_DIR=str(folder))
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert len(before) == 5  # act is the same for two of the agents
    assert saved_kernels(folder) == before


@pytest.mark.slow
def test_training_replaces_damaged_files(filled_cache, tmp_path):
    folder, first = filled_cache
    cache = shutil.copytree(folder, tmp_path / "cache")
    paths = sorted(saved_kernels(cache))
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


@pytest.fixture(scope="module")
def package_copy(tmp_path_factory):
    """Return a folder with a package and a filled cache, and the output of ACT."""
    folder = tmp_path_factory.mktemp("copied")
    copy_package(folder)
    return folder, run_copy(folder, NUMBA_CACHE_DIR=str(folder / "cache")).stdout


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("simd", 'builder.fcmp_ordered("<", args[0]', 'builder.fcmp_ordered(">", args[0]'),
        ("packed_layer", "add(sum3, row2)", "add(sum3, row1)"),
        ("dense_layer", "fma(a0, b0, s00)", "fma(a0, b1, s00)"),
        ("forward", "where_greater(values, highest, values,", "where_greater(highest, values, values,"),
        ("acting", "work.best[i])", "work.best[0])"),
    ],
)
def test_an_edit_invalidates_the_cache(package_copy, file, old, new):
    """File size and time stay the same, as in installations that fix all times."""
    folder, before = package_copy
    cache = str(folder / "cache")
    path = folder / "herfast" / "networks" / "kernels" / f"{file}.py"
    source, times = path.read_text(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    assert source.count(old) == 1
    try:
        path.write_text(source.replace(old, new))
        os.utime(path, ns=times)
        edited = run_copy(folder, NUMBA_CACHE_DIR=cache)
    finally:
        path.write_text(source)
        os.utime(path, ns=times)
    assert edited.stdout != before
    assert edited.stderr == NOTICE
    assert run_copy(folder, NUMBA_CACHE_DIR=cache).stdout == before


def test_a_flipped_bit_is_found_and_repaired(package_copy, tmp_path):
    folder, expected = package_copy
    cache = shutil.copytree(folder / "cache", tmp_path / "cache")
    (path,) = saved_kernels(cache)
    flip(path)
    damaged = run_copy(folder, NUMBA_CACHE_DIR=str(cache))
    assert damaged.stdout == expected
    assert warning_of(damaged).startswith(f"{path.parent}: ")
    assert damaged.stderr.count(NOTICE) == 1
    repaired = run_copy(folder, NUMBA_CACHE_DIR=str(cache))
    assert (repaired.stdout, repaired.stderr) == (expected, "")


def test_a_limit_of_the_disk_is_named(package_copy, tmp_path):
    folder, expected = package_copy
    result = run_copy(folder, LIMITED_FILES + ACT + ACT, NUMBA_CACHE_DIR=str(tmp_path))
    assert result.stdout == 2 * expected
    assert warning_of(result).startswith(str(tmp_path))
    assert f": {os.strerror(errno.EFBIG)} (" in warning_of(result)
    assert result.stderr.count(NOTICE) == 1
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


BOTH_SAVE = """
from herfast.networks.compiled import kernel_cache
save = kernel_cache.save
def save_with_the_other(*args):
    print("compiled", flush=True)
    input()
    save(*args)
kernel_cache.save = save_with_the_other
"""


def test_two_processes_may_fill_the_cache_at_once(tmp_path):
    """Both compile before either saves. Then both save the same file."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BOTH_SAVE + ACT],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in processes] == ["compiled\n"] * 2
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    last = run_python(ACT, tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert results == [(last.stdout, NOTICE)] * 2
    assert last.stderr == ""
    assert len(saved_kernels(tmp_path)) == 1


INTERRUPTED = """
import os, signal
from pathlib import Path
from herfast.networks.compiled import compiler
target_machine = compiler.target_machine
def interrupted():  # when Numba is done, and LLVM is not
    os.kill(os.getpid(), signal.SIG{name})
    return target_machine()
compiler.target_machine = interrupted
try:
    exec(ACT)
except KeyboardInterrupt:
    assert [path for path in Path().rglob("*") if path.is_file()] == []
    compiler.target_machine = target_machine
    exec(ACT)
"""


@pytest.mark.parametrize("name", ["INT", "KILL"])
def test_an_interrupted_compilation_is_begun_again(tmp_path, name):
    """After Ctrl-C in the same process, and after a kill in the next one."""
    arguments = [sys.executable, "-c", f"ACT = {ACT!r}{INTERRUPTED.format(name=name)}"]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    first = subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert first.stderr == NOTICE
    assert len(saved_kernels(tmp_path)) == int(name == "INT")
    second = run_python(ACT, tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    if name == "INT":
        assert (first.returncode, first.stdout, second.stderr) == (0, second.stdout, "")
    else:
        assert (first.returncode, first.stdout, second.stderr) == (-9, "", NOTICE)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == list(saved_kernels(tmp_path))
