"""Tests of dense layers against NumPy.

Numbers are small integers, whose float32 sums are exact in any order.
"""

import numpy as np
import pytest
from support.exact_arithmetic import SENTINEL, random_integers
from support.kernel_calls import call

from herfast.networks.kernels.dense_layer import dots, matmul

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000]
ROWS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129]


@pytest.mark.parametrize("terms", [0, *SIZES])
@pytest.mark.parametrize("transposed", [False, True])
def test_matmul_equals_numpy(terms, transposed):
    rng = np.random.default_rng(terms)
    for rows in ROWS:
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
        b_part, out_part = b.ravel()[70 + 3 :], out.ravel()[73 + 4 :]
        call(matmul, a, *strides, b_part, 70, out_part, 73, rows, terms, width)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("terms", [16, 32, 48, 128, 1008])
def test_dots_equal_numpy(terms):
    rng = np.random.default_rng(terms)
    for a_rows in ROWS:
        for b_rows in [1, 2, 3, 4, 5, 7, 50]:
            a, b = random_integers(rng, a_rows + 2, terms + 3), random_integers(rng, b_rows + 1, terms + 1)
            out = np.full((b_rows + 1, a_rows + 7), SENTINEL, np.float32)
            a_part, b_part = a.ravel()[terms + 3 + 2 :], b.ravel()[1:]
            call(dots, a_part, terms + 3, a_rows, b_part, terms + 1, b_rows, terms, out, a_rows + 7)
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
    call(dots, a, 16, 5, b, 16, 4, 16, out, 8)
    assert np.isnan(out[:, 4]).all()
    assert (out[:, :4] == 16).all()
