"""Files: what is written comes back; a failure leaves the old file; what is not such a file is named."""

import contextlib
import errno
import fcntl
import math
import os
import resource
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from herfast.common import tensor_file

RNG = np.random.default_rng(0)
TENSORS = {
    "words": RNG.integers(0, 2**64, (5, 3), np.uint64),
    "floats": RNG.normal(size=(2, 3, 4)).astype(np.float32),
    "integers": np.array([-(2**63), -1, 0, 2**63 - 1]),
    "booleans": np.array([[True], [False]]),
    "actions": np.arange(7, dtype=np.uint16),
    "lengths": np.arange(7, dtype=np.int32),
    "doubles": np.array([0.1, -0.0, np.inf, np.nan]),
    "empty": np.empty((0, 3), np.uint64),
    "scalar": np.array(1.5, np.float32),
    "strided": np.arange(24, dtype=np.float32).reshape(4, 6)[::2, 1::2],
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "broadcast": np.broadcast_to(np.float32(2), (3, 2)),
}
METADATA = {
    "state": np.random.PCG64(1).state,
    "empty": {},
    "none": None,
    "list": [1, 2.5, "three", None, True],
    "text": 'quotes ", umlauts äöü and\na line',
    "tenth": 0.1,
    "large": 2**200,
}


@contextlib.contextmanager
def opened(path):
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_what_is_written_comes_back(tmp_path, kind):
    path = kind(tmp_path / "agent.safetensors")
    tensor_file.write_tensors(path, TENSORS, METADATA)
    tensors, metadata = tensor_file.read_tensors(path)
    assert_equal(tensors, TENSORS)
    assert metadata == METADATA
    assert names(tmp_path) == ["agent.safetensors"]


def test_a_generator_goes_on_where_it_was(tmp_path):
    rng = np.random.Generator(np.random.PCG64(3))
    rng.integers(0, 2, 3, np.uint32)  # half of a 64-bit draw is still to be used
    tensor_file.write_tensors(tmp_path / "a", {}, {"rng": rng.bit_generator.state})
    other = np.random.Generator(np.random.PCG64(4))
    other.bit_generator.state = tensor_file.read_tensors(tmp_path / "a")[1]["rng"]
    assert other.integers(0, 2**32, 9, np.uint32).tolist() == rng.integers(0, 2**32, 9, np.uint32).tolist()


def test_arrays_read_are_ones_own(tmp_path):
    path = tmp_path / "agent"
    tensor_file.write_tensors(path, TENSORS, {})
    tensors, _ = tensor_file.read_tensors(path)
    tensor_file.write_tensors(path, {name: np.zeros_like(array) for name, array in TENSORS.items()}, {})
    assert_equal(tensors, TENSORS)
    tensors["words"][:] = 0


def test_the_file_is_plain_safetensors(tmp_path):
    tensor_file.write_tensors(tmp_path / "agent", TENSORS, METADATA)
    assert_equal(load_file(tmp_path / "agent"), TENSORS)


def test_nothing_at_all_comes_back(tmp_path):
    tensor_file.write_tensors(tmp_path / "nothing", {}, {})
    assert tensor_file.read_tensors(tmp_path / "nothing") == ({}, {})


# --- writing fails ----------------------------------------------------------------------------------------------------

OLD, NEW = {"x": np.zeros(1000)}, {"x": np.ones(1000)}


def half_written(tensors, filename, metadata):
    filename.write_bytes(b"half")
    raise half_written.error


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (SafetensorError("No space left on device"), OSError),
        (OSError("No space left on device"), OSError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
    ],
)
def test_a_write_that_fails_halfway_leaves_the_old_file(tmp_path, monkeypatch, error, raised):
    path = tmp_path / "agent"
    tensor_file.write_tensors(path, OLD, {"n": 1})
    monkeypatch.setattr(tensor_file, "save_file", half_written)
    monkeypatch.setattr(half_written, "error", error, raising=False)
    with pytest.raises(raised) as caught:
        tensor_file.write_tensors(path, NEW, {"n": 2})
    if isinstance(error, SafetensorError):
        assert str(caught.value) == f"cannot write {path}: No space left on device"
    monkeypatch.undo()
    tensors, metadata = tensor_file.read_tensors(path)
    assert_equal(tensors, OLD)
    assert metadata == {"n": 1}
    assert names(tmp_path) == ["agent"]


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


