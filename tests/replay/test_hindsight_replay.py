"""The ring and its minibatches against a twin that draws from the same raw random outputs."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ring as ref
from support.trajectories import (
    add_to_twin,
    assert_same_samples,
    numbered_episodes,
    random_episodes,
    records_oldest_first,
    twin_records,
)

from herfast import HindsightReplay, Trajectories, _core
from herfast.common.seeding import Role, stream

SIZES = [*range(1, 10), 63, 64, 65, 127, 128, 129, 1000]
STRATEGIES = ["future", "final", "episode", "random"]


def both(capacity, n_bits, n_goal_bits=None, *, additions=4, seed=0, max_steps=6, **options):
    rng = np.random.default_rng((capacity, n_bits, seed))
    replay = HindsightReplay(capacity, n_bits, n_goal_bits, seed=seed, **options)
    twin = ref.Ring(capacity, n_goal_bits or n_bits)
    for _ in range(additions):
        trajectories = random_episodes(rng, n_bits, n_goal_bits, max_steps=max_steps)
        replay.add(trajectories)
        add_to_twin(twin, trajectories)
    return replay, twin


def test_inputs_vary():
    rng = np.random.default_rng(0)
    one, two = random_episodes(rng, 50, n_episodes=200), random_episodes(rng, 50, n_episodes=200)
    assert (one.goals != two.goals).all()
    assert set(one.lengths) == set(range(1, 7))
    ends = one.states[one.lengths, np.arange(200)]
    assert 50 < (ends == one.goals).sum() < 150


@pytest.mark.parametrize("n_bits", SIZES)
@pytest.mark.parametrize("capacity", [7, 8, 23, 1000])
def test_the_ring_holds_what_its_twin_holds(n_bits, capacity):
    rng = np.random.default_rng(n_bits)
    n_goal_bits = n_bits // 2 + 1
    replay, twin = HindsightReplay(capacity, n_bits, n_goal_bits), ref.Ring(capacity, n_goal_bits)
    for _ in range(5):
        trajectories = random_episodes(rng, n_bits, n_goal_bits)
        replay.add(trajectories)
        add_to_twin(twin, trajectories)
        np.testing.assert_array_equal(records_oldest_first(replay), twin_records(twin, n_bits))
        assert len(replay) == twin.n_transitions()
        assert replay.cursor[1] == len(twin.records)
        assert _core.ring_is_valid(replay.records, replay.cursor, n_bits, n_goal_bits)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("k", [0, 1, 4])
@pytest.mark.parametrize("n_bits", SIZES)
def test_samples_equal_the_twins_draw_for_draw(strategy, k, n_bits):
    for capacity in (9, 500):
        replay, twin = both(capacity, n_bits, strategy=strategy, k=k)
        raw = stream(0, Role.REPLAY).bit_generator
        assert_same_samples(replay, twin, raw)
        assert replay.rng.bit_generator.random_raw() == raw.random_raw()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("n_bits", "n_goal_bits"), [(9, 1), (64, 63), (65, 64), (129, 65), (200, 70), (128, 64)])
def test_goals_may_be_shorter_than_states(strategy, n_bits, n_goal_bits):
    replay, twin = both(40, n_bits, n_goal_bits, strategy=strategy, additions=9)
    batches = assert_same_samples(replay, twin, stream(0, Role.REPLAY).bit_generator)
    assert batches.goals.shape[-1] == -(-n_goal_bits // 64)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_step_episodes(strategy):
    replay, twin = both(11, 50, strategy=strategy, max_steps=1)
    batches = assert_same_samples(replay, twin, stream(0, Role.REPLAY).bit_generator)
    assert batches.terminated.any()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    capacity=st.integers(8, 40),
    n_bits=st.integers(1, 140),
    strategy=st.sampled_from(STRATEGIES),
    k=st.integers(0, 5),
    additions=st.integers(1, 6),
    max_steps=st.integers(1, 7),
    seed=st.integers(0, 2**32),
)
def test_any_ring_equals_its_twin(capacity, n_bits, strategy, k, additions, max_steps, seed):
    options = {"strategy": strategy, "k": k, "max_steps": max_steps, "additions": additions}
    replay, twin = both(capacity, n_bits, seed=seed, **options)
    np.testing.assert_array_equal(records_oldest_first(replay), twin_records(twin, n_bits))
    if len(replay):
        assert_same_samples(replay, twin, stream(seed, Role.REPLAY).bit_generator)


def test_an_addition_larger_than_the_ring_leaves_its_last_records():
    replay = HindsightReplay(25, 50)
    replay.add(numbered_episodes(9, 10))
    assert records_oldest_first(replay)[:, 0].tolist() == [g << 16 | t for g in range(9) for t in range(11)][-25:]
    assert len(replay) == 10 + 10 + 2


def test_the_same_seed_gives_the_same_bits_and_its_state_can_be_carried_over():
    one, two = both(23, 50, seed=3)[0], both(23, 50, seed=3)[0]
    assert_equal_batches(one.sample(2, 50), two.sample(2, 50))
    other = HindsightReplay(23, 50, seed=99)
    other.load_state_dict({"records": one.records, "cursor": one.cursor})
    other.rng = pickle.loads(pickle.dumps(one.rng))
    one.add(numbered_episodes(2, 5))
    other.add(numbered_episodes(2, 5))
    assert_equal_batches(one.sample(2, 50), other.sample(2, 50))
    assert (one.sample(1, 50).states != both(23, 50, seed=4)[0].sample(1, 50).states).any()


def assert_equal_batches(one, two):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


MARRED = [  # the age of a record of `both(23, 50)`, and what is added to its meta word
    (5, 1 << 48),  # bits that mean nothing
    (5, 1 << 16),  # another step than the one before
    (5, 1 << 32),  # another number of steps left
    (-1, -1 << 32),
]


def marred(replay, age, difference):
    """The records of a full ring, but for one meta word."""
    records = replay.records.copy()
    records[(replay.cursor[0] + age) % len(records), -1] += np.uint64(difference % 2**64)
    return records


def test_only_whole_rings_are_restored():
    full, _ = both(23, 50)
    part = HindsightReplay(1000, 50)
    part.add(numbered_episodes(3, 5))
    copy = HindsightReplay(1000, 50)
    copy.load_state_dict({"records": part.records[:18], "cursor": part.cursor})  # the stored rows are enough
    np.testing.assert_array_equal(copy.records, part.records)
    other = HindsightReplay(23, 50)
    for records, cursor, message in (
        (full.records, [0, 23, 5], "not a ring of whole episodes"),
        (full.records, [23, 23, 5], "none of a ring of 23 records"),
        (full.records, [0, 24, 5], "does not go with"),
        (full.records[:5], full.cursor, "does not go with"),
        (full.records[:, :2], full.cursor, "3 words a row"),
        (np.ones_like(full.records), full.cursor, "not a ring of whole episodes"),
        *((marred(full, age, meta), full.cursor, "not a ring of whole episodes") for age, meta in MARRED),
    ):
        with pytest.raises(ValueError, match=message):
            other.load_state_dict({"records": records, "cursor": np.array(cursor)})
    assert len(other) == 0


@pytest.mark.parametrize("lengths", [(3, 4), (4, 3)])
def test_an_episode_begins_with_its_first_step(lengths):
    """Where the one before it ends, and where the ring does; only the oldest of a full ring may have lost it."""
    whole = HindsightReplay(sum(lengths) + 2, 50)
    for length in lengths:
        whole.add(numbered_episodes(1, length))
    sizes = (50, 50)
    assert _core.ring_is_valid(whole.records, whole.cursor, *sizes)
    for age in range(len(whole.records)):
        records = whole.records.copy()
        end = age + int(records[age, -1] >> np.uint64(32))
        records[age : end + 1, -1] += np.uint64(1 << 16)  # all that is left of its episode is a step later
        assert _core.ring_is_valid(records, whole.cursor, *sizes) == (age == 0)
    part = HindsightReplay(100, 50)
    part.add(numbered_episodes(1, 4))
    part.records[:5, -1] += np.uint64(1 << 16)
    assert not _core.ring_is_valid(part.records, part.cursor, *sizes)
    part.records[:, -1] = 0
    assert not _core.ring_is_valid(part.records[:1].repeat(5, 0), np.array([0, 5, 0]), *sizes), "no steps at all"


def test_strides_and_read_only_arrays_are_welcome():
    trajectories = random_episodes(np.random.default_rng(0), 130)
    one, two = HindsightReplay(100, 130, seed=0), HindsightReplay(100, 130, seed=0)
    one.add(trajectories)
    strided = Trajectories(*(np.repeat(array, 2, axis=-1)[..., ::2] for array in trajectories))
    for array in strided:
        array.setflags(write=False)
    two.add(strided)
    np.testing.assert_array_equal(one.records, two.records)
    two.records.setflags(write=False)
    assert_equal_batches(one.sample(1, 9), two.sample(1, 9))


def test_layout_of_minibatches():
    replay, _ = both(50, 130, 65)
    batch = replay.sample(2, 3)
    assert [array.shape for array in batch] == [(2, 3, 3), (2, 3, 3), (2, 3, 2), (2, 3), (2, 3), (2, 3), (2, 3)]
    assert [array.dtype.name for array in batch] == ["uint64"] * 3 + ["uint16", "float32", "bool", "int32"]


def changed(**arrays):
    return numbered_episodes(3, 5)._replace(**arrays)


@pytest.mark.parametrize(
    ("trajectories", "error", "message"),
    [
        (changed(lengths=np.array([5, 0, 5], np.int32)), ValueError, r"lengths\[1\] must be from 1 to 5, got 0"),
        (changed(lengths=np.array([5, 5, 6], np.int32)), ValueError, r"lengths\[2\] must be from 1 to 5, got 6"),
        (changed(lengths=np.array([5, 5], np.int32)), ValueError, r"lengths must have shape \(3,\), got \(2,\)"),
        (changed(lengths=np.array([5, 5, 5])), TypeError, "lengths must be .* int32, got dtype int64"),
        (changed(goals=np.full((3, 1), 2**50, np.uint64)), ValueError, "episode 0 has a 1 at or past bit 50"),
        (changed(goals=np.zeros((3, 2), np.uint64)), ValueError, r"goals must have shape \(3, 1\), got \(3, 2\)"),
        (changed(states=np.full((6, 3, 1), 2**63, np.uint64)), ValueError, "episode 0 has a 1 at or past bit 50"),
        (changed(states=np.zeros((5, 3, 1), np.uint64)), ValueError, r"states must have shape \(6, 3, 1\), got \(5, "),
        (changed(states=np.zeros((6, 3, 1))), TypeError, "states must be .* uint64, got dtype float64"),
        (changed(states=np.zeros((6, 3), np.uint64)), ValueError, r"states must have 3 axes, got shape \(6, 3\)"),
        (changed(actions=np.zeros((5, 3), np.int64)), TypeError, "actions must be .* uint16, got dtype int64"),
        (
            numbered_episodes(1, 40),
            ValueError,
            "an episode of 40 steps needs 41 records, the ring has 40; raise capacity",
        ),
    ],
)
def test_add_says_what_is_wrong_and_stores_nothing(trajectories, error, message):
    replay = HindsightReplay(40, 50)
    replay.add(numbered_episodes(1, 3))
    records, cursor = replay.records.copy(), replay.cursor.copy()
    with pytest.raises(error, match=message):
        replay.add(trajectories)
    np.testing.assert_array_equal(replay.records, records)
    np.testing.assert_array_equal(replay.cursor, cursor)


def test_a_stray_bit_in_the_last_state_is_found_and_one_beyond_it_is_not():
    trajectories = numbered_episodes(3, 5)._replace(lengths=np.array([5, 2, 5], np.int32))
    trajectories.states[3, 1] = 2**50
    replay = HindsightReplay(40, 50)
    replay.add(trajectories)
    trajectories.states[2, 1] = 2**50
    with pytest.raises(ValueError, match="episode 1 has a 1"):
        replay.add(trajectories)


def test_the_longest_episode():
    replay = HindsightReplay(70_000, 50, seed=0)
    states = np.arange(65_536, dtype=np.uint64).reshape(-1, 1, 1)
    goals, lengths = np.full((1, 1), 2**50 - 1, np.uint64), np.array([65_535], np.int32)
    replay.add(Trajectories(states, np.zeros((65_535, 1), np.uint16), goals, lengths))
    assert len(replay) == 65_535
    assert _core.ring_is_valid(replay.records, replay.cursor, 50, 50)
    batch = replay.sample(10, 100)
    np.testing.assert_array_equal(batch.next_states, batch.states + 1)
    too_long = Trajectories(np.zeros((65_537, 1, 1), np.uint64), np.zeros((65_536, 1), np.uint16), goals, lengths)
    with pytest.raises(ValueError, match="at most 65,535 steps, got room for 65,536"):
        replay.add(too_long)


def test_an_empty_ring_says_so():
    replay = HindsightReplay(10, 50)
    assert len(replay) == 0
    with pytest.raises(ValueError, match="the replay is empty; add trajectories first"):
        replay.sample(1, 1)
    replay.add(numbered_episodes(0, 3))
    assert len(replay) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"capacity": 1}, ValueError, "capacity must be from 2 to .*, got 1"),
        ({"capacity": 1e6}, TypeError, r"capacity must be an integer .*, got 1000000\.0"),
        ({"n_state_bits": 0}, ValueError, "n_state_bits must be from 1 to 65,535, got 0"),
        ({"n_goal_bits": 51}, ValueError, "n_goal_bits must be from 1 to 50, got 51"),
        ({"n_goal_bits": 0}, ValueError, "n_goal_bits must be from 1 to 50, got 0"),
        ({"k": -1}, ValueError, "k must be from 0 to 1,000,000, got -1"),
        ({"k": True}, TypeError, "k must be an integer .*, got True"),
        ({"strategy": "past"}, ValueError, "strategy must be one of 'future', .*, 'random', got 'past'"),
        ({"seed": -1}, ValueError, "seed must be None or an integer >= 0, got -1"),
    ],
)
def test_a_wrong_argument_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        HindsightReplay(**{"capacity": 10, "n_state_bits": 50} | arguments)


@pytest.mark.parametrize("arguments", [(0, 1), (1, 0), (-1, 1), (1, 2**24 + 1)])
def test_a_batch_of_no_size_is_refused(arguments):
    with pytest.raises(ValueError, match=r"(n_batches|batch_size) must be from 1 to 16,777,216, got"):
        both(50, 50)[0].sample(*arguments)


def test_the_core_trusts_no_cursor():
    replay, _ = both(23, 50)
    sizes = (50, 50)
    for cursor in ([-1, 23, 5], [23, 23, 5], [0, 24, 5], [0, -1, 0], [3, 5, 2], [0, 23, 24], [0, 23, -1]):
        with pytest.raises(ValueError, match=r"cursor .* is none of a ring of 23 records"):
            _core.ring_is_valid(replay.records, np.array(cursor), *sizes)
    with pytest.raises(ValueError, match=r"records must have shape \(23, 3\), got \(23, 2\)"):
        _core.ring_is_valid(np.zeros((23, 2), np.uint64), replay.cursor, *sizes)
    with pytest.raises(TypeError, match=r"bit_generator must be a numpy\.random\.BitGenerator, got Generator"):
        _core.ring_sample(replay.records, replay.cursor, *sizes, "final", 1, replay.rng, *replay.sample(1, 1))


# --- state_dict and load_state_dict -----------------------------------------------------------------------------------

CONTENTS = {"empty": 0, "in part": 1, "overwritten": 9}  # additions of up to 35 records to a ring of 60


def contents(replay):
    return replay.records.tobytes(), replay.cursor.tolist(), replay.rng.bit_generator.state


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(("n_bits", "n_goal_bits"), [(9, 9), (70, 65)])
def test_a_restored_replay_holds_and_samples_what_the_saved_one_does(n_bits, n_goal_bits, name):
    saved, _ = both(60, n_bits, n_goal_bits, additions=CONTENTS[name], seed=1)
    restored, _ = both(60, n_bits, n_goal_bits, additions=5, seed=2)
    rng = restored.rng.bit_generator.state
    state = saved.state_dict()
    size = saved.cursor[1]
    assert (size == 0, size == 60) == (name == "empty", name == "overwritten")
    assert list(state) == ["records", "cursor"]
    assert len(state["records"]) == size
    assert np.shares_memory(state["records"], saved.records) == (size > 0)
    restored.load_state_dict(state)
    assert contents(restored) == (saved.records.tobytes(), saved.cursor.tolist(), rng)
    restored.rng.bit_generator.state = saved.rng.bit_generator.state
    if size:
        assert_equal_batches(restored.sample(2, 50), saved.sample(2, 50))
    trajectories = random_episodes(np.random.default_rng(3), n_bits, n_goal_bits)
    held = contents(saved)
    restored.add(trajectories)
    assert contents(saved) == held, "each has its own memory"
    saved.add(trajectories)
    assert contents(restored) == contents(saved)
    assert_equal_batches(restored.sample(2, 50), saved.sample(2, 50))


def test_stored_actions_must_be_below_n_actions():
    saved, _ = both(60, 9, seed=1)
    highest = max(int(record[-1] & np.uint64(0xFFFF)) for record in saved.records[: saved.cursor[1]])
    assert highest == 8
    replay, _ = both(60, 9, seed=2)
    before = contents(replay)
    for n_actions, error, message in (
        (8, ValueError, "has an action 8, where 7 is the highest"),
        (1, ValueError, "has an action 8, where 0 is the highest"),
        (0, ValueError, "n_actions must be from 1 to 65,536, got 0"),
        (65_537, ValueError, "n_actions must be from 1 to 65,536, got 65,537"),
        (9.0, TypeError, "n_actions must be an integer from 1 to 65,536, got 9.0"),
    ):
        with pytest.raises(error, match=message):
            replay.load_state_dict(saved.state_dict(), n_actions=n_actions)
        assert contents(replay) == before
    replay.load_state_dict(saved.state_dict(), n_actions=9)
    assert contents(replay)[:2] == contents(saved)[:2]
    empty = HindsightReplay(60, 9)
    replay.load_state_dict(empty.state_dict(), n_actions=1)
    assert len(replay) == 0


WRONG_STATES = {
    "records missing": (lambda state: state.pop("records"), ValueError, "^records is missing$"),
    "cursor missing": (lambda state: state.pop("cursor"), ValueError, "^cursor is missing$"),
    "unknown": (lambda state: state.update(rng=3), ValueError, "^'rng' is unknown$"),
    "rows missing": (lambda state: state.update(records=state["records"][1:]), ValueError, "does not go with records"),
    "dtype": (lambda state: state.update(records=state["records"].astype("i8")), TypeError, "records must be .*uint64"),
    "step count": (lambda state: state["cursor"].__setitem__(2, 0), ValueError, "not a ring of whole episodes"),
    "last record": (lambda state: state["records"].__setitem__((-1, -1), 2**63), ValueError, "whole episodes"),
}


@pytest.mark.parametrize("wrong", WRONG_STATES)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(wrong):
    change, error, message = WRONG_STATES[wrong]
    state = {name: array.copy() for name, array in both(60, 9, seed=1)[0].state_dict().items()}
    replay, _ = both(60, 9, seed=2)
    change(state)
    before, records, cursor = contents(replay), replay.records, replay.cursor
    with pytest.raises(error, match=message):
        replay.load_state_dict(state)
    assert contents(replay) == before
    assert replay.records is records
    assert replay.cursor is cursor
    with pytest.raises(TypeError, match=r"^state must be a dict, got \[\]$"):
        replay.load_state_dict([])
