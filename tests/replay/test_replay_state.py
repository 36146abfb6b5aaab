"""Tests of state_dict and load_state_dict of the replay buffer."""

import numpy as np
import pytest
from support.replay_pairs import assert_equal_batches, make_pair
from support.trajectories import numbered_episodes, random_episodes

from herfast import HindsightReplay

# Age of a record of `make_pair(23, 50)`, and difference of its meta word.
DAMAGED_RECORDS = [
    (5, 1 << 48),  # sets unused bits
    (5, 1 << 16),  # skips a step
    (5, 1 << 32),  # changes the number of steps to the end
    (-1, -1 << 32),  # makes the steps to the end of the newest record negative
]


def damaged_records(replay, age, difference):
    """Return the records of a full ring with one changed meta word."""
    records = replay.records.copy()
    records[(replay.cursor[0] + age) % len(records), -1] += np.uint64(difference % 2**64)
    return records


def test_only_rings_of_whole_episodes_are_loaded():
    full, _ = make_pair(23, 50)
    part = HindsightReplay(1000, 50)
    part.add(numbered_episodes(3, 5))
    copy = HindsightReplay(1000, 50)
    copy.load_state_dict({"records": part.records[:18], "cursor": part.cursor})  # only the rows in use
    np.testing.assert_array_equal(copy.records, part.records)
    other = HindsightReplay(23, 50)
    for records, cursor, message in (
        (full.records, [0, 23, 5], "not a ring of whole episodes"),
        (full.records, [23, 23, 5], "not valid for a ring of 23 records"),
        (full.records, [0, 24, 5], "does not match"),
        (full.records[:5], full.cursor, "does not match"),
        (full.records[:, :2], full.cursor, "3 words per row"),
        (np.ones_like(full.records), full.cursor, "not a ring of whole episodes"),
        *(
            (damaged_records(full, age, difference), full.cursor, "not a ring of whole episodes")
            for age, difference in DAMAGED_RECORDS
        ),
    ):
        with pytest.raises(ValueError, match=message):
            other.load_state_dict({"records": records, "cursor": np.array(cursor)})
    assert len(other) == 0


# Numbers of additions, each of up to 35 records, to a ring of 60 records.
N_ADDITIONS = {"empty": 0, "partly filled": 1, "overwritten": 9}


def contents(replay):
    """Return the whole state of a replay buffer in comparable form."""
    return replay.records.tobytes(), replay.cursor.tolist(), replay.rng.bit_generator.state


@pytest.mark.parametrize("name", N_ADDITIONS)
@pytest.mark.parametrize(("n_bits", "n_goal_bits"), [(9, 9), (70, 65)])
def test_a_loaded_replay_buffer_stores_and_samples_the_same_as_the_saved_one(n_bits, n_goal_bits, name):
    saved, _ = make_pair(60, n_bits, n_goal_bits, additions=N_ADDITIONS[name], seed=1)
    restored, _ = make_pair(60, n_bits, n_goal_bits, additions=5, seed=2)
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
    before = contents(saved)
    restored.add(trajectories)
    assert contents(saved) == before, "they share no memory"
    saved.add(trajectories)
    assert contents(restored) == contents(saved)
    assert_equal_batches(restored.sample(2, 50), saved.sample(2, 50))


def test_loaded_actions_must_be_below_n_actions():
    saved, _ = make_pair(60, 9, seed=1)
    highest = max(int(record[-1] & np.uint64(0xFFFF)) for record in saved.records[: saved.cursor[1]])
    assert highest == 8
    replay, _ = make_pair(60, 9, seed=2)
    before = contents(replay)
    for n_actions, error, message in (
        (8, ValueError, "contain action 8, but the highest allowed action is 7"),
        (1, ValueError, "contain action 8, but the highest allowed action is 0"),
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
    "rows missing": (
        lambda state: state.update(records=state["records"][1:]),
        ValueError,
        r"does not match \d+ records",
    ),
    "dtype": (
        lambda state: state.update(records=state["records"].astype("i8")),
        TypeError,
        "records must be .*uint64",
    ),
    "step count": (
        lambda state: state["cursor"].__setitem__(2, 0),
        ValueError,
        "not a ring of whole episodes",
    ),
    "last record": (
        lambda state: state["records"].__setitem__((-1, -1), 2**63),
        ValueError,
        "whole episodes",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_STATES)
def test_loading_an_invalid_state_raises_and_changes_nothing(wrong):
    change, error, message = WRONG_STATES[wrong]
    state = {name: array.copy() for name, array in make_pair(60, 9, seed=1)[0].state_dict().items()}
    replay, _ = make_pair(60, 9, seed=2)
    change(state)
    before = contents(replay)
    records = replay.records
    cursor = replay.cursor
    with pytest.raises(error, match=message):
        replay.load_state_dict(state)
    assert contents(replay) == before
    assert replay.records is records
    assert replay.cursor is cursor
    with pytest.raises(TypeError, match=r"^state must be a dict, got \[\]$"):
        replay.load_state_dict([])
