"""Tests of the vector types against NumPy."""

import numpy as np
import pytest
from support.kernel_calls import call

from herfast.networks.arrays import LANES, NARROW
from herfast.networks.kernels.simd import (
    FASTMATH,
    add,
    divide,
    fma,
    inner,
    load,
    load_narrow,
    lowest_bit,
    mul,
    narrowed,
    offset,
    relu,
    splat,
    square_root,
    store,
    store_integers,
    store_sums,
    sub,
    where_greater,
    where_positive,
)

SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38, -3.4e38]
OPERATIONS = [
    "load",
    "add",
    "sub",
    "mul",
    "fma",
    "where_positive",
    "divide",
    "square_root",
    "where_greater",
    "relu",
]


def _operations(load, lanes):
    @inner
    def all_operations(a, b, c, first, out):
        """Set out[i] to the result of operation i on a, b and c from `first` on."""
        x, y, z = load(a, first), load(b, first), load(c, first)
        store(out, 0 * lanes, x)
        store(out, 1 * lanes, add(x, y))
        store(out, 2 * lanes, sub(x, y))
        store(out, 3 * lanes, mul(x, y))
        store(out, 4 * lanes, fma(x, y, z))
        store(out, 5 * lanes, where_positive(x, y))
        store(out, 6 * lanes, divide(x, y))
        store(out, 7 * lanes, square_root(x))
        store(out, 8 * lanes, where_greater(x, y, x, z))
        store(out, 9 * lanes, relu(x))

    return all_operations


ALL_OPERATIONS = {LANES: _operations(load, LANES), NARROW: _operations(load_narrow, NARROW)}


@inner
def _narrowed(a, first, out):
    store(out, 0, narrowed(load(a, first)))


@inner
def _store_sums(a, first, stride, out, index):
    one, two = load_narrow(a, first), load_narrow(a, first + stride)
    three, four = load_narrow(a, first + 2 * stride), load_narrow(a, first + 3 * stride)
    store_sums(out, index, one, two, three, four)


@inner
def _get(array, first, index, out):
    out[0] = offset(array, first)[index]


@inner
def _store(array, index, value):
    store(array, index, splat(np.float32(value)))


@inner
def _store_integers(source, array, index):
    store_integers(array, index, load(source, 0))


@inner
def _lowest_bit(words, out):
    out[0] = lowest_bit(words[0])


def evaluated(a, b, c, first=0, lanes=LANES):
    out = np.full((len(OPERATIONS), lanes), 99, np.float32)
    call(ALL_OPERATIONS[lanes], a, b, c, first, out)
    return dict(zip(OPERATIONS, out, strict=True))


def padded(values):
    return np.resize(np.array(values, np.float32), LANES)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("lanes", [LANES, NARROW])
def test_arithmetic_equals_numpy(lanes):
    a, b, c = np.random.default_rng(0).normal(size=(3, 100)).astype(np.float32)
    for first in (0, 1, 37, 68):  # unaligned addresses too
        x, y, z = (v[first : first + lanes] for v in (a, b, c))
        found = evaluated(a, b, c, first, lanes)
        assert found["load"].tolist() == x.tolist()
        assert found["add"].tolist() == (x + y).tolist()
        assert found["sub"].tolist() == (x - y).tolist()
        assert found["mul"].tolist() == (x * y).tolist()
        fused = (x.astype(float) * y + z).astype(np.float32)
        assert ((found["fma"] == fused) | (found["fma"] == x * y + z)).all()
        assert found["where_positive"].tolist() == np.where(x > 0, y, 0).tolist()
        assert found["divide"].tolist() == (x / y).tolist()
        np.testing.assert_array_equal(found["square_root"], np.sqrt(x))
        assert found["where_greater"].tolist() == np.where(x > y, x, z).tolist()
        assert found["relu"].tolist() == np.where(x > 0, x, 0).tolist()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("lanes", [LANES, NARROW])
