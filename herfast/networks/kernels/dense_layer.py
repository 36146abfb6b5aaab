"""Matrix products of dense layers, forward and backward.

The conventions are those of packed_layer.py.
"""

from __future__ import annotations

import numpy as np

from herfast.networks.kernels.simd import (
    LANES,
    NARROW,
    Floats,
    fma,
    get,
    inner,
    load,
    load_narrow,
    narrowed,
    splat,
    store,
    store_sums,
)


@inner
def matmul(
    a: Floats,
    a_row: int,
    a_column: int,
    b: Floats,
    b_first: int,
    b_row: int,
    out: Floats,
    out_first: int,
    out_row: int,
    rows: int,
    terms: int,
    width: int,
) -> None:
    """Add a matrix product: out[i, :] += sum_k a[i, k] b[k, :].

    Arrays are addressed by offsets and strides. Sums of 2 rows x 32 columns stay in registers.
    """
    for column in range(0, width, LANES):
        for i in range(0, rows, 2):
            j = min(i + 1, rows - 1)
            total_i, total_j = (
                load(out, out_first + i * out_row + column),
                load(out, out_first + j * out_row + column),
            )
            for k in range(terms):
                row = load(b, b_first + k * b_row + column)
                total_i = fma(splat(get(a, i * a_row + k * a_column)), row, total_i)
                total_j = fma(splat(get(a, j * a_row + k * a_column)), row, total_j)
            store(out, out_first + i * out_row + column, total_i)
            store(out, out_first + j * out_row + column, total_j)


@inner
def dots(
    a: Floats,
    a_first: int,
    a_row: int,
    a_rows: int,
    b: Floats,
    b_first: int,
    b_row: int,
    b_rows: int,
    terms: int,
    out: Floats,
    out_row: int,
) -> None:
    """Compute dot products of rows: out[j, i] = sum_k a[i, k] b[j, k].

    Rows are addressed by offsets and strides. A block of 4 x 3 sums is computed at a time.
    Each sum has 8 lanes, which are added up at the end, for four sums at a time.
    This takes 12.6 us for 128 x 20 x 256 terms; for one sum at a time it takes 15.6 us.
    `terms` is a multiple of 8. The last row of `a` is repeated up to a multiple of 4 rows. `out` must have
    space for the repeated sums.
    """
    for i in range(0, a_rows, 4):
        x0, x1 = a_first + i * a_row, a_first + min(i + 1, a_rows - 1) * a_row
        x2, x3 = a_first + min(i + 2, a_rows - 1) * a_row, a_first + min(i + 3, a_rows - 1) * a_row
        for j in range(0, b_rows, 3):
            j1, j2 = min(j + 1, b_rows - 1), min(j + 2, b_rows - 1)
            y0, y1, y2 = b_first + j * b_row, b_first + j1 * b_row, b_first + j2 * b_row
            s00 = s01 = s02 = s10 = s11 = s12 = narrowed(splat(np.float32(0.0)))
            s20 = s21 = s22 = s30 = s31 = s32 = narrowed(splat(np.float32(0.0)))
            for k in range(0, terms, NARROW):
                b0, b1, b2 = load_narrow(b, y0 + k), load_narrow(b, y1 + k), load_narrow(b, y2 + k)
                a0, a1 = load_narrow(a, x0 + k), load_narrow(a, x1 + k)
                a2, a3 = load_narrow(a, x2 + k), load_narrow(a, x3 + k)
                s00, s01, s02 = fma(a0, b0, s00), fma(a0, b1, s01), fma(a0, b2, s02)
                s10, s11, s12 = fma(a1, b0, s10), fma(a1, b1, s11), fma(a1, b2, s12)
                s20, s21, s22 = fma(a2, b0, s20), fma(a2, b1, s21), fma(a2, b2, s22)
                s30, s31, s32 = fma(a3, b0, s30), fma(a3, b1, s31), fma(a3, b2, s32)
            store_sums(out, j * out_row + i, s00, s10, s20, s30)
            store_sums(out, j1 * out_row + i, s01, s11, s21, s31)
            store_sums(out, j2 * out_row + i, s02, s12, s22, s32)
