"""Tests of the index of episodes, its draws, and copies of rows."""

import numpy as np
import pytest
from reference.episode_index import EpisodeIndex as Reference
from support.chi_square import assert_frequencies, assert_independent

from herfast.common.bits import _core_sb3
from herfast.common.seeding import Role, stream
from herfast.replay.episode_index import EpisodeIndex, count_transitions, gather_rows, store_slot

STRATEGIES = ["future", "final", "episode", "random"]
DRAWS = 60_000


def empty_index(n_slots, n_envs):
    arrays = [np.zeros((n_slots, n_envs), np.int64) for _ in range(2)]
    arrays += [np.zeros(n_envs, np.int64) for _ in range(2)]
    return EpisodeIndex(*arrays)


class Pair:
    """An index and its reference, which get the same transitions."""

    def __init__(self, n_slots, n_envs):
        self.index = empty_index(n_slots, n_envs)
        self.reference = Reference(n_slots, n_envs)

    def add(self, done):
        self.index.begin_slot(self.reference.next_slot)
        self.reference.add(done)
        for env in np.flatnonzero(done):
            self.index.end_episode(env, self.reference.next_slot)

    def check(self):
        expected = [sum(map(len, episodes)) for episodes in self.reference.finished]
        assert self.index.counts.tolist() == expected
        np.testing.assert_array_equal(
            count_transitions(self.index.lengths, self.index.running), self.index.counts
        )
        stored = {(slot, env) for slot, env in np.argwhere(self.index.lengths > 0).tolist()}
        assert stored == set(self.reference.transitions())


def filled(n_slots, n_envs, n_added, share_done, seed=0):
    """Return a pair after transitions whose episodes end at random."""
    pair = Pair(n_slots, n_envs)
    for done in np.random.default_rng(seed).random((n_added, n_envs)) < share_done:
        pair.add(done)
    return pair


@pytest.mark.parametrize("n_envs", [1, 2, 3, 8])
@pytest.mark.parametrize(("n_slots", "share_done"), [(1, 0.5), (2, 0.5), (7, 0.3), (30, 0.2), (30, 0.03)])
def test_stored_transitions_and_draws_are_those_of_the_reference(n_slots, share_done, n_envs):
    """Episodes that are longer than the ring, or as long, are among them."""
    pair = Pair(n_slots, n_envs)
    raw = stream(3, Role.REPLAY)
    for step, done in enumerate(np.random.default_rng(1).random((200, n_envs)) < share_done):
        pair.add(done)
        pair.check()
        if step % 5 == 0 and pair.index.counts.any():
            for strategy in STRATEGIES:
                expected_raw = np.random.PCG64()
                expected_raw.state = raw.bit_generator.state
                rows, goal_rows = pair.index.choose(strategy, raw, 9, 6)
                assert (rows.tolist(), goal_rows.tolist()) == pair.reference.sample(
                    expected_raw, strategy, 9, 6
                )
                assert raw.bit_generator.state == expected_raw.state


def test_an_episode_is_dropped_as_soon_as_its_first_slot_is_overwritten():
    pair = Pair(10, 1)
    for step in range(10):
        pair.add([step in (3, 7)])
    assert pair.index.counts.tolist() == [8]
    pair.add([False])
    assert pair.index.lengths[:, 0].tolist() == [0, 0, 0, 0, 4, 4, 4, 4, 0, 0]
    pair.check()


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("n_added", [20, 33, 64])  # the ring has 24 slots
def test_transitions_are_uniform_and_independent(n_added, n_envs):
    pair = filled(24, n_envs, n_added, 0.2)
    rows, _ = pair.index.choose("final", stream(1, Role.REPLAY), DRAWS, 0)
    stored = np.zeros(24 * n_envs)
    stored[[slot * n_envs + env for slot, env in pair.reference.transitions()]] = 1
    assert 10 < stored.sum() < len(stored)
    assert_frequencies(rows, stored, f"rows, {n_added}, {n_envs}")
    assert_independent(rows[::2], rows[1::2], "two rows")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_goals_have_the_probabilities_of_their_strategy(strategy):
    pair = filled(24, 2, 40, 0.2)
    rows, goal_rows = pair.index.choose(strategy, stream(2, Role.REPLAY), DRAWS, DRAWS)
    transitions = pair.reference.transitions()
    for env in (0, 1):
        for episode in pair.reference.finished[env]:
            for t, slot in enumerate(episode):
                expected = np.zeros(48)
                if strategy == "random":
                    expected[[2 * other + e for other, e in transitions]] = 1
                else:
                    goals = {"future": episode[t:], "final": episode[-1:], "episode": episode}[strategy]
                    expected[[2 * goal + env for goal in goals]] = 1
                drawn = goal_rows[rows == 2 * slot + env]
                assert_frequencies(drawn, expected, f"goals, {strategy}, {slot}, {env}")