def test_nan_and_infinity_are_preserved(lanes):
    x, y = (v.ravel().astype(np.float32) for v in np.meshgrid(SPECIAL, SPECIAL))
    x, y = np.resize(x, 4 * LANES), np.resize(y, 4 * LANES)
    for first in range(0, 4 * LANES, lanes):
        a, b = x[first : first + lanes], y[first : first + lanes]
        found = evaluated(x, y, y, first, lanes)
        np.testing.assert_array_equal(found["add"], a + b)
        np.testing.assert_array_equal(found["sub"], a - b)
        np.testing.assert_array_equal(found["mul"], a * b)
        assert np.isnan(found["fma"][np.isnan(a * b + b)]).all()
        np.testing.assert_array_equal(found["where_positive"], np.where(a <= 0, 0, b))
        np.testing.assert_array_equal(found["divide"], a / b)
        np.testing.assert_array_equal(found["square_root"], np.sqrt(a))
        np.testing.assert_array_equal(found["where_greater"], np.where(a > b, a, b))
        np.testing.assert_array_equal(found["relu"], np.where(a < 0, 0, a))


def test_where_positive_is_the_gradient_of_relu():
    a, b = padded([np.nan, -0.0, 0.0, 1e-45, -1.0]), padded([7.0, 8.0, 9.0, 10.0, np.nan])
    assert evaluated(a, b, b)["where_positive"][:5].tolist() == [7.0, 0.0, 0.0, 10.0, 0.0]


def test_narrowed_adds_the_four_quarters():
    a = np.random.default_rng(0).integers(-999, 999, 100).astype(np.float32)
    for first in (0, 1, 37, 68):
        out = np.full(NARROW + 1, 99, np.float32)
        call(_narrowed, a, first, out)
        assert out.tolist() == [*a[first : first + LANES].reshape(4, NARROW).sum(axis=0), 99]
    a[32] = np.nan
    call(_narrowed, a, 8, out)
    assert np.isnan(out).tolist() == [True] + [False] * NARROW


def test_store_sums_stores_four_independent_sums():
    a = np.random.default_rng(0).integers(-999, 999, (4, 11)).astype(np.float32)
    for first in (0, 3):
        out = np.full(7, 99, np.float32)
        call(_store_sums, a, first, 11, out, 2)
        assert out.tolist() == [99, 99, *a[:, first : first + NARROW].sum(axis=1), 99]
    for lane in range(NARROW):
        a[:] = 0
        a[2, lane] = np.nan
        call(_store_sums, a, 0, 11, out, 2)
        assert np.isnan(out).tolist() == [False] * 4 + [True] + [False] * 2


def test_store_writes_exactly_32_elements():
    array = np.zeros(LANES + 2, np.float32)
    call(_store, array, 1, 3.0)
    assert array.tolist() == [0, *[3] * LANES, 0]


def test_store_integers_converts_whole_numbers():
    source = np.arange(LANES, dtype=np.float32) * 2113  # up to 65,503
    array = np.full(LANES + 2, -1, np.int32)
    call(_store_integers, source, array, 1)
    assert array.tolist() == [-1, *(2113 * i for i in range(LANES)), -1]


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.int64, np.uint64, np.int32, np.uint16, np.uint8]
)
def test_an_index_counts_elements_in_c_order(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    out = np.zeros(1, dtype)
    for index in range(24):
        call(_get, array, 0, index, out)
        assert out[0] == index
        call(_get, array, index, 0, out)
        assert out[0] == index
        call(_get, array, 23, index - 23, out)
        assert out[0] == index


@pytest.mark.parametrize("position", range(64))
def test_lowest_bit_returns_the_index_of_the_lowest_set_bit(position):
    higher = int(np.random.default_rng(position).integers(0, 2**63)) << 1
    out = np.zeros(1, np.int64)
    for word in (1, 1 | higher, 2**64 - 1):
        call(_lowest_bit, np.array([word << position & 2**64 - 1], np.uint64), out)
        assert out[0] == position


def test_fastmath_preserves_nan_infinity_and_the_order_of_sums():
    assert set(FASTMATH) == {"contract", "nsz"}
