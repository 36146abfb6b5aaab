"""Tests of atomic file replacement, staging folders and folder locks."""

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import stat
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.files import assert_equal_tensors, file_names, read_tensors
from support.processes import run_python
from support.small_agents import tiny_agent

from herfast import Agent
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


# --- kinds of files -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def skipped_if_not_allowed():
    """Skip the test if the block needs root, or a file system with other features."""
    try:
        yield
    except OSError as error:
        pytest.skip(str(error))


def make_special_file(path, kind):
    """Create a file that is not regular."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
    else:
        kinds = {"character": stat.S_IFCHR, "block": stat.S_IFBLK}
        with skipped_if_not_allowed():
            os.mknod(path, kinds[kind] | 0o600, os.makedev(1, 3))


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("kind", ["fifo", "socket", "character", "block"])
def test_a_file_that_is_not_regular_is_rejected_and_kept(tmp_path, kind, linked, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_special_file("special", kind)  # a relative path, since that of a socket must be short
    special = tmp_path / "special"
    before = special.lstat()
    path = special
    if linked:
        path = tmp_path / "link"
        path.symlink_to("special")
    names = file_names(tmp_path)
    with pytest.raises(OSError, match=f"^cannot write {special}: it is not a regular file$"):
        tiny_agent().save(path)
    assert special.lstat() == before
    assert path.is_symlink() == linked
    assert file_names(tmp_path) == names


def test_links_to_a_new_file_a_folder_and_themselves(tmp_path):
    for link, target in {"new": "file", "folder": ".", "loop": "loop", "lost": "missing/file"}.items():
        (tmp_path / link).symlink_to(target)
    atomic_file.write_file(tmp_path / "new", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    with pytest.raises(IsADirectoryError, match=f"^cannot write {tmp_path}: it is a folder$"):
        atomic_file.write_file(tmp_path / "folder", b"")
    with pytest.raises(OSError, match=f"^cannot write {tmp_path}/loop: Too many levels of symbolic links$"):
        atomic_file.write_file(tmp_path / "loop", b"")
    with pytest.raises(FileNotFoundError, match=f"^cannot write .*: there is no folder {tmp_path}/missing$"):
        atomic_file.write_file(tmp_path / "lost", b"")
    assert all((tmp_path / link).is_symlink() for link in ("new", "folder", "loop", "lost"))
    assert file_names(tmp_path) == ["file", "folder", "loop", "lost", "new"]


def test_a_fifo_with_the_name_of_a_leftover_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / ".file.12345678.tmp")
    atomic_file.write_file(tmp_path / "file", b"content")
    assert file_names(tmp_path) == [".file.12345678.tmp", "file"]


# --- attributes and names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666, 0o200, 0o000])
def test_a_replaced_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "agent"
    path.write_bytes(b"old")
    path.chmod(mode)
    modified = path.stat().st_mtime_ns
    tiny_agent().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.stat().st_mtime_ns > modified
    path.chmod(0o600)
    assert Agent.load(path).cycles == 0


def test_a_new_file_has_the_mode_of_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        tiny_agent().save(tmp_path / "agent")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "agent").stat().st_mode) == 0o640


def test_a_file_replaced_by_root_keeps_its_owner_and_group(tmp_path):
    path = tmp_path / "agent"
    path.write_bytes(b"old")
    with skipped_if_not_allowed():
        os.chown(path, 1234, 5678)
    tiny_agent().save(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 5678)


def test_the_owner_changes_where_it_cannot_be_kept(tmp_path, monkeypatch):
    def not_allowed(*arguments):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    path = tmp_path / "agent"
    path.write_bytes(b"old")
    path.chmod(0o640)
    monkeypatch.setattr(os, "chown", not_allowed)
    atomic_file.write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="only Linux has extended attributes in os")
def test_a_replaced_file_keeps_its_extended_attributes(tmp_path):
    path = tmp_path / "agent"
    path.write_bytes(b"old")
    with skipped_if_not_allowed():
        os.setxattr(path, "user.note", b"seed 0")
    tiny_agent().save(path)
    assert os.getxattr(path, "user.note") == b"seed 0"


@pytest.mark.parametrize(
    "name",
    ["a" * 241, "a" * 242, "a" * 255, "\u00e9" * 127, "a" + "\u6c34" * 84, "b" + "\U0001f600" * 63],
    ids=["241", "242", "255", "2 bytes", "3 bytes", "4 bytes"],
)
def test_a_name_of_any_length_is_written_and_its_leftovers_are_removed(tmp_path, name, monkeypatch):
    path = tmp_path / name
    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", lambda *arguments, **options: None)  # as if the writer were killed
        with atomic_file.atomic_write(path):
            raise KeyboardInterrupt
    (leftover,) = file_names(tmp_path)
    assert len(os.fsencode(leftover)) <= 255
    assert leftover.isprintable()
    tiny_agent().save(path)
    tiny_agent().save(path, replay=True)
    assert file_names(tmp_path) == [name]


FORK = """
import os, sys, time
from pathlib import Path
from herfast.common.atomic_file import locked

reader, writer = os.pipe()
with locked(Path("folder")):
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)  # until the parent has finished
        os._exit(0)
with locked(Path("folder")):
    print("locked again")
    unwinding = os.fork()
    if unwinding == 0:
        sys.exit()  # leaves the block
    os.waitpid(unwinding, 0)
    if os.fork() == 0:
        folder = os.open("folder", os.O_RDONLY)
        import fcntl
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.write(1, b"still locked\\n")
        os._exit(0)
    os.wait()
os.close(writer)
os.waitpid(child, 0)
"""


def test_a_forked_process_neither_keeps_nor_releases_a_lock(tmp_path):
    output = run_python(FORK, tmp_path, PYTHONWARNINGS="ignore").stdout
    assert sorted(set(output.splitlines())) == ["locked again", "still locked"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs extended attributes")
def test_an_attribute_that_cannot_be_set_does_not_lose_the_others(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    try:
        for name in ("user.a", "user.b", "user.c"):
            os.setxattr(path, name, b"1")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    setxattr = os.setxattr

    def fail_for_b(path, name, value):
        if name == "user.b":
            raise PermissionError
        setxattr(path, name, value)

    monkeypatch.setattr(os, "setxattr", fail_for_b)
    atomic_file.write_file(path, b"new")
    assert {name for name in os.listxattr(path) if name.startswith("user.")} == {"user.a", "user.c"}


def test_the_error_of_a_folder_that_cannot_be_created_names_it(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    block = atomic_file.locked(tmp_path / "file")
    with pytest.raises(FileExistsError, match=f"^cannot create {tmp_path / 'file'}: File exists$"):
        block.__enter__()


def test_a_file_system_without_modes_is_written(tmp_path, monkeypatch):
    def fail(path, mode, **kwargs):
        raise PermissionError

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "chmod", fail)
    atomic_file.write_file(path, b"new")
    assert path.read_bytes() == b"new"
