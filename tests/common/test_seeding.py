"""Tests of random streams: seeds, and saving and loading of their states."""

import copy
import json

import numpy as np
import pytest

from herfast.common.seeding import Role, Streams, stream


def draws(seed, role):
    return stream(seed, role).integers(0, 2**63, 8).tolist()


def test_numbers_of_roles_never_change():
    assert {role.name: role.value for role in Role} == {
        "ENVIRONMENT": 0,
        "EXPLORATION": 1,
        "REPLAY": 2,
        "WEIGHTS": 3,
        "EVALUATION": 4,
        "TEST": 5,
    }


@pytest.mark.parametrize("role", Role)
def test_a_stream_is_a_numpy_generator_with_the_role_as_spawn_key(role):
    expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence(7, spawn_key=(role.value,))))
    assert draws(7, role) == expected.integers(0, 2**63, 8).tolist()
    assert draws(7, role) == draws(np.uint64(7), role) == draws(np.int8(7), role)


def test_streams_of_different_seeds_or_roles_differ():
    seeds = [0, 1, 2**32, 2**64, 2**128 - 1]
    assert len({tuple(draws(seed, role)) for seed in seeds for role in Role}) == len(seeds) * len(Role)


def test_streams_without_a_seed_differ():
    assert draws(None, Role.REPLAY) != draws(None, Role.REPLAY)


@pytest.mark.parametrize(
    ("seed", "error"),
    [
        (True, TypeError),
        (np.True_, TypeError),
        ("7", TypeError),
        (7.0, TypeError),
        ([7], TypeError),
        (-1, ValueError),
        (2**128, ValueError),
        (np.int64(-1), ValueError),
    ],
)
def test_invalid_seeds_are_rejected_with_their_value(seed, error):
    with pytest.raises(error) as caught:
        stream(seed, Role.REPLAY)
    assert str(caught.value) in {
        f"seed must be None or an integer from 0 to 2**128 - 1, got {text}"
        for text in (repr(seed), str(seed), "340,282,366,920,938,463,463,374,607,431,768,211,456")
    }


# --- Streams ------------------------------------------------------------------------------------------------

ROLES = [Role.REPLAY, Role.ENVIRONMENT, Role.EXPLORATION]


def streams_of(seed):
    """Return streams of three roles, each with half of a 64-bit output left to use."""
    streams = Streams({role: stream(seed, role) for role in ROLES})
    for number, rng in enumerate(streams.values()):
        rng.integers(0, 2**32, 2 * number + 1, np.uint32)
    return streams


def draws_by_role(streams):
    return {role: rng.integers(0, 2**32, 9, np.uint32).tolist() for role, rng in streams.items()}


def test_loaded_streams_continue_from_the_saved_states():
    saved, restored = streams_of(1), streams_of(2)
    generators = dict(restored)
    state = saved.state_dict()
    assert list(state) == ["REPLAY", "ENVIRONMENT", "EXPLORATION"]
    restored.load_state_dict(json.loads(json.dumps(state)))
    assert all(restored[role] is rng for role, rng in generators.items()), "generators may be shared"
    assert draws_by_role(restored) == draws_by_role(saved)


def test_a_saved_state_does_not_change_when_the_streams_draw():
    streams = streams_of(1)
    state = streams.state_dict()
    first = draws_by_role(streams)
    assert draws_by_role(streams) != first
    streams.load_state_dict(state)
    assert draws_by_role(streams) == first


def replaced(**changes):
    return lambda state: {**state, **changes}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda state: np.random.MT19937(1).state, ValueError, "PCG64"),
        (lambda state: np.random.PCG64DXSM(1).state, ValueError, "PCG64"),
        (replaced(bit_generator="MT19937"), ValueError, "PCG64"),
        (replaced(more=1), ValueError, "^the state of stream ENVIRONMENT is not a PCG64 state$"),
        (
            replaced(state={"state": 1, "inc": 2}),
            ValueError,
            "^the state of stream ENVIRONMENT is not a PCG64 state$",
        ),
        (lambda state: None, TypeError, "state"),
    ],
    ids=["MT19937", "PCG64DXSM", "another name", "another entry", "even increment", "None"],
)
def test_the_state_of_another_generator_is_rejected(change, error, message):
    state = copy.deepcopy(streams_of(1).state_dict())
    state["ENVIRONMENT"] = change(state["ENVIRONMENT"])
    with pytest.raises(error, match=message):
        streams_of(2).load_state_dict(state)


def test_a_missing_stream_is_named_in_the_error():
    state = streams_of(1).state_dict()
    del state["EXPLORATION"]
    with pytest.raises(LookupError, match="EXPLORATION"):
        streams_of(2).load_state_dict(state)
