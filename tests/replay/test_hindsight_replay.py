"""Tests of the replay buffer against a reference.

The reference draws from the same raw random outputs.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ring as ref
from support.replay_pairs import assert_equal_batches, make_pair
from support.trajectories import (
    add_to_reference,
    assert_same_samples,
    numbered_episodes,
    random_episodes,
    records_oldest_first,
    reference_records,
)

from herfast import HindsightReplay, Trajectories, _core
from herfast.common.seeding import Role, stream

SIZES = [*range(1, 10), 63, 64, 65, 127, 128, 129, 1000]
STRATEGIES = ["future", "final", "episode", "random"]


def test_random_episodes_differ_in_length_and_about_half_reach_their_goal():
    rng = np.random.default_rng(0)
    one, two = (random_episodes(rng, 50, n_episodes=200) for _ in range(2))
    assert (one.goals != two.goals).all()
    assert set(one.lengths) == set(range(1, 7))
    ends = one.states[one.lengths, np.arange(200)]
    assert 50 < (ends == one.goals).sum() < 150


@pytest.mark.parametrize("n_bits", SIZES)
@pytest.mark.parametrize("capacity", [7, 8, 23, 1000])
def test_stored_records_equal_the_reference(n_bits, capacity):
    rng = np.random.default_rng(n_bits)
    n_goal_bits = n_bits // 2 + 1
    replay = HindsightReplay(capacity, n_bits, n_goal_bits)
    ring = ref.Ring(capacity, n_goal_bits)
    for _ in range(5):
        trajectories = random_episodes(rng, n_bits, n_goal_bits)
        replay.add(trajectories)
        add_to_reference(ring, trajectories)
        np.testing.assert_array_equal(records_oldest_first(replay), reference_records(ring, n_bits))
        assert len(replay) == ring.n_transitions()
        assert replay.cursor[1] == len(ring.records)
        assert _core.ring_is_valid(replay.records, replay.cursor, n_bits, n_goal_bits)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("k", [0, 1, 4])
@pytest.mark.parametrize("n_bits", SIZES)
def test_samples_equal_the_reference_draw_for_draw(strategy, k, n_bits):
    for capacity in (9, 500):
        replay, ring = make_pair(capacity, n_bits, strategy=strategy, k=k)
        raw = stream(0, Role.REPLAY).bit_generator
        assert_same_samples(replay, ring, raw)
        assert replay.rng.bit_generator.random_raw() == raw.random_raw()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("n_bits", "n_goal_bits"), [(9, 1), (64, 63), (65, 64), (129, 65), (200, 70), (128, 64)]
)
def test_goals_may_be_shorter_than_states(strategy, n_bits, n_goal_bits):
    replay, ring = make_pair(40, n_bits, n_goal_bits, strategy=strategy, additions=9)
    batches = assert_same_samples(replay, ring, stream(0, Role.REPLAY).bit_generator)
    assert batches.goals.shape[-1] == -(-n_goal_bits // 64)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_samples_of_one_step_episodes_equal_the_reference(strategy):
    replay, ring = make_pair(11, 50, strategy=strategy, max_steps=1)
    batches = assert_same_samples(replay, ring, stream(0, Role.REPLAY).bit_generator)
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
def test_any_replay_buffer_equals_the_reference(capacity, n_bits, strategy, k, additions, max_steps, seed):
    options = {"strategy": strategy, "k": k, "max_steps": max_steps, "additions": additions}
    replay, ring = make_pair(capacity, n_bits, seed=seed, **options)
    np.testing.assert_array_equal(records_oldest_first(replay), reference_records(ring, n_bits))
    if len(replay):
        assert_same_samples(replay, ring, stream(seed, Role.REPLAY).bit_generator)


def test_adding_more_records_than_the_capacity_keeps_the_last_ones():
    replay = HindsightReplay(25, 50)
    replay.add(numbered_episodes(9, 10))
    numbers = [episode << 16 | t for episode in range(9) for t in range(11)]
    assert records_oldest_first(replay)[:, 0].tolist() == numbers[-25:]
    assert len(replay) == 10 + 10 + 2


def test_equal_seeds_or_a_loaded_state_give_the_same_samples():
    one, two = (make_pair(23, 50, seed=3)[0] for _ in range(2))
    assert_equal_batches(one.sample(2, 50), two.sample(2, 50))
    other = HindsightReplay(23, 50, seed=99)
    other.load_state_dict({"records": one.records, "cursor": one.cursor})
    other.rng.bit_generator.state = one.rng.bit_generator.state
    one.add(numbered_episodes(2, 5))
    other.add(numbered_episodes(2, 5))
    assert_equal_batches(one.sample(2, 50), other.sample(2, 50))
    assert (one.sample(1, 50).states != make_pair(23, 50, seed=4)[0].sample(1, 50).states).any()


@pytest.mark.parametrize("lengths", [(3, 4), (4, 3)])
def test_only_the_oldest_episode_of_a_full_ring_may_lack_its_first_step(lengths):
    whole = HindsightReplay(sum(lengths) + 2, 50)
    for length in lengths:
        whole.add(numbered_episodes(1, length))
    sizes = (50, 50)
    assert _core.ring_is_valid(whole.records, whole.cursor, *sizes)
    for age in range(len(whole.records)):
        records = whole.records.copy()
        end = age + int(records[age, -1] >> np.uint64(32))
        records[age : end + 1, -1] += np.uint64(1 << 16)  # the rest of its episode is one step later
        assert _core.ring_is_valid(records, whole.cursor, *sizes) == (age == 0)
    part = HindsightReplay(100, 50)
    part.add(numbered_episodes(1, 4))
    part.records[:5, -1] += np.uint64(1 << 16)
    assert not _core.ring_is_valid(part.records, part.cursor, *sizes)
    part.records[:, -1] = 0
    without_steps = part.records[:1].repeat(5, 0)
    assert not _core.ring_is_valid(without_steps, np.array([0, 5, 0]), *sizes)


def test_strided_and_read_only_arrays_are_accepted():
    trajectories = random_episodes(np.random.default_rng(0), 130)
    one, two = (HindsightReplay(100, 130, seed=0) for _ in range(2))
    one.add(trajectories)
    strided = Trajectories(*(np.repeat(array, 2, axis=-1)[..., ::2] for array in trajectories))
    for array in strided:
        array.setflags(write=False)
    two.add(strided)
    np.testing.assert_array_equal(one.records, two.records)
    two.records.setflags(write=False)
    assert_equal_batches(one.sample(1, 9), two.sample(1, 9))


def test_minibatches_have_the_documented_shapes_and_dtypes():
    replay, _ = make_pair(50, 130, 65)
    batch = replay.sample(2, 3)
    assert [array.shape for array in batch] == [(2, 3, 3), (2, 3, 3), (2, 3, 2)] + 4 * [(2, 3)]
    assert [array.dtype.name for array in batch] == ["uint64"] * 3 + ["uint16", "float32", "bool", "int32"]


def episodes_with(**arrays):
    """Return three episodes of five steps with some arrays replaced."""
    return numbered_episodes(3, 5)._replace(**arrays)


@pytest.mark.parametrize(
    ("trajectories", "error", "message"),
    [
        (
            episodes_with(lengths=np.array([5, 0, 5], np.int32)),
            ValueError,
            r"lengths\[1\] must be from 1 to 5, got 0",
        ),
        (
            episodes_with(lengths=np.array([5, 5, 6], np.int32)),
            ValueError,
            r"lengths\[2\] must be from 1 to 5, got 6",
        ),
        (
            episodes_with(lengths=np.array([5, 5], np.int32)),
            ValueError,
            r"lengths must have shape \(3,\), got \(2,\)",
        ),
        (episodes_with(lengths=np.array([5, 5, 5])), TypeError, "lengths must be .* int32, got dtype int64"),
        (
            episodes_with(goals=np.full((3, 1), 2**50, np.uint64)),
            ValueError,
            "episode 0 has a 1 at or past bit 50",
        ),
        (
            episodes_with(goals=np.zeros((3, 2), np.uint64)),
            ValueError,
            r"goals must have shape \(3, 1\), got \(3, 2\)",
        ),
        (
            episodes_with(states=np.full((6, 3, 1), 2**63, np.uint64)),
            ValueError,
            "episode 0 has a 1 at or past bit 50",
        ),
        (
            episodes_with(states=np.zeros((5, 3, 1), np.uint64)),
            ValueError,
            r"states must have shape \(6, 3, 1\), got \(5, ",
        ),
        (episodes_with(states=np.zeros((6, 3, 1))), TypeError, "states must be .* uint64, got dtype float64"),
        (
            episodes_with(states=np.zeros((6, 3), np.uint64)),
            ValueError,
            r"states must have 3 axes, got shape \(6, 3\)",
        ),
        (
            episodes_with(actions=np.zeros((5, 3), np.int64)),
            TypeError,
            "actions must be .* uint16, got dtype int64",
        ),
        (
            numbered_episodes(1, 40),
            ValueError,
            "an episode of 40 steps needs 41 records, the ring has 40; raise capacity",
        ),
    ],
)
def test_add_with_invalid_trajectories_raises_and_stores_nothing(trajectories, error, message):
    replay = HindsightReplay(40, 50)
    replay.add(numbered_episodes(1, 3))
    records = replay.records.copy()
    cursor = replay.cursor.copy()
    with pytest.raises(error, match=message):
        replay.add(trajectories)
    np.testing.assert_array_equal(replay.records, records)
    np.testing.assert_array_equal(replay.cursor, cursor)


def test_add_rejects_a_bit_past_the_end_only_in_states_of_the_episode():
    trajectories = numbered_episodes(3, 5)._replace(lengths=np.array([5, 2, 5], np.int32))
    trajectories.states[3, 1] = 2**50
    replay = HindsightReplay(40, 50)
    replay.add(trajectories)
    trajectories.states[2, 1] = 2**50
    with pytest.raises(ValueError, match="episode 1 has a 1"):
        replay.add(trajectories)


def test_an_episode_may_have_65535_steps_but_not_more():
    replay = HindsightReplay(70_000, 50, seed=0)
    states = np.arange(65_536, dtype=np.uint64).reshape(-1, 1, 1)
    goals = np.full((1, 1), 2**50 - 1, np.uint64)
    lengths = np.array([65_535], np.int32)
    replay.add(Trajectories(states, np.zeros((65_535, 1), np.uint16), goals, lengths))
    assert len(replay) == 65_535
    assert _core.ring_is_valid(replay.records, replay.cursor, 50, 50)
    batch = replay.sample(10, 100)
    np.testing.assert_array_equal(batch.next_states, batch.states + 1)
    too_long = Trajectories(
        np.zeros((65_537, 1, 1), np.uint64), np.zeros((65_536, 1), np.uint16), goals, lengths
    )
    with pytest.raises(ValueError, match="at most 65,535 steps, got 65,536"):
        replay.add(too_long)


def test_sampling_from_an_empty_replay_buffer_raises():
    replay = HindsightReplay(10, 50)
    assert len(replay) == 0
    with pytest.raises(ValueError, match="the replay buffer is empty: add trajectories before sampling"):
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
        ({"seed": -1}, ValueError, "seed must be None or an integer from 0 to 2.*, got -1"),
    ],
)
def test_an_invalid_argument_is_named_in_the_error(arguments, error, message):
    with pytest.raises(error, match=message):
        HindsightReplay(**{"capacity": 10, "n_state_bits": 50} | arguments)


@pytest.mark.parametrize("arguments", [(0, 1), (1, 0), (-1, 1), (1, 2**24 + 1)])
def test_batch_counts_and_sizes_out_of_range_are_rejected(arguments):
    with pytest.raises(ValueError, match=r"(n_batches|batch_size) must be from 1 to 16,777,216, got"):
        make_pair(50, 50)[0].sample(*arguments)


def test_the_core_rejects_invalid_cursors_shapes_and_generators():
    replay, _ = make_pair(23, 50)
    sizes = (50, 50)
    for cursor in ([-1, 23, 5], [23, 23, 5], [0, 24, 5], [0, -1, 0], [3, 5, 2], [0, 23, 24], [0, 23, -1]):
        with pytest.raises(ValueError, match=r"cursor .* is not valid for a ring of 23 records"):
            _core.ring_is_valid(replay.records, np.array(cursor), *sizes)
    with pytest.raises(ValueError, match=r"records must have shape \(23, 3\), got \(23, 2\)"):
        _core.ring_is_valid(np.zeros((23, 2), np.uint64), replay.cursor, *sizes)
    with pytest.raises(
        TypeError, match=r"bit_generator must be a numpy\.random\.BitGenerator, got Generator"
    ):
        _core.ring_sample(replay.records, replay.cursor, *sizes, "final", 1, replay.rng, *replay.sample(1, 1))
