"""Tests of damaged files and files without an agent, which raise one clear error."""

import contextlib
import copy
import json
import pickle
import random
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from support.files import read_tensors
from support.small_agents import SMALL_SETTINGS

from herfast import Agent, BitFlip
from herfast.common import tensor_file

SETTINGS = {**SMALL_SETTINGS, "hidden": (8,), "batch_size": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def good(folder):
    """A full file of an agent whose replay buffer has wrapped around."""
    agent = Agent(BitFlip(9), "fast", 0, **SETTINGS, capacity=50).learn(epochs=2)
    agent.save(folder / "good.safetensors", replay=True)
    return folder / "good.safetensors"


def load_error(path, error=ValueError):
    """Return the message of the error that loading `path` raises."""
    with pytest.raises(error) as caught:
        Agent.load(path)
    assert isinstance(caught.value, error)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


# --- damage -------------------------------------------------------------------------------------------------


def test_a_truncated_file_raises(good, folder):
    content = good.read_bytes()
    path = folder / "cut"
    for percent in range(100):
        path.write_bytes(content[: len(content) * percent // 100])
        assert "is not a readable herfast file" in load_error(path)
    path.write_bytes(content + b"\0")
    assert "is not a readable herfast file" in load_error(path)


def test_a_flipped_bit_raises(good, folder):
    """Flip the bits of the header length, 1 bit per 7 header bytes, and 100 others."""
    content = bytearray(good.read_bytes())
    path = folder / "flipped"
    header_end = 8 + int.from_bytes(content[:8], "little")
    rng = random.Random(1)
    flips = [(byte, bit) for byte in range(8) for bit in range(8)]
    flips += [(byte, rng.randrange(8)) for byte in range(8, header_end, 7)]
    flips += [(rng.randrange(header_end, len(content)), rng.randrange(8)) for _ in range(100)]
    for byte, bit in flips:
        flipped = bytearray(content)
        flipped[byte] ^= 1 << bit
        path.write_bytes(flipped)
        assert "is not a readable herfast file" in load_error(path), (byte, bit)


class Trap:
    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 7, b"\0" * 1000, b"PK\3\4" + bytes(100), pickle.dumps(Trap()), b'{"n_bits": 9}' * 9],
    ids=["empty", "short", "zeros", "zip", "pickle", "json"],
)
def test_a_file_of_another_kind_raises(content, folder):
    path = folder / "other"
    path.write_bytes(content)
    assert "is not a readable herfast file" in load_error(path)


def write_sparse_file(path, header, size):
    """Write a sparse file with the start of a header of `size` bytes."""
    with path.open("wb") as file:
        file.write(size.to_bytes(8, "little") + header)
        file.truncate(8 + size)


@pytest.mark.parametrize("size", [2**30, 2**24 + 1, 2**24, 2**63])
def test_a_huge_header_is_not_read(size, folder):
    path = folder / "huge"
    write_sparse_file(path, b'{"a":', min(size, 2**30))
    with path.open("r+b") as file:
        file.write(size.to_bytes(8, "little"))
    tracemalloc.start()
    try:
        message = load_error(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert (f"its header size is {size:,} bytes, the maximum is 16,777,216" in message) == (size > 2**24)


def test_huge_tensors_after_a_header_with_a_wrong_digest_are_not_read(good, folder):
    """The file is sparse and has a size of one gigabyte, as its header states."""
    tensors = {"x": {"dtype": "U64", "shape": [2**27], "data_offsets": [0, 2**30]}}
    texts = {"herfast_format": "2"}
    path = folder / "holes"
    header = json.dumps({"__metadata__": texts, **tensors}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**30)
    tracemalloc.start()
    try:
        assert "its header is damaged" in load_error(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_changed_shape_in_the_header_raises(good, folder):
    """The tensor data is unchanged."""
    content = good.read_bytes()
    path = folder / "shape"
    path.write_bytes(content.replace(b'"shape":[18,8]', b'"shape":[8,18]'))
    assert path.read_bytes() != content
    assert "its header is damaged" in load_error(path)


def test_unreadable_metadata_raises(folder):
    path = folder / "metadata"
    for key, text in (
        ("seed", "{"),
        ("seed", "[" * 100_000),
        ("seed", "1" * 10_000),
        ("herfast_tensors", "{}"),
    ):
        texts = {"herfast_format": "2", "herfast_tensors": "{}", key: text}
        texts["herfast_header"] = tensor_file._header_digest(texts, {})
        save_file({}, path, texts)
        load_error(path)


# --- intact files with wrong contents -----------------------------------------------------------------------


def edit(part, **values):
    """Return a function that changes the metadata of a file in place."""

    def change(tensors, metadata):
        (metadata[part] if part else metadata).update(values)

    return change


def edit_tensor(name, function):
    def change(tensors, metadata):
        tensors[name] = function(tensors[name])

    return change


def remove(name):
    def change(tensors, metadata):
        (tensors if name in tensors else metadata).pop(name)

    return change


def with_last(value):
    """Return a function that copies an array and sets its last element."""

    def change(array):
        array = array.copy()
        array.reshape(-1)[-1] = value
        return array

    return change


def with_action_9(records):
    records = records.copy()
    records[3, -1] = records[3, -1] & ~np.uint64(0xFFFF) | np.uint64(9)
    return records


WRONG = {
    "weights missing": (remove("online.hidden1.weight"), "online.hidden1.weight is missing"),
    "target missing": (remove("target.hidden1.bias"), "target.hidden1.bias is missing"),
    "moment missing": (remove("moment2.hidden1.bias"), "moment2.hidden1.bias is missing"),
    "ring missing": (remove("ring.records"), "ring.records is missing"),
    "cursor missing": (remove("ring.cursor"), "ring.cursor is missing"),
    "history missing": (remove("history.loss"), "history.loss is missing"),
    "environment missing": (remove("environment"), "'environment' is missing"),
    "streams missing": (remove("streams"), "streams is missing"),
    "weights' shape": (
        edit_tensor("online.hidden1.weight", lambda a: a.T),
        r"should be float32 \(18, 8\), is",
    ),
    "weights' size": (edit_tensor("online.hidden1.bias", lambda a: a[1:]), r"should be float32 \(8,\), is"),
    "weights' dtype": (edit_tensor("online.hidden1.bias", np.float64), "should be float32 .*, is float64"),
    "NaN": (edit_tensor("online.hidden1.weight", with_last(np.nan)), "online.hidden1.weight is not finite"),
    "infinite": (
        edit_tensor("target.hidden1.weight", with_last(-np.inf)),
        "target.hidden1.weight is not finite",
    ),
    "moment negative": (
        edit_tensor("moment2.hidden1.bias", with_last(-1.0)),
        "moment2.hidden1.bias has a negative number, -1",
    ),
    "moment NaN": (
        edit_tensor("moment1.hidden1.bias", with_last(np.nan)),
        "moment1.hidden1.bias is not finite",
    ),
    "ring's dtype": (edit_tensor("ring.records", np.float64), "ring.records should be uint64 .*, is float64"),
    "ring's width": (
        edit_tensor("ring.records", lambda a: a[:, 1:]),
        r"ring.records should be uint64 \(50, 3\), is uint64 \(50, 2\)",
    ),
    "ring's rows": (edit_tensor("ring.records", lambda a: a[:-1]), r"does not match \d+ records"),
    "ring's meta": (edit_tensor("ring.records", with_last(2**64 - 1)), "not a ring of whole episodes"),
    "ring's action": (
        edit_tensor("ring.records", with_action_9),
        "contain action 9, but the highest allowed action is 8",
    ),
    "cursor's shape": (edit_tensor("ring.cursor", lambda a: a[:2]), r"ring.cursor should be int64 \(3,\)"),
    "cursor": (edit_tensor("ring.cursor", lambda a: a + 1), "is not valid for a ring of 50|does not match"),
    "history's rows": (edit_tensor("history.loss", lambda a: a[:-1]), "history columns must be equally long"),
    "history's dtype": (edit_tensor("history.updates", np.float64), "history.updates should be int64"),
    "history's shape": (edit_tensor("history.epoch", lambda a: a[None]), "history"),
    "history decreases": (
        edit_tensor("history.env_steps", with_last(0)),
        "history.env_steps should start at 0 or above and never",
    ),
    "history negative": (
        edit_tensor("history.episodes", lambda a: a - 1000),
        "history.episodes should start at 0 or above and never",
    ),
    "history's steps": (edit_tensor("history.env_steps", with_last(2**63 - 1)), "env_steps must be from 0"),
    "more tensors": (lambda tensors, metadata: tensors.update(x=np.zeros(3)), "'x' is unknown"),
    "more metadata": (edit(None, x=1), "'x' is unknown"),
    "another size": (edit("environment", n_bits=8), "online.hidden1.weight should be"),
    "no size": (edit("environment", n_bits=0), "n_bits must be from 1 to 65,535, got 0"),
    "no integer": (edit("environment", n_bits="9"), "n_bits must be an integer"),
    "unknown preset": (edit(None, preset="slow"), "preset"),
    "no seed": (edit(None, seed=None), "seed must be an integer"),
    "negative seed": (edit(None, seed=-1), "seed must be from 0"),
    "unknown field": (edit("config", speed=3), "speed"),
    "field's value": (edit("config", gamma=1.5), "gamma must be"),
    "field's type": (edit("config", hidden="wide"), "hidden must be"),
    "preset in config": (edit("config", preset="fast"), "preset"),
    "field missing": (lambda tensors, metadata: metadata["config"].pop("gamma"), "'gamma' is missing"),
    "too small a ring": (edit("config", capacity=9), "capacity must be at least max_steps"),
    "updates": (edit("counters", updates=-1), "updates must be from 0"),
    "too many updates": (edit("counters", updates=2**61), "updates must be from 0"),
    "solved": (edit("counters", solved="no"), "solved must be True or False, got 'no'"),
    "updates' type": (edit("counters", updates=1.5), "updates must be an integer"),
    "a stream": (edit("streams", REPLAY={"bit_generator": "MT19937"}), "PCG64|bit_generator|state"),
    "a stream's state": (edit("streams", REPLAY=None), "stat"),
    "an even stream": (
        lambda tensors, metadata: metadata["streams"]["REPLAY"]["state"].update(inc=0),
        "stream REPLAY",
    ),
    "settings of another kind": (edit(None, config=[1]), "does not hold an agent"),
    "environment of another kind": (edit(None, environment=7), "does not hold an agent"),
}


def write_changed_file(good, path, change):
    tensors, metadata = copy.deepcopy(read_tensors(good))
    change(tensors, metadata)
    tensor_file.write_tensors(path, tensors, metadata)
    return path


@pytest.mark.parametrize("name", WRONG)
def test_a_file_with_wrong_contents_raises(name, good, folder):
    change, expected = WRONG[name]
    message = load_error(write_changed_file(good, folder / "wrong", change))
    assert message.startswith(f"{folder / 'wrong'} does not hold an agent: ")
    assert re.search(expected, message), message


def test_a_file_of_an_agent_that_needs_too_much_memory_raises(good, folder):
    path = write_changed_file(good, folder / "large", edit("config", capacity=2**40))
    assert "lower capacity" in load_error(path, MemoryError)


def test_an_agent_that_is_not_finite_is_not_saved(good, folder):
    """An existing file is kept, and no new file is written."""
    before = sorted(path.name for path in folder.iterdir())
    for which in ("online", "target", "moment1", "moment2"):
        agent = Agent.load(good)
        agent.network.parameters(which)["hidden1.bias"][0] = np.inf
        for path in (good, folder / "none"):
            with pytest.raises(ValueError, match="weights are not finite, so nothing was saved"):
                agent.save(path)
    assert Agent.load(good).cycles == 4
    assert sorted(path.name for path in folder.iterdir()) == before


def test_the_unchanged_file_is_loaded(good, folder):
    assert Agent.load(write_changed_file(good, folder / "unchanged", edit(None))).cycles == 4


# --- random changes -----------------------------------------------------------------------------------------


def load_or_none(path):
    """Return the loaded agent, or None after checking the error."""
    try:
        return Agent.load(path)
    except (ValueError, MemoryError) as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    return None


def check_agent_if_loaded(path):
    """Check that a loaded agent trains and can be saved, unless training diverges."""
    agent = load_or_none(path)
    if agent is not None:
        with contextlib.suppress(FloatingPointError):
            agent.learn(total_timesteps=1)
            agent.save(path, replay=True)


random_examples = settings(max_examples=300, deadline=None, derandomize=True, database=None)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("9"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@random_examples
@given(data=st.data())
def test_random_bytes_in_the_file_raise(data, good, folder):
    content = bytearray(good.read_bytes())
    header_end = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, header_end) | st.integers(0, len(content)))
        length = data.draw(st.integers(0, 20))
        content[start : start + length] = data.draw(st.binary(max_size=20))
    (folder / "bytes").write_bytes(content)
    same = bytes(content) == good.read_bytes()
    assert (load_or_none(folder / "bytes") is not None) == same


@random_examples
@given(data=st.data())
def test_a_random_value_in_the_metadata_raises_or_loads_a_working_agent(data, good, folder):
    """The digest of the file is correct."""
    tensors, metadata = read_tensors(good)
    parent = metadata
    key = data.draw(st.sampled_from(sorted(parent)))
    while isinstance(parent[key], dict) and data.draw(st.booleans()):
        parent = parent[key]
        key = data.draw(st.sampled_from(sorted(parent)))
    parent[key] = data.draw(json_values)
    tensor_file.write_tensors(folder / "value", tensors, metadata)
    check_agent_if_loaded(folder / "value")


@random_examples
@given(data=st.data())
def test_a_random_tensor_raises_or_loads_a_working_agent(data, good, folder):
    tensors, metadata = read_tensors(good)
    name = data.draw(st.sampled_from(sorted(tensors)))
    dtype = data.draw(
        st.sampled_from([tensors[name].dtype, *map(np.dtype, ["u8", "f4", "i8", "u1", "?", "f2"])])
    )
    shape = data.draw(st.sampled_from([tensors[name].shape, (), (0,), (4,), (50, 3), (1, 2, 3)]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).bytes(int(np.prod(shape, dtype=int)) * dtype.itemsize)
    if dtype.kind == "b":
        values = bytes(byte & 1 for byte in values)
    tensors[name] = np.frombuffer(values, dtype).reshape(shape)
    tensor_file.write_tensors(folder / "array", tensors, metadata)
    check_agent_if_loaded(folder / "array")
