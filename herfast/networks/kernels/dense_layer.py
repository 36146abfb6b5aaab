"""Matrix products of dense layers, forward and backward.

The conventions are those of packed_layer.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from herfast.networks.arrays import LANES, NARROW, Floats
from herfast.networks.compiled.native_code import processor
from herfast.networks.kernels.simd import (
    fma,
    halved,
    inner,
    load,
    load_16,
    load_narrow,
    narrowed,
    splat,
    store,
    store_sums,
)


@inner
def matmul(
    a: Floats,
    a_row: Any,
    a_column: Any,
    b: Floats,
    b_row: int,
    out: Floats,
    out_row: int,
    rows: int,
    terms: int,
    width: int,
) -> None:
    """Add a matrix product: out[i, :] += sum_k a[i, k] b[k, :].

    Arrays are addressed by strides. Sums of 2 rows x 32 columns stay in registers.
    """
    for column in range(0, width, LANES):
        for i in range(0, rows, 2):
            j = i + 1 if i + 1 < rows else i
            total_i, total_j = load(out, i * out_row + column), load(out, j * out_row + column)
            for k in range(terms):
                row = load(b, k * b_row + column)
                total_i = fma(splat(a[i * a_row + k * a_column]), row, total_i)
                total_j = fma(splat(a[j * a_row + k * a_column]), row, total_j)
            store(out, i * out_row + column, total_i)
            store(out, j * out_row + column, total_j)


# Sums in registers of 16 floats, of which processors with AVX-512 have 32, else of 8 floats.
HAS_REGISTERS_OF_16 = "+avx512f" in processor()[2]
SUM_LANES = 16 if HAS_REGISTERS_OF_16 else NARROW
load_terms = load_16 if HAS_REGISTERS_OF_16 else load_narrow
zero_sum_of = halved if HAS_REGISTERS_OF_16 else narrowed


@inner
def dots(
    a: Floats,
    a_row: int,
    a_rows: int,
    b: Floats,
    b_row: int,
    b_rows: int,
    terms: int,
    out: Floats,
    out_row: int,
) -> None:
    """Compute dot products of rows: out[j, i] = sum_k a[i, k] b[j, k].

    Rows are addressed by strides. A block of 4 x 3 sums is computed at a time.
    Each sum has 8 or 16 lanes, which are added up at the end, for four sums at a time.
    This takes 12.6 us for 128 x 20 x 256 terms; for one sum at a time it takes 15.6 us.
    `terms` is a multiple of 16. The last row of `a` is repeated up to a multiple of 4 rows. `out` must have
    space for the repeated sums.
    """
    last = a_rows - 1
    for i in range(0, a_rows, 4):
        x0, x1 = i * a_row, (i + 1 if i + 1 < last else last) * a_row
        x2, x3 = (i + 2 if i + 2 < last else last) * a_row, (i + 3 if i + 3 < last else last) * a_row
        for j in range(0, b_rows, 3):
            j1 = j + 1 if j + 1 < b_rows else b_rows - 1
            j2 = j + 2 if j + 2 < b_rows else b_rows - 1
            y0, y1, y2 = j * b_row, j1 * b_row, j2 * b_row
            s00 = s01 = s02 = s10 = s11 = s12 = zero_sum_of(splat(np.float32(0.0)))
            s20 = s21 = s22 = s30 = s31 = s32 = zero_sum_of(splat(np.float32(0.0)))
            for k in range(0, terms, SUM_LANES):
                b0, b1, b2 = load_terms(b, y0 + k), load_terms(b, y1 + k), load_terms(b, y2 + k)
                a0, a1 = load_terms(a, x0 + k), load_terms(a, x1 + k)
                a2, a3 = load_terms(a, x2 + k), load_terms(a, x3 + k)
                s00, s01, s02 = fma(a0, b0, s00), fma(a0, b1, s01), fma(a0, b2, s02)
                s10, s11, s12 = fma(a1, b0, s10), fma(a1, b1, s11), fma(a1, b2, s12)
                s20, s21, s22 = fma(a2, b0, s20), fma(a2, b1, s21), fma(a2, b2, s22)
                s30, s31, s32 = fma(a3, b0, s30), fma(a3, b1, s31), fma(a3, b2, s32)
            store_sums(out, j * out_row + i, s00, s10, s20, s30)
            store_sums(out, j1 * out_row + i, s01, s11, s21, s31)
            store_sums(out, j2 * out_row + i, s02, s12, s22, s32)
