"""Tests of bits of Gymnasium spaces against a reference."""

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from reference.space_bits import bits_of

from herfast.envs.gym_task.packing import Packing, UnsupportedEnvError, batch_of_one, single_value

SPACES = {
    "bits": spaces.MultiBinary(9),
    "matrix of bits": spaces.MultiBinary((2, 3)),
    "integer": spaces.Discrete(5),
    "integer from -2": spaces.Discrete(5, start=-2),
    "integers": spaces.MultiDiscrete([3, 1, 4]),
    "matrix of integers": spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [-1, 7]]),
    "dict": spaces.Dict(b=spaces.Discrete(3), a=spaces.MultiBinary(2)),
    "nested": spaces.Dict(
        x=spaces.Tuple([spaces.Discrete(2, start=1), spaces.Dict(y=spaces.MultiBinary((1, 2)))]),
        z=spaces.MultiDiscrete([2, 2]),
    ),
}


def samples(space, count=7):
    space.seed(1)
    return [space.sample() for _ in range(count)]


def batched(space, values):
    return concatenate(space, values, create_empty_array(space, len(values)))


def assert_equal_values(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = one.values(), other.values()
    if isinstance(one, (tuple, type({}.values()))):
        for pair in zip(one, other, strict=True):
            assert_equal_values(*pair)
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_bits_equal_the_reference_and_are_decoded(space):
    packing = Packing("observation", space)
    values = samples(space)
    batch = batched(space, values)
    bits = packing.encode(batch)
    np.testing.assert_array_equal(bits, [bits_of(space, value) for value in values])
    assert bits.shape == (7, packing.n_bits)
    decoded = packing.decode(bits)
    assert_equal_values(decoded, batch)
    assert batch_space(space, 7).contains(decoded)
    for row, value in enumerate(values):
        assert space.contains(single_value(space, decoded, row))
        assert_equal_values(
            packing.decode(packing.encode(batch_of_one(space, value))), batch_of_one(space, value)
        )


def test_only_multi_binary_parts_are_binary():
    binary = [name for name, space in SPACES.items() if Packing("observation", space).is_binary]
    assert binary == ["bits", "matrix of bits"]
    assert Packing("observation", spaces.Tuple([spaces.MultiBinary(2)] * 2)).is_binary


@pytest.mark.parametrize(
    ("space", "values"),
    [
        ("bits", np.full((1, 9), 2)),
        ("bits", np.full((1, 9), -1)),
        ("bits", np.full((1, 9), 0.5)),
        ("bits", np.zeros((1, 8))),
        ("bits", np.full((1, 9), "a")),
        ("integer", np.array([5])),
        ("integer", np.array([-1])),
        ("integer", np.array([1.5])),
        ("integer from -2", np.array([3])),
        ("integers", np.array([[0, 1, 0]])),
        ("integer", 3),
        ("integer", None),
        ("nested", {}),
        ("nested", 3),
    ],
)
def test_values_outside_the_space_are_rejected(space, values):
    with pytest.raises(ValueError, match=r"^observation must be (0 or 1|in its space)"):
        Packing("observation", SPACES[space]).encode(values)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 1, (3,)),
        spaces.Dict(a=spaces.Discrete(2), b=spaces.Text(3)),
        spaces.Sequence(spaces.Discrete(2)),
    ],
)
def test_other_spaces_are_rejected(space):
    with pytest.raises(UnsupportedEnvError, match=r"^env must have .* MultiBinary, .* herfast\.sb3 has"):
        Packing("observation", space)


def test_the_number_of_bits_is_limited():
    Packing("observation", spaces.MultiBinary(65_535))
    with pytest.raises(
        UnsupportedEnvError, match=r"^env must have observation of 1 to 65,535 bits, got 65,536 "
    ):
        Packing("observation", spaces.Discrete(65_536))
