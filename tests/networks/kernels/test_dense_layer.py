"""Tests of dense layers against NumPy.

Numbers are small integers, whose float32 sums are exact in any order.
"""

import numpy as np
import pytest
from numba import njit
from support.exact_arithmetic import SENTINEL, random_integers

from herfast.networks.kernels import dense_layer

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000]
ROWS = [1, 2, 3, 4, 5, 8, 33]


@njit
def _matmul(a, a_row, a_column, b, b_first, b_row, out, out_first, out_row, rows, terms, width):
    dense_layer.matmul(a, a_row, a_column, b, b_first, b_row, out, out_first, out_row, rows, terms, width)


@njit
def _dots(a, a_first, a_row, a_rows, b, b_first, b_row, b_rows, terms, out, out_row):
    dense_layer.dots(a, a_first, a_row, a_rows, b, b_first, b_row, b_rows, terms, out, out_row)


@pytest.mark.parametrize("terms", [0, *SIZES])
@pytest.mark.parametrize("transposed", [False, True])
def test_matmul_equals_numpy(terms, transposed):
    rng = np.random.default_rng(terms)
    for rows in [0, *ROWS]:
        a = (
            random_integers(rng, terms + 1, rows + 2)
            if transposed
            else random_integers(rng, rows + 1, terms + 2)
        )
        b = random_integers(rng, terms + 2, 70)
        width = 64
        out = random_integers(rng, rows + 2, 73)
        expected = out.copy()
        plain = a[:terms, :rows].T if transposed else a[:rows, :terms]
        expected[1 : rows + 1, 4:68] += plain @ b[1 : terms + 1, 3:67]
        strides = (1, rows + 2) if transposed else (terms + 2, 1)
        _matmul(a, *strides, b, 70 + 3, 70, out, 73 + 4, 73, rows, terms, width)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("terms", [8, 16, 32, 40, 128, 1000])
def test_dots_equal_numpy(terms):
    rng = np.random.default_rng(terms)
    for a_rows in ROWS:
        for b_rows in [1, 2, 3, 4, 5, 7, 50]:
            a, b = random_integers(rng, a_rows + 2, terms + 3), random_integers(rng, b_rows + 1, terms + 1)
            out = np.full((b_rows + 1, a_rows + 7), SENTINEL, np.float32)
            _dots(a, terms + 3 + 2, terms + 3, a_rows, b, 1, terms + 1, b_rows, terms, out, a_rows + 7)
            expected = b[:b_rows, 1:] @ a[1 : a_rows + 1, 2 : terms + 2].T
            np.testing.assert_array_equal(out[:b_rows, :a_rows], expected)
            padded_rows = -(-a_rows // 4) * 4
            # the last row is repeated
            assert (out[:b_rows, a_rows:padded_rows] == out[:b_rows, a_rows - 1 : a_rows]).all()
            assert (out[:, padded_rows:] == SENTINEL).all()
            assert (out[b_rows:] == SENTINEL).all()


def test_nan_affects_only_its_own_sum():
    a, b = np.ones((5, 16), np.float32), np.ones((4, 16), np.float32)
    a[4, 3] = np.nan
    out = np.full((4, 8), SENTINEL, np.float32)
    _dots(a, 0, 16, 5, b, 0, 16, 4, 16, out, 8)
    assert np.isnan(out[:, 4]).all()
    assert (out[:, :4] == 16).all()
