"""Tests of atomic file replacement, staging folders and folder locks."""

import contextlib
import errno
import fcntl
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.files import assert_equal_tensors, file_names, read_tensors

from herfast.common import atomic_file, tensor_file

OLD = {"x": np.zeros(1000)}
NEW = {"x": np.ones(1000)}


@contextlib.contextmanager
def open_descriptor(path):
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_a_file_is_replaced_only_after_its_contents_are_on_disk(tmp_path, monkeypatch):
    path = tmp_path / "agent"
    tensor_file.write_tensors(path, OLD, {})
    synced = []

    def sync(descriptor):
        synced.append((os.fstat(descriptor).st_ino, read_tensors(path)[0]["x"][0]))
        fsync(descriptor)

    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", sync)
    tensor_file.write_tensors(path, NEW, {})
    # First the contents of the file, then the names in the folder.
    assert synced == [(path.stat().st_ino, 0.0), (tmp_path.stat().st_ino, 1.0)]


@pytest.mark.parametrize("name", ["agent.safetensors", "a[1]*", "agent"])
def test_only_leftovers_of_killed_writers_are_removed(tmp_path, name):
    others = [
        ".a1b.12345678.tmp",
        f"{name}.12345678.tmp",
        f".{name}.old.tmp",
        f".x{name}.12345678.tmp",
        ".tmpX1",
    ]
    leftovers = [f".{name}.a_{i}bcdef.tmp" for i in range(3)]
    for folder in (*others, *leftovers):
        (tmp_path / folder).mkdir()
        for file in (name, ".tmpXaB9"):
            (tmp_path / folder / file).write_bytes(b"half")
    with open_descriptor(tmp_path / leftovers[1]) as descriptor:  # the folder of a running writer
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        tensor_file.write_tensors(tmp_path / name, NEW, {})
    assert file_names(tmp_path) == sorted([name, *others, leftovers[1]])
    tensor_file.write_tensors(tmp_path / name, NEW, {})
    assert file_names(tmp_path) == sorted([name, *others])


@pytest.mark.parametrize("locks", [True, False])
def test_concurrent_writers_of_one_file_always_leave_a_complete_file(tmp_path, monkeypatch, locks):
    """This also holds on a file system without locks."""

    def no_locks(descriptor, operation):
        raise OSError(errno.EBADF, "Bad file descriptor")

    if not locks:
        monkeypatch.setattr(fcntl, "flock", no_locks)
    files = [{"x": np.full(10_000, float(i))} for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for written in [
            pool.submit(tensor_file.write_tensors, tmp_path / "agent", files[i % 4], {}) for i in range(40)
        ]:
            written.result()
            assert len(set(read_tensors(tmp_path / "agent")[0]["x"])) == 1
    assert file_names(tmp_path) == ["agent"]


def test_a_writer_whose_folder_is_removed_or_locked_by_another_creates_a_new_one(tmp_path, monkeypatch):
    """Another writer may treat the folder as a leftover before it is locked."""
    mkdtemp = tempfile.mkdtemp
    made = []
    descriptors = []

    def mkdtemp_with_conflicts(**arguments):
        made.append(mkdtemp(**arguments))
        if len(made) == 1:
            os.rmdir(made[0])
        if len(made) == 2:
            descriptors.append(os.open(made[1], os.O_RDONLY))
            fcntl.flock(descriptors[0], fcntl.LOCK_EX)
        return made[-1]

    monkeypatch.setattr("herfast.common.atomic_file.mkdtemp", mkdtemp_with_conflicts)
    tensor_file.write_tensors(tmp_path / "agent", NEW, {})
    assert_equal_tensors(read_tensors(tmp_path / "agent")[0], NEW)
    assert len(made) == 3
    os.close(descriptors[0])


def test_a_folder_is_locked_by_one_process_at_a_time(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    for _ in range(2):
        with atomic_file.locked(folder):
            for _ in range(2):
                with (
                    pytest.raises(BlockingIOError, match=f"{folder} is in use by another herfast process"),
                    atomic_file.locked(folder),
                ):
                    pass

    def no_locks(descriptor, operation):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with atomic_file.locked(folder), atomic_file.locked(folder):
        pass  # without lock support, nothing is locked


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), ValueError("wrong")])
def test_an_error_while_writing_leaves_the_old_file(error, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), atomic_file.atomic_write(path):
        raise error
    assert path.read_bytes() == b"old"
    assert file_names(tmp_path) == ["file"]