def test_kept_transitions_take_no_draw_of_a_goal():
    pair = filled(24, 1, 40, 0.2)
    rows, goal_rows = pair.index.choose("future", stream(2, Role.REPLAY), 10, 0)
    assert goal_rows.shape == (0,)
    expected = stream(2, Role.REPLAY)
    again, _ = pair.index.choose("future", expected, 10, 3)
    np.testing.assert_array_equal(rows, again)


def test_clear_removes_all_episodes():
    pair = filled(24, 2, 40, 0.2)
    pair.index.clear()
    fresh = Pair(24, 2)
    pair.reference = fresh.reference
    pair.check()
    for done in np.random.default_rng(5).random((40, 2)) < 0.3:
        pair.add(done)
        pair.check()


def test_gaps_between_episodes_are_found():
    pair = filled(24, 2, 40, 0.2)
    slot, env = pair.reference.finished[1][1][0], 1
    pair.index.lengths[slot, env] = 0
    with pytest.raises(
        ValueError, match=r"^lengths must be .* consecutive episodes, environment 1 has a gap$"
    ):
        count_transitions(pair.index.lengths, pair.index.running)


@pytest.mark.parametrize("dtype", [np.int8, np.bool_, np.float16, np.float64, np.uint64, np.complex128, "S3"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 2, 4), (0,)])
def test_rows_are_copied_whatever_their_type_and_shape(dtype, shape):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2 if dtype == np.bool_ else 100, (7, 3, *shape)).astype(dtype)
    rows = rng.integers(0, 21, 600)
    other = np.arange(21.0).reshape(7, 3)
    copied, copied_other = gather_rows([values, other], rows)
    np.testing.assert_array_equal(copied, values.reshape(21, *shape)[rows])
    np.testing.assert_array_equal(copied_other, rows)
    assert copied.dtype == values.dtype


@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.float64, object])
@pytest.mark.parametrize("value_dtype", [np.int8, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (3, 2)])
def test_slots_are_written_as_numpy_writes_them(dtype, value_dtype, shape):
    array = np.zeros((4, 5, *shape), dtype)
    expected = array.copy()
    value = np.random.default_rng(0).integers(0, 100, (5, *shape)).astype(value_dtype)
    expected[2] = value
    store_slot([array], 2, [value])
    np.testing.assert_array_equal(array, expected)
    transposed = np.asfortranarray(value)
    store_slot([array], 2, [transposed[::-1]])
    expected[2] = transposed[::-1]
    np.testing.assert_array_equal(array, expected)
    store_slot([array], 3, [np.asarray(7)])
    assert (array[3] == 7).all()
    with pytest.raises(ValueError, match="broadcast"):
        store_slot([array], 2, [np.zeros((4, *shape), dtype)])


INDEX = filled(24, 2, 40, 0.2).index
RAW = np.random.PCG64(0)
ROWS = np.zeros(4, np.int64)


