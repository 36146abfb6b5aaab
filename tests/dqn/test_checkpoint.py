"""Files that hold no agent, or no longer: each is refused in one sentence that names it, and nothing else happens."""

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

from herfast import Agent, BitFlip
from herfast.common import tensor_file

SMALL = {"hidden": (8,), "episodes_per_cycle": 4, "updates_per_cycle": 3, "cycles_per_epoch": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def good(folder):
    """A full file, of an agent whose ring has gone around."""
    agent = Agent(BitFlip(9), "fast", 0, **SMALL, capacity=50).learn(epochs=2)
    agent.save(folder / "good.safetensors", replay=True)
    return folder / "good.safetensors"


def reason(path, error=ValueError):
    """Why `path` is not loaded."""
    with pytest.raises(error) as caught:
        Agent.load(path)
    assert type(caught.value) is error
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


# --- damage -----------------------------------------------------------------------------------------------------------


def test_a_file_cut_off_anywhere(good, folder):
    content, path = good.read_bytes(), folder / "cut"
    for percent in range(100):
        path.write_bytes(content[: len(content) * percent // 100])
        assert "is not a readable herfast file" in reason(path)
    path.write_bytes(content + b"\0")
    assert "is not a readable herfast file" in reason(path)


def test_a_bit_flipped_anywhere(good, folder):
    """All of the header's length, one in every 7th byte of the header, and a hundred of what follows."""
    content, path = bytearray(good.read_bytes()), folder / "flipped"
    header, rng = 8 + int.from_bytes(content[:8], "little"), random.Random(1)
    places = [(byte, bit) for byte in range(8) for bit in range(8)]
    places += [(byte, rng.randrange(8)) for byte in range(8, header, 7)]
    places += [(rng.randrange(header, len(content)), rng.randrange(8)) for _ in range(100)]
    for byte, bit in places:
        flipped = bytearray(content)
        flipped[byte] ^= 1 << bit
        path.write_bytes(flipped)
        assert "is not a readable herfast file" in reason(path), (byte, bit)


class Trap:
    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 7, b"\0" * 1000, b"PK\3\4" + bytes(100), pickle.dumps(Trap()), b'{"n_bits": 9}' * 9],
    ids=["empty", "short", "zeros", "zip", "pickle", "json"],
)
def test_another_kind_of_file(content, folder):
    path = folder / "other"
    path.write_bytes(content)
    assert "is not a readable herfast file" in reason(path)


def with_header(path, header, size):
    """A sparse file of `size` bytes that says how long its header is, and begins it."""
    with path.open("wb") as file:
        file.write(size.to_bytes(8, "little") + header)
        file.truncate(8 + size)


@pytest.mark.parametrize("size", [2**30, 2**24 + 1, 2**24, 2**63])
def test_a_huge_header_takes_no_memory(size, folder):
    path = folder / "huge"
    with_header(path, b'{"a":', min(size, 2**30))
    with path.open("r+b") as file:
        file.write(size.to_bytes(8, "little"))
    tracemalloc.start()
    try:
        said = reason(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert (f"its header should take {size:,} bytes, 16,777,216 are the most" in said) == (size > 2**24)


def test_huge_tensors_behind_a_false_header_are_not_read(good, folder):
    """The file is a gigabyte, but for holes, and its header says so, but not by its digest."""
    tensors, texts = {"x": {"dtype": "U64", "shape": [2**27], "data_offsets": [0, 2**30]}}, {"herfast_format": "2"}
    path, header = folder / "holes", json.dumps({"__metadata__": texts, **tensors}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**30)
    tracemalloc.start()
    try:
        assert "its header was damaged" in reason(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_shape_changed_in_the_header(good, folder):
    """The same bytes in the same place, read in another shape."""
    content, path = good.read_bytes(), folder / "shape"
    path.write_bytes(content.replace(b'"shape":[18,8]', b'"shape":[8,18]'))
    assert path.read_bytes() != content
    assert "its header was damaged" in reason(path)


def test_metadata_that_nobody_can_read(folder):
    path = folder / "metadata"
    for key, text in (("seed", "{"), ("seed", "[" * 100_000), ("seed", "1" * 10_000), ("herfast_tensors", "{}")):
        texts = {"herfast_format": "2", "herfast_tensors": json.dumps(tensor_file._digests({})), key: text}
        texts["herfast_header"] = tensor_file._header_digest(texts, {})
        save_file({}, path, texts)
        reason(path)


# --- whole files of something else ------------------------------------------------------------------------------------


def change(what, **new):
    def changed(tensors, metadata):
        (metadata[what] if what else metadata).update(new)

    return changed


def tensor(name, make):
    def changed(tensors, metadata):
        tensors[name] = make(tensors[name])

    return changed


def without(name):
    def changed(tensors, metadata):
        tensors.pop(name) if name in tensors else metadata.pop(name)

    return changed


def put(value):
    def changed(array):
        array = array.copy()
        array.reshape(-1)[-1] = value
        return array

    return changed


def with_action_9(records):
    records = records.copy()
    records[3, -1] = records[3, -1] & ~np.uint64(0xFFFF) | np.uint64(9)
    return records


WRONG = {
    "weights missing": (without("online.hidden1.weight"), "online.hidden1.weight is missing"),
    "target missing": (without("target.hidden1.bias"), "target.hidden1.bias is missing"),
    "moment missing": (without("moment2.hidden1.bias"), "moment2.hidden1.bias is missing"),
    "ring missing": (without("ring.records"), "ring.records is missing"),
    "cursor missing": (without("ring.cursor"), "ring.cursor is missing"),
    "history missing": (without("history.loss"), "history.loss is missing"),
    "game missing": (without("environment"), "'environment' is missing"),
    "streams missing": (without("streams"), "streams is missing"),
    "weights' shape": (tensor("online.hidden1.weight", lambda array: array.T), r"should be float32 \(18, 8\), is"),
    "weights' size": (tensor("online.hidden1.bias", lambda array: array[1:]), r"should be float32 \(8,\), is"),
    "weights' dtype": (tensor("online.hidden1.bias", np.float64), "should be float32 .*, is float64"),
    "NaN": (tensor("online.hidden1.weight", put(np.nan)), "online.hidden1.weight is not finite"),
    "infinite": (tensor("target.hidden1.weight", put(-np.inf)), "target.hidden1.weight is not finite"),
    "moment negative": (tensor("moment2.hidden1.bias", put(-1.0)), "moment2.hidden1.bias has a negative number, -1"),
    "moment NaN": (tensor("moment1.hidden1.bias", put(np.nan)), "moment1.hidden1.bias is not finite"),
    "ring's dtype": (tensor("ring.records", np.float64), "ring.records should be uint64 .*, is float64"),
    "ring's width": (
        tensor("ring.records", lambda array: array[:, 1:]),
        r"ring.records should be uint64 \(50, 3\), is uint64 \(50, 2\)",
    ),
    "ring's rows": (tensor("ring.records", lambda array: array[:-1]), "does not go with records"),
    "ring's meta": (tensor("ring.records", put(2**64 - 1)), "not a ring of whole episodes"),
    "ring's action": (tensor("ring.records", with_action_9), "an action 9, where 8 is the highest"),
    "cursor's shape": (tensor("ring.cursor", lambda array: array[:2]), r"ring.cursor should be int64 \(3,\)"),
    "cursor": (tensor("ring.cursor", lambda array: array + 1), "is none of a ring of 50|does not go with"),
    "history's rows": (tensor("history.loss", lambda array: array[:-1]), "history columns must be equally long"),
    "history's dtype": (tensor("history.updates", np.float64), "history.updates should be int64"),
    "history's shape": (tensor("history.epoch", lambda array: array[None]), "history"),
    "history falls": (tensor("history.env_steps", put(0)), "history.env_steps should never fall"),
    "history negative": (tensor("history.episodes", lambda array: array - 1000), "history.episodes should never fall"),
    "history's steps": (tensor("history.env_steps", put(2**63 - 1)), "env_steps must be from 0"),
    "more tensors": (lambda tensors, metadata: tensors.update(x=np.zeros(3)), "'x' is unknown"),
    "more metadata": (change(None, x=1), "'x' is unknown"),
    "another game": (change("environment", id="Maze"), "its game is 'Maze', not 'BitFlip'"),
    "another size": (change("environment", n_bits=8), "online.hidden1.weight should be"),
    "no size": (change("environment", n_bits=0), "n_bits must be from 1 to 65,535, got 0"),
    "no integer": (change("environment", n_bits="9"), "n_bits must be an integer"),
    "unknown preset": (change(None, preset="slow"), "preset"),
    "no seed": (change(None, seed=None), "seed must be an integer"),
    "negative seed": (change(None, seed=-1), "seed must be from 0"),
    "unknown field": (change("config", speed=3), "speed"),
    "field's value": (change("config", gamma=1.5), "gamma must be"),
    "field's type": (change("config", hidden="wide"), "hidden must be"),
    "preset in config": (change("config", preset="fast"), "preset"),
    "field missing": (lambda tensors, metadata: metadata["config"].pop("gamma"), "'gamma' is missing"),
    "too small a ring": (change("config", capacity=9), "capacity must be at least max_steps"),
    "updates": (change("counters", updates=-1), "updates must be from 0"),
    "too many updates": (change("counters", updates=2**61), "updates must be from 0"),
    "solved": (change("counters", solved="no"), "solved must be True or False, got 'no'"),
    "updates' type": (change("counters", updates=1.5), "updates must be an integer"),
    "a stream": (change("streams", REPLAY={"bit_generator": "MT19937"}), "PCG64|bit_generator|state"),
    "a stream's state": (change("streams", REPLAY=None), "stat"),
    "an even stream": (lambda tensors, metadata: metadata["streams"]["REPLAY"]["state"].update(inc=0), "stream REPLAY"),
    "settings of another kind": (change(None, config=[1]), "does not hold an agent"),
    "game of another kind": (change(None, environment=7), "does not hold an agent"),
}


def changed_file(good, path, changed):
    tensors, metadata = copy.deepcopy(tensor_file.read_tensors(good))
    changed(tensors, metadata)
    tensor_file.write_tensors(path, tensors, metadata)
    return path


@pytest.mark.parametrize("name", WRONG)
def test_a_file_whose_contents_do_not_fit(name, good, folder):
    changed, said = WRONG[name]
    message = reason(changed_file(good, folder / "wrong", changed))
    assert message.startswith(f"{folder / 'wrong'} does not hold an agent: ")
    assert re.search(said, message), message


def test_a_file_of_an_agent_too_large_for_this_machine(good, folder):
    path = changed_file(good, folder / "large", change("config", capacity=2**40))
    assert "lower capacity" in reason(path, MemoryError)


def test_an_agent_that_is_not_finite_is_not_saved(good, folder):
    """Neither over a sound one's file nor where none is."""
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
    assert Agent.load(changed_file(good, folder / "unchanged", change(None))).cycles == 4


# --- what no list thinks of -------------------------------------------------------------------------------------------


def loads_or_is_refused(path):
    try:
        return Agent.load(path)
    except (ValueError, MemoryError) as error:
        said = str(error)
    assert str(path) in said
    assert "\n" not in said
    return None


def goes_on_if_loaded(path):
    """What is loaded learns and can be saved, unless it diverges and says so."""
    agent = loads_or_is_refused(path)
    if agent is not None:
        with contextlib.suppress(FloatingPointError):
            agent.learn(total_timesteps=1)
            agent.save(path, replay=True)


quietly = settings(max_examples=300, deadline=None, derandomize=True, database=None)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("9"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@quietly
@given(data=st.data())
def test_any_bytes_in_the_file(data, good, folder):
    content = bytearray(good.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, header) | st.integers(0, len(content)))
        length = data.draw(st.integers(0, 20))
        content[start : start + length] = data.draw(st.binary(max_size=20))
    (folder / "bytes").write_bytes(content)
    same = bytes(content) == good.read_bytes()
    assert (loads_or_is_refused(folder / "bytes") is not None) == same


@quietly
@given(data=st.data())
def test_any_value_in_the_metadata(data, good, folder):
    """With a digest that is right. What is loaded nevertheless is an agent that works."""
    tensors, metadata = tensor_file.read_tensors(good)
    place, key = metadata, data.draw(st.sampled_from(sorted(metadata)))
    while isinstance(place[key], dict) and data.draw(st.booleans()):
        place, key = place[key], data.draw(st.sampled_from(sorted(place[key])))
    place[key] = data.draw(json_values)
    tensor_file.write_tensors(folder / "value", tensors, metadata)
    goes_on_if_loaded(folder / "value")


@quietly
@given(data=st.data())
def test_any_array_in_a_tensors_place(data, good, folder):
    tensors, metadata = tensor_file.read_tensors(good)
    name = data.draw(st.sampled_from(sorted(tensors)))
    dtype = data.draw(st.sampled_from([tensors[name].dtype, *map(np.dtype, ["u8", "f4", "i8", "u1", "?", "f2"])]))
    shape = data.draw(st.sampled_from([tensors[name].shape, (), (0,), (4,), (50, 3), (1, 2, 3)]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).bytes(int(np.prod(shape, dtype=int)) * dtype.itemsize)
    if dtype.kind == "b":
        values = bytes(byte & 1 for byte in values)
    tensors[name] = np.frombuffer(values, dtype).reshape(shape)
    tensor_file.write_tensors(folder / "array", tensors, metadata)
    goes_on_if_loaded(folder / "array")
