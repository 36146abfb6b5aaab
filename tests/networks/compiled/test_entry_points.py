"""Entry points: arguments, saved code, threads, interrupted compilation."""

import gc
import os
import sys
import warnings
import weakref
from threading import Event, Thread
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from herfast.networks.compiled import compiler, entry_points, kernel_cache
from herfast.networks.compiled.entry_points import EntryPoint
from herfast.networks.kernels.simd import inner


class Numbers(NamedTuple):
    integer: int
    real: float
    flag: bool


NUMBERS = Numbers(-3, 0.1, True)


def describe(optional, numbers, values, others, n, out):
    """Write what the kernel gets to out [8]."""
    out[0] = numbers.integer
    out[1] = numbers.real
    if numbers.flag:
        out[2] = 1.0
    if optional is not None:
        out[3] = optional[0]
    out[4] = values[0]
    out[5] = others[n]
    out[6] = n


@pytest.fixture
def entry_point(tmp_path, monkeypatch):
    """Return a new entry point, whose code is cached in tmp_path."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel_cache, "_warned", False)
    kernels = SimpleNamespace(describe=inner(describe))
    monkeypatch.setitem(sys.modules, "herfast.networks.kernels.toy", kernels)
    return EntryPoint("toy", "describe")


def call(entry_point, optional=None, numbers=NUMBERS, values=None):
    """Return what the kernel writes."""
    if values is None:
        values = np.array([7], np.int64)
    out = np.zeros(8)
    entry_point.bind(optional, numbers, values)(np.array([5, 2**63 + 2**11], np.uint64), 1, out)
    return out[:7].tolist()


EXPECTED = [-3.0, 0.1, 1.0, 0.0, 7.0, float(2**63 + 2**11), 1.0]


def files(tmp_path):
    return [path for path in tmp_path.rglob("*") if not path.is_dir()]


def test_all_kinds_of_arguments_reach_a_kernel(entry_point):
    assert call(entry_point) == EXPECTED
    optional = np.array([2.5], np.float32)
    assert call(entry_point, optional, Numbers(2**62, -np.inf, False)) == [
        *(2.0**62, -np.inf, 0.0),
        *(2.5, *EXPECTED[4:]),
    ]
    assert np.isnan(call(entry_point, numbers=Numbers(0, np.nan, True))[1])
    assert call(entry_point, values=np.array([True]))[4] == 1.0
    assert call(entry_point, values=np.array([-8], np.int8))[4] == -8.0


def test_arrays_may_be_read_only(entry_point):
    values = np.array([7], np.int64)
    others = np.array([5, 6], np.uint64)
    values.flags.writeable = others.flags.writeable = False
    out = np.zeros(8)
    entry_point.bind(None, Numbers(0, 0.0, False), values)(others, 1, out)
    assert out[4:7].tolist() == [7.0, 6.0, 1.0]


def test_an_array_of_another_type_is_rejected(entry_point):
    bound = entry_point.bind(None, Numbers(0, 0.0, False), np.array([7], np.int64))
    out = np.zeros(8)
    bound(np.array([5, 6], np.uint64), 1, out)
    with pytest.raises(TypeError, match=r"^an array must have dtype uint64 as in the first call, got int16$"):
        bound(np.array([5, 6], np.int16), 1, out)


def test_a_process_forked_during_a_compilation_loads_its_kernels(entry_point):
    """Another thread of the parent compiles, and holds the lock."""
    assert call(entry_point) == EXPECTED
    locked, ended = Event(), Event()

    def compile_for_long():
        with entry_points._lock:
            locked.set()
            ended.wait(60)

    thread = Thread(target=compile_for_long)
    thread.start()
    locked.wait(60)
    child = os.fork()
    if child == 0:
        os._exit(call(EntryPoint("toy", "describe")) != EXPECTED)
    ended.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def test_bound_arrays_live_as_long_as_the_call(entry_point):
    values = np.array([7], np.int64)
    reference = weakref.ref(values)
    bound = entry_point.bind(None, Numbers(0, 0.0, False), values)
    del values
    gc.collect()
    out = np.zeros(8)
    bound(np.array([5, 6], np.uint64), 1, out)
    assert out[4] == 7.0
    del bound
    gc.collect()
    assert reference() is None


def test_saved_code_is_not_compiled_again(entry_point, tmp_path, monkeypatch):
    assert call(entry_point) == EXPECTED
    monkeypatch.setattr(compiler, "compile_kernel", None)
    assert call(entry_point) == EXPECTED
    assert call(EntryPoint("toy", "describe")) == EXPECTED
    assert len(files(tmp_path)) == 1


DAMAGES = {
    "empty": lambda code: b"",
    "text": lambda code: b"no object code",
    "half": lambda code: code[: len(code) // 2],
    "without its end": lambda code: code[:-100],
    "header": lambda code: code[:64],
    "zeros": lambda code: code[:64] + bytes(len(code) - 64),
    "other name": lambda code: code.replace(b"describe\0", b"describf\0"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_code_that_cannot_be_loaded_is_compiled_again_with_one_warning(entry_point, monkeypatch, damage):
    """Its checksum is right."""
    save = kernel_cache.save
    with monkeypatch.context() as patch:
        patch.setattr(kernel_cache, "save", lambda *args: save(*args[:2], DAMAGES[damage](args[2])))
        call(entry_point)
    with pytest.warns(RuntimeWarning) as caught:
        assert call(EntryPoint("toy", "describe")) == EXPECTED
    (warning,) = caught
    assert "cannot use the cache of compiled kernels in" in str(warning.message)
    monkeypatch.setattr(compiler, "compile_kernel", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call(EntryPoint("toy", "describe")) == EXPECTED


def test_two_threads_compile_a_kernel_once(entry_point, tmp_path, monkeypatch):
    compile_kernel = compiler.compile_kernel
    results = []
    other = Thread(target=lambda: results.append(call(entry_point)))
    compiled = []

    def start_other(*args):
        compiled.append(args)
        if len(compiled) == 1:
            other.start()
        return compile_kernel(*args)

    monkeypatch.setattr(compiler, "compile_kernel", start_other)
    assert call(entry_point) == EXPECTED
    other.join()
    assert results == [EXPECTED]
    assert len(compiled) == 1
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (compiler._KernelLowering, "run_pass"),
        (compiler, "target_machine"),
        (kernel_cache, "write_file"),
        (entry_points, "Function"),
    ],
    ids=["Numba", "LLVM", "cache", "loading"],
)
def test_after_an_interrupted_compilation_the_next_call_compiles(
    entry_point, tmp_path, monkeypatch, error, owner, name
):
    def fail(*args):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        with pytest.raises(error):
            call(entry_point)
    assert len(files(tmp_path)) == (name == "Function")  # the code is complete then
    assert call(entry_point) == EXPECTED
    assert len(files(tmp_path)) == 1


def test_after_an_interrupt_in_its_first_call_a_kernel_can_be_called(entry_point, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    out, others = np.zeros(8), np.array([5, 6], np.uint64)
    kernel = entry_point.bind(None, NUMBERS, np.array([7], np.int64))
    for name in ("Struct", "kernel_cache.load"):
        with monkeypatch.context() as patch:
            patch.setattr(f"herfast.networks.compiled.entry_points.{name}", interrupted)
            with pytest.raises(KeyboardInterrupt):
                kernel(others, 1, out)
    kernel(others, 1, out)
    assert out[5] == 6


def test_the_notice_is_printed_once(entry_point, monkeypatch, capfd):
    monkeypatch.setattr(entry_points, "_notice_printed", False)
    call(entry_point)
    call(entry_point, np.zeros(1))
    call(EntryPoint("toy", "describe"))
    assert capfd.readouterr().err == f"{entry_points.NOTICE}\n"
