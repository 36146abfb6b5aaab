"""Tests of the conversion of observations to packed states and goals."""

import numpy as np
import pytest

from herfast import BitFlip
from herfast.dqn.observation import pack_observation

RNG = np.random.default_rng(0)
STATES, GOALS = RNG.integers(0, 2, (2, 3, 70), dtype=np.int8)
DTYPES = ["?", "i1", "u1", "i2", ">i4", "i8", "u8", "f2", "f4", "f8", ">f8", "g"]


class ArrayLike:
    """Object that NumPy converts with __array__, as tensors of PyTorch."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array.astype(dtype or self._array.dtype)


def pack(states, goals):
    return pack_observation(BitFlip(70), {"observation": states, "desired_goal": goals})


@pytest.fixture
def expected():
    return pack(STATES, GOALS)


def assert_same(found, expected):
    for words, others in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(words, others)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_of_every_numeric_dtype_are_accepted(dtype, expected):
    states, goals = STATES.astype(dtype), GOALS.astype(dtype)
    for convert in (lambda array: array, np.ndarray.tolist, list, ArrayLike, np.asfortranarray):
        found = pack(convert(states), convert(goals))
        assert_same(found, expected)
        assert found[2]
        found = pack(convert(states[0]), convert(goals[0]))
        assert_same(found, pack(STATES[:1], GOALS[:1]))
        assert not found[2]


def test_negative_zero_and_an_empty_batch_are_accepted(expected):
    assert_same(pack(np.where(STATES, 1.0, -0.0), GOALS), expected)
    for dtype in DTYPES:
        states, goals, is_batch = pack(np.empty((0, 70), dtype), np.empty((0, 70), dtype))
        assert (states.shape, goals.shape, is_batch) == ((0, 2), (0, 2), True)


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, 1e-9, np.nan, np.inf])
def test_other_floats_are_rejected(value):
    states = STATES.astype(float)
    states[1, 5] = value
    with pytest.raises(ValueError, match=f"^observation must be 0 or 1, got {value}$"):
        pack(states, GOALS)


@pytest.mark.parametrize(
    ("states", "goals", "error", "message"),
    [
        (
            STATES[0],
            GOALS,
            ValueError,
            r"^observation and .* both be batches, got shapes \(70,\) and \(3, 70\)$",
        ),
        (
            STATES,
            GOALS[0],
            ValueError,
            r"^observation and .* both be batches, got shapes \(3, 70\) and \(70,\)$",
        ),
        (STATES, GOALS[:2], ValueError, "^observation and desired_goal must be equally many, got 3 and 2$"),
        (STATES, GOALS[:, :9], ValueError, r"^desired_goal must have shape \(70,\) or .*, got \(3, 9\)$"),
        (STATES.astype(str), GOALS, TypeError, "^observation must be numbers, 0 or 1, got dtype <U4$"),
        (STATES, GOALS.astype(object), TypeError, "^desired_goal must be numbers, 0 or 1, got dtype object$"),
        (STATES.astype(complex), GOALS, TypeError, "^observation must be numbers, .* complex128$"),
        (None, GOALS, ValueError, r"^observation must have shape \(70,\) or \(E, 70\), got \(\)$"),
    ],
)
def test_the_error_states_what_differs(states, goals, error, message):
    with pytest.raises(error, match=message):
        pack(states, goals)
