"""The vector type, function by function, against NumPy."""

import numpy as np
import pytest
from numba import njit

from herfast.simd import FASTMATH, LANES, add, fma, get, load, lowest_bit, mul, relu, splat, store, where_positive

SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38, -3.4e38]
OPERATIONS = ["load", "splat", "add", "mul", "fma", "relu", "where_positive"]


@njit
def _all(a, b, c, first, out):
    """out[i] = operation i of the 32 elements of a, b and c from `first` on."""
    x, y, z = load(a, first), load(b, first), load(c, first)
    store(out, 0 * LANES, x)
    store(out, 1 * LANES, splat(get(a, first)))
    store(out, 2 * LANES, add(x, y))
    store(out, 3 * LANES, mul(x, y))
    store(out, 4 * LANES, fma(x, y, z))
    store(out, 5 * LANES, relu(x))
    store(out, 6 * LANES, where_positive(x, y))


@njit
def _get(array, index):
    return get(array, index)


@njit
def _store(array, index, value):
    store(array, index, splat(value))


@njit
def _lowest_bit(word):
    return lowest_bit(word)


def evaluated(a, b, c, first=0):
    out = np.full((len(OPERATIONS), LANES), 99, np.float32)
    _all(a, b, c, first, out)
    return dict(zip(OPERATIONS, out, strict=True))


def padded(values):
    return np.resize(np.array(values, np.float32), LANES)


def test_arithmetic():
    a, b, c = np.random.default_rng(0).normal(size=(3, 100)).astype(np.float32)
    for first in (0, 1, 37, 68):  # no alignment is needed
        x, y, z = (v[first : first + LANES] for v in (a, b, c))
        found = evaluated(a, b, c, first)
        assert found["load"].tolist() == x.tolist()
        assert found["splat"].tolist() == [x[0]] * LANES
        assert found["add"].tolist() == (x + y).tolist()
        assert found["mul"].tolist() == (x * y).tolist()
        fused = (x.astype(float) * y + z).astype(np.float32)
        assert ((found["fma"] == fused) | (found["fma"] == x * y + z)).all()
        assert found["relu"].tolist() == np.maximum(x, 0).tolist()
        assert found["where_positive"].tolist() == np.where(x > 0, y, 0).tolist()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_nan_and_infinity_pass_through():
    x, y = (v.ravel().astype(np.float32) for v in np.meshgrid(SPECIAL, SPECIAL))
    x, y = np.resize(x, 4 * LANES), np.resize(y, 4 * LANES)
    for first in range(0, 4 * LANES, LANES):
        a, b = x[first : first + LANES], y[first : first + LANES]
        found = evaluated(x, y, y, first)
        np.testing.assert_array_equal(found["add"], a + b)
        np.testing.assert_array_equal(found["mul"], a * b)
        assert np.isnan(found["fma"][np.isnan(a * b + b)]).all()
        np.testing.assert_array_equal(found["relu"], np.where(a <= 0, 0, a))
        np.testing.assert_array_equal(found["where_positive"], np.where(a <= 0, 0, b))


def test_relu_keeps_nan_and_drops_the_sign_of_zero():
    found = evaluated(padded([np.nan, -0.0, 0.0, -np.inf]), padded([5.0]), padded([0.0]))["relu"][:4]
    assert np.isnan(found[0])
    assert found[1:].tolist() == [0, 0, 0]
    assert not np.signbit(found[1:]).any()


def test_where_positive_is_the_gradient_of_relu_even_at_nan():
    a, b = padded([np.nan, -0.0, 0.0, 1e-45, -1.0]), padded([7.0, 8.0, 9.0, 10.0, np.nan])
    assert evaluated(a, b, b)["where_positive"][:5].tolist() == [7.0, 0.0, 0.0, 10.0, 0.0]


def test_store_writes_32_elements_and_no_more():
    array = np.zeros(LANES + 2, np.float32)
    _store(array, 1, np.float32(3))
    assert array.tolist() == [0, *[3] * LANES, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint64])
def test_get_counts_elements_from_the_first(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for index in range(24):
        value = _get(array, index)
        assert value == index
    assert _get(np.array([2**64 - 1], np.uint64), 0) == 2**64 - 1


@pytest.mark.parametrize("position", range(64))
def test_lowest_bit(position):
    higher = int(np.random.default_rng(position).integers(0, 2**63)) << 1
    for word in (1, 1 | higher, 2**64 - 1):
        assert _lowest_bit(np.uint64(word << position & 2**64 - 1)) == position


def test_fastmath_keeps_nan_and_infinity():
    assert set(FASTMATH) == {"reassoc", "contract", "nsz", "arcp"}
