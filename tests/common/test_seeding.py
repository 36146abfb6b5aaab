"""Random streams by role."""

import numpy as np
import pytest

from herfast.common.seeding import Role, stream


def draws(seed, role):
    return stream(seed, role).integers(0, 2**63, 8).tolist()


def test_roles_are_numbered_for_good():
    assert {role.name: role.value for role in Role} == {
        "ENVIRONMENT": 0,
        "EXPLORATION": 1,
        "REPLAY": 2,
        "WEIGHTS": 3,
        "EVALUATION": 4,
        "TEST": 5,
    }


@pytest.mark.parametrize("role", Role)
def test_a_stream_is_numpys_own(role):
    twin = np.random.Generator(np.random.PCG64(np.random.SeedSequence(7, spawn_key=(role.value,))))
    assert draws(7, role) == twin.integers(0, 2**63, 8).tolist()
    assert draws(7, role) == draws(np.uint64(7), role) == draws(np.int8(7), role)


def test_no_two_streams_are_alike():
    seeds = [0, 1, 2**32, 2**64, 2**200]
    assert len({tuple(draws(seed, role)) for seed in seeds for role in Role}) == len(seeds) * len(Role)


def test_without_a_seed_every_stream_is_another():
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
        (np.int64(-1), ValueError),
    ],
)
def test_bad_seeds_are_refused_in_one_sentence(seed, error):
    with pytest.raises(error) as caught:
        stream(seed, Role.REPLAY)
    assert str(caught.value) in {
        f"seed must be None or an integer >= 0, got {text}" for text in (repr(seed), str(seed))
    }