def invalid_index(**arrays):
    return INDEX._replace(**arrays)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: INDEX.begin_slot(24), ValueError, "^slot must be from 0 to 23, got 24$"),
        (lambda: INDEX.begin_slot(-1), ValueError, "^slot must be from 0 to 23, got -1$"),
        (lambda: INDEX.end_episode(2, 0), ValueError, "^env must be from 0 to 1, got 2$"),
        (lambda: INDEX.end_episode(0, 24), ValueError, "^next_slot must be from 0 to 23, got 24$"),
        (
            lambda: invalid_index(starts=np.zeros((24, 3), np.int64)).begin_slot(0),
            ValueError,
            r"^starts must be a C-contiguous int64 array of shape \(24, 2\), got int64 of shape \(24, 3\)$",
        ),
        (
            lambda: invalid_index(counts=np.zeros(2)).begin_slot(0),
            ValueError,
            r"^counts must be a C-contiguous int64 array of shape \(2,\), got float64 of shape \(2,\)$",
        ),
        (
            lambda: invalid_index(lengths=np.zeros((0, 2), np.int64)).begin_slot(0),
            ValueError,
            r"^lengths must have two axes and not be empty, got shape \(0, 2\)$",
        ),
        (
            lambda: empty_index(3, 2).choose("final", stream(0, Role.REPLAY), 1, 0),
            RuntimeError,
            "^no episode is finished, so none can be sampled: raise learning_starts above the length of an",
        ),
        (
            lambda: INDEX.choose("other", stream(0, Role.REPLAY), 1, 0),
            ValueError,
            "^strategy must be one of 'future', .* got 'other'$",
        ),
        (
            lambda: INDEX.choose("final", stream(0, Role.REPLAY), 1, 2),
            ValueError,
            "^out_goal_rows must be at most as long as out_rows = 1, got 2$",
        ),
        (
            lambda: _core_sb3.choose(*INDEX, "final", None, ROWS, ROWS),
            TypeError,
            "^bit_generator must be a numpy.random.BitGenerator, got NoneType$",
        ),
        (lambda: gather_rows([np.zeros((3, 2))], ROWS + 6), ValueError, "^rows must be below 6, got 6$"),
        (
            lambda: gather_rows([np.zeros((3, 2))], ROWS - 1),
            ValueError,
            r"^rows\[0\] must be 0 or more, got -1$",
        ),
        (
            lambda: gather_rows([np.zeros((3, 2), object)], ROWS),
            ValueError,
            "^output 0 must be writable and have 4 rows of the shape and type of source 0$",
        ),
        (
            lambda: _core_sb3.gather([np.zeros((3, 2))], ROWS, [np.zeros(5)]),
            ValueError,
            "^output 0 must be writable and have 4 rows of the shape and type of source 0$",
        ),
        (
            lambda: _core_sb3.gather([np.zeros((3, 2))], ROWS, [np.zeros(4, np.float32)]),
            ValueError,
            "^output 0 must be writable and have 4 rows of the shape and type of source 0$",
        ),
        (
            lambda: _core_sb3.gather([np.zeros((3, 2, 2)).T], ROWS, [np.zeros((4, 3))]),
            ValueError,
            "^output 0 must be writable and have 4 rows of the shape and type of source 0$",
        ),
        (lambda: _core_sb3.gather([], ROWS, [ROWS]), ValueError, "^outs must have 0 arrays, got 1$"),
        (
            lambda: store_slot([np.zeros(3)], 3, [np.zeros(())]),
            ValueError,
            "^slot must be from 0 to 2, got 3$",
        ),
        (lambda: store_slot([np.zeros(3)], 0, []), ValueError, "^values must have 1 arrays, got 0$"),
        (lambda: store_slot([np.zeros(3)], 0, [None]), ValueError, "and value 0 must be an array$"),
        (
            lambda: _core_sb3.gather([None], ROWS, [ROWS]),
            TypeError,
            "^source 0 and output 0 must be arrays, got None$",
        ),
        (
            lambda: store_slot([np.zeros(())], 0, [ROWS]),
            ValueError,
            "^array 0 must have an axis",
        ),
    ],
)
def test_invalid_arguments_are_rejected_and_change_nothing(call, error, message):
    before = [array.copy() for array in INDEX]
    with pytest.raises(error, match=message):
        call()
    for array, copy in zip(INDEX, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_corrupt_arrays_give_rows_of_the_ring():
    """Other code can write to the arrays."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        index = EpisodeIndex(*(rng.integers(-(2**63), 2**63 - 1, array.shape) for array in INDEX))
        for strategy in STRATEGIES:
            for rows in index.choose(strategy, stream(0, Role.REPLAY), 20, 20):
                assert ((rows >= 0) & (rows < 48)).all()
        index.begin_slot(3)
        index.end_episode(1, 5)