def test_what_json_cannot_say_is_refused_before_the_old_file_is_touched(tmp_path):
    tensor_file.write_tensors(tmp_path / "agent", OLD, {})
    with pytest.raises(TypeError, match="JSON"):
        tensor_file.write_tensors(tmp_path / "agent", NEW, {"n": np.int64(2)})
    assert_equal(tensor_file.read_tensors(tmp_path / "agent")[0], OLD)
    assert names(tmp_path) == ["agent"]


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
    assert names(tmp_path) == sorted([name, *others, leftovers[1]])
    tensor_file.write_tensors(tmp_path / name, NEW, {})
    assert names(tmp_path) == sorted([name, *others])


@contextlib.contextmanager
def full_disk():
    """No file may grow beyond some kilobytes, as where a disk or a quota is used up; not even pytest's output."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**13, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "agent"
    tensor_file.write_tensors(path, {"x": np.arange(500)}, {})
    with pytest.raises(OSError, match=f"cannot write {path}: .*[Ff]ile too large"), full_disk():
        tensor_file.write_tensors(path, {"x": np.arange(50_000)}, {})
    assert_equal(tensor_file.read_tensors(path)[0], {"x": np.arange(500)})
    assert names(tmp_path) == ["agent"]


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="no folder where not even root may write")
def test_a_folder_that_may_not_be_written_to():
    with pytest.raises(OSError, match="cannot write /proc/agent: "):
        tensor_file.write_tensors("/proc/agent", NEW, {})


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_file_can_be_read_by_whom_the_user_lets(tmp_path, mask):
    before = os.umask(mask)
    tensor_file.write_tensors(tmp_path / "agent", OLD, {})
    os.umask(before)
    assert (tmp_path / "agent").stat().st_mode & 0o777 == 0o666 & ~mask


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
    assert names(tmp_path) == ["agent"]


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
    assert_equal(tensor_file.read_tensors(tmp_path / "agent")[0], NEW)
    assert len(made) == 3
    os.close(descriptors[0])


def test_what_a_link_points_to_is_written(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "agent")
    tensor_file.write_tensors(tmp_path / "link", NEW, {})
    assert (tmp_path / "link").is_symlink()
    assert_equal(tensor_file.read_tensors(tmp_path / "folder" / "agent")[0], NEW)


def test_a_name_alone_is_written_into_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tensor_file.write_tensors("agent", NEW, {})
    assert names(tmp_path) == ["agent"]


def test_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "missing" / "agent"
    with pytest.raises(OSError, match="missing") as caught:
        tensor_file.write_tensors(path, NEW, {})
    assert str(path) in str(caught.value)
    assert names(tmp_path) == []


def test_a_folder_in_the_files_place(tmp_path):
    (tmp_path / "agent").mkdir()
    with pytest.raises(OSError, match="agent"):
        tensor_file.write_tensors(tmp_path / "agent", NEW, {})
    assert names(tmp_path) == ["agent"]


# --- reading fails ----------------------------------------------------------------------------------------------------


def reason(path, error):
    """What `read` says, which is one sentence that names the file."""
    with pytest.raises(error) as caught:
        tensor_file.read_tensors(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_no_file(tmp_path):
    assert reason(tmp_path / "agent", FileNotFoundError) == f"there is no file {tmp_path / 'agent'}"
    assert reason(tmp_path, FileNotFoundError) == f"there is no file {tmp_path}"


@pytest.mark.parametrize("content", [b"", b"x", b"not a safetensors file, but longer than a header", bytes(1000)])
def test_another_kind_of_file(tmp_path, content):
    (tmp_path / "agent").write_bytes(content)
    assert "is not a readable herfast file" in reason(tmp_path / "agent", ValueError)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_truncated_file(tmp_path, share):
    path = tmp_path / "agent"
    tensor_file.write_tensors(path, TENSORS, METADATA)
    content = path.read_bytes()
    path.write_bytes(content[: math.ceil(share * len(content))])
    assert "is not a readable herfast file" in reason(path, ValueError)


@pytest.mark.parametrize(
    ("metadata", "found"), [(None, "None"), ({"format": "pt"}, "None"), ({"herfast_format": "1\n"}, r"'1\n'")]
)
def test_another_format(tmp_path, metadata, found):
    save_file(OLD, tmp_path / "agent", metadata)
    assert f"has herfast format {found}, this version reads format 2" in reason(tmp_path / "agent", ValueError)
