"""Tests of tensor files: writing and reading, failed writes, and invalid files."""

import math
import os

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from support.files import assert_equal_tensors, file_names, full_disk, read_tensors

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


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_a_written_file_is_read_back_unchanged(tmp_path, kind):
    path = kind(tmp_path / "agent.safetensors")
    tensor_file.write_tensors(path, TENSORS, METADATA)
    tensors, metadata = read_tensors(path)
    assert_equal_tensors(tensors, TENSORS)
    assert metadata == METADATA
    assert file_names(tmp_path) == ["agent.safetensors"]


def test_a_generator_continues_from_its_saved_state(tmp_path):
    rng = np.random.Generator(np.random.PCG64(3))
    rng.integers(0, 2, 3, np.uint32)  # half of a 64-bit output is left to use
    tensor_file.write_tensors(tmp_path / "a", {}, {"rng": rng.bit_generator.state})
    other = np.random.Generator(np.random.PCG64(4))
    other.bit_generator.state = read_tensors(tmp_path / "a")[1]["rng"]
    assert other.integers(0, 2**32, 9, np.uint32).tolist() == rng.integers(0, 2**32, 9, np.uint32).tolist()


def test_read_arrays_are_writable_copies(tmp_path):
    path = tmp_path / "agent"
    tensor_file.write_tensors(path, TENSORS, {})
    tensors, _ = read_tensors(path)
    tensor_file.write_tensors(path, {name: np.zeros_like(array) for name, array in TENSORS.items()}, {})
    assert_equal_tensors(tensors, TENSORS)
    tensors["words"][:] = 0


def test_the_file_is_plain_safetensors(tmp_path):
    tensor_file.write_tensors(tmp_path / "agent", TENSORS, METADATA)
    assert_equal_tensors(load_file(tmp_path / "agent"), TENSORS)


def test_a_file_without_tensors_and_metadata_is_read_back(tmp_path):
    tensor_file.write_tensors(tmp_path / "nothing", {}, {})
    assert read_tensors(tmp_path / "nothing") == ({}, {})


# --- writing fails ------------------------------------------------------------------------------------------


OLD = {"x": np.zeros(1000)}
NEW = {"x": np.ones(1000)}


def write_half(tensors, filename, metadata):
    filename.write_bytes(b"half")
    raise write_half.error


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (SafetensorError("No space left on device"), OSError),
        (OSError("No space left on device"), OSError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
    ],
)
def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch, error, raised):
    path = tmp_path / "agent"
    tensor_file.write_tensors(path, OLD, {"n": 1})
    monkeypatch.setattr(tensor_file, "save_file", write_half)
    monkeypatch.setattr(write_half, "error", error, raising=False)
    with pytest.raises(raised) as caught:
        tensor_file.write_tensors(path, NEW, {"n": 2})
    if isinstance(error, SafetensorError):
        assert str(caught.value) == f"cannot write {path}: No space left on device"
    monkeypatch.undo()
    tensors, metadata = read_tensors(path)
    assert_equal_tensors(tensors, OLD)
    assert metadata == {"n": 1}
    assert file_names(tmp_path) == ["agent"]


def test_metadata_that_json_cannot_represent_is_rejected_and_the_old_file_kept(tmp_path):
    tensor_file.write_tensors(tmp_path / "agent", OLD, {})
    with pytest.raises(TypeError, match="JSON"):
        tensor_file.write_tensors(tmp_path / "agent", NEW, {"n": np.int64(2)})
    assert_equal_tensors(read_tensors(tmp_path / "agent")[0], OLD)
    assert file_names(tmp_path) == ["agent"]


def test_a_full_disk_keeps_the_old_file(tmp_path):
    path = tmp_path / "agent"
    tensor_file.write_tensors(path, {"x": np.arange(500)}, {})
    with pytest.raises(OSError, match=f"cannot write {path}: .*[Ff]ile too large"), full_disk(2**13):
        tensor_file.write_tensors(path, {"x": np.arange(50_000)}, {})
    assert_equal_tensors(read_tensors(path)[0], {"x": np.arange(500)})
    assert file_names(tmp_path) == ["agent"]


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs a folder that root cannot write to")
def test_a_folder_without_write_permission_is_named_in_the_error():
    with pytest.raises(OSError, match="cannot write /proc/agent: "):
        tensor_file.write_tensors("/proc/agent", NEW, {})


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_of_a_new_file_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    tensor_file.write_tensors(tmp_path / "agent", OLD, {})
    os.umask(before)
    assert (tmp_path / "agent").stat().st_mode & 0o777 == 0o666 & ~mask


def test_the_target_of_a_symbolic_link_is_written(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "agent")
    tensor_file.write_tensors(tmp_path / "link", NEW, {})
    assert (tmp_path / "link").is_symlink()
    assert_equal_tensors(read_tensors(tmp_path / "folder" / "agent")[0], NEW)


def test_a_file_name_alone_is_written_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tensor_file.write_tensors("agent", NEW, {})
    assert file_names(tmp_path) == ["agent"]


def test_a_missing_folder_is_named_in_the_error(tmp_path):
    path = tmp_path / "missing" / "agent"
    with pytest.raises(OSError, match="missing") as caught:
        tensor_file.write_tensors(path, NEW, {})
    assert str(path) in str(caught.value)
    assert file_names(tmp_path) == []


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    (tmp_path / "agent").mkdir()
    with pytest.raises(OSError, match="agent"):
        tensor_file.write_tensors(tmp_path / "agent", NEW, {})
    assert file_names(tmp_path) == ["agent"]


# --- reading fails ------------------------------------------------------------------------------------------


def reason(path, error):
    """Return the error message of `read_tensors`, one line that names the file."""
    with pytest.raises(error) as caught:
        read_tensors(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_reading_a_missing_file_raises(tmp_path):
    assert reason(tmp_path / "agent", FileNotFoundError) == f"there is no file {tmp_path / 'agent'}"
    assert reason(tmp_path, FileNotFoundError) == f"there is no file {tmp_path}"


@pytest.mark.parametrize(
    "content", [b"", b"x", b"not a safetensors file, but longer than a header", bytes(1000)]
)
def test_a_file_of_another_type_is_rejected(tmp_path, content):
    (tmp_path / "agent").write_bytes(content)
    assert "is not a readable herfast file" in reason(tmp_path / "agent", ValueError)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_truncated_file_is_rejected(tmp_path, share):
    path = tmp_path / "agent"
    tensor_file.write_tensors(path, TENSORS, METADATA)
    content = path.read_bytes()
    path.write_bytes(content[: math.ceil(share * len(content))])
    assert "is not a readable herfast file" in reason(path, ValueError)


@pytest.mark.parametrize(
    ("metadata", "found"), [(None, "None"), ({"format": "pt"}, "None"), ({"herfast_format": "1\n"}, r"'1\n'")]
)
def test_a_file_of_another_format_version_is_rejected(tmp_path, metadata, found):
    save_file(OLD, tmp_path / "agent", metadata)
    assert f"has herfast format {found}, this version reads format 2" in reason(
        tmp_path / "agent", ValueError
    )
