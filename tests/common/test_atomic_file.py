"""Files are replaced when all is on the disk, in staging folders whose leftovers are removed; folders are locked."""

import contextlib
import errno
import fcntl
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.files import assert_equal_tensors, file_names

from herfast.common import atomic_file, tensor_file

OLD, NEW = {"x": np.zeros(1000)}, {"x": np.ones(1000)}


@contextlib.contextmanager
def opened(path):
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_the_new_file_takes_the_name_only_when_it_is_on_the_disk(tmp_path, monkeypatch):
    path = tmp_path / "agent"
    tensor_file.write_tensors(path, OLD, {})
    synced = []

    def sync(descriptor):
        synced.append((os.fstat(descriptor).st_ino, tensor_file.read_tensors(path)[0]["x"][0]))
        fsync(descriptor)

    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", sync)
    tensor_file.write_tensors(path, NEW, {})
    assert synced == [(path.stat().st_ino, 0.0), (tmp_path.stat().st_ino, 1.0)]  # contents, then the folder's names


@pytest.mark.parametrize("name", ["agent.safetensors", "a[1]*", "agent"])
def test_leftovers_of_a_killed_writer_are_removed_and_nothing_else(tmp_path, name):
    others = [".a1b.12345678.tmp", f"{name}.12345678.tmp", f".{name}.old.tmp", f".x{name}.12345678.tmp", ".tmpX1"]
    for folder in (*others, *(leftovers := [f".{name}.a_{i}bcdef.tmp" for i in range(3)])):
        (tmp_path / folder).mkdir()
        for half in (name, ".tmpXaB9"):
            (tmp_path / folder / half).write_bytes(b"half")
    with opened(tmp_path / leftovers[1]) as descriptor:  # of a writer that is alive
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        tensor_file.write_tensors(tmp_path / name, NEW, {})
    assert file_names(tmp_path) == sorted([name, *others, leftovers[1]])
    tensor_file.write_tensors(tmp_path / name, NEW, {})
    assert file_names(tmp_path) == sorted([name, *others])


@pytest.mark.parametrize("locks", [True, False])
def test_several_writers_of_one_file_do_not_disturb_each_other(tmp_path, monkeypatch, locks):
    """The file is always one of theirs, whole; also where the file system cannot lock."""

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
            assert len(set(tensor_file.read_tensors(tmp_path / "agent")[0]["x"])) == 1
    assert file_names(tmp_path) == ["agent"]


def test_a_writer_whose_folder_is_taken_for_a_leftover_makes_another(tmp_path, monkeypatch):
    """By one who looked in the moment before it was locked."""
    mkdtemp, made = tempfile.mkdtemp, []

    def taken(**arguments):
        made.append(mkdtemp(**arguments))
        if len(made) == 1:
            os.rmdir(made[0])
        if len(made) == 2:
            fcntl.flock(other := os.open(made[1], os.O_RDONLY), fcntl.LOCK_EX)
            descriptors.append(other)
        return made[-1]

    descriptors = []
    monkeypatch.setattr("herfast.common.atomic_file.mkdtemp", taken)
    tensor_file.write_tensors(tmp_path / "agent", NEW, {})
    assert_equal_tensors(tensor_file.read_tensors(tmp_path / "agent")[0], NEW)
    assert len(made) == 3
    os.close(descriptors[0])


def test_a_folder_is_one_process_at_a_time(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    for _ in range(2):
        with atomic_file.locked(folder):
            for _ in range(2):
                with (
                    pytest.raises(BlockingIOError, match=f"another herfast writes into {folder}"),
                    atomic_file.locked(folder),
                ):
                    pass

    def no_locks(descriptor, operation):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with atomic_file.locked(folder), atomic_file.locked(folder):
        pass  # a file system without locks: nobody can know
