"""The network's layers, forward and backward: packed first layer, dense layers. Each is a formula made fast.

Conventions of layers and kernels. A network is one flat float32 block `params`. `shape` int64[L + 1, 4] has a row a
layer: inputs, outputs, offset of the weights, offset of the biases. Hidden weights are input-major [inputs, outputs],
widths padded with zeros to whole vectors of 32 floats. The output layer, last row of `shape`, is action-major
[actions, inputs] in a block of its own, `head`, with the biases behind the weights. d_x is the loss's gradient by x.
Inputs are +-1: a bit b counts 2 b - 1. Arrays are C-contiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from herfast.simd import FASTMATH, LANES, add, fma, get, load, lowest_bit, relu, splat, store, sub

Floats = NDArray[np.float32]
Words = NDArray[np.uint64]
Integers = NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., Any])

SUMS = 16 * LANES  # floats of a table: the sums of all subsets of 4 rows, 32 columns wide
CODES = 12  # codes of 4 inputs used at once: their tables, 24 KB, stay in the L1 cache
FOURS = 8  # groups of 4 samples used at once, for the same reason: half a word of a transposed batch


def inner(function: F) -> F:
    """Compile a function that only other kernels call: linked into them, without wrappers, allocating nothing."""
    compiled: F = njit(
        fastmath=set(FASTMATH), error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False
    )(function)
    return compiled


@inner
def field(words: Words, row: int, start: int) -> Any:
    """Bits start .. start + 63 of a row of words; those outside the row are 0."""
    last = words.shape[1] - 1
    w, shift = start >> 6, np.uint64(start & 63)
    low = get(words, row * (last + 1) + w) if 0 <= w <= last else np.uint64(0)
    high = get(words, row * (last + 1) + w + 1) if -1 <= w < last else np.uint64(0)
    return low if shift == np.uint64(0) else (low >> shift) | (high << (np.uint64(64) - shift))


@inner
def code_counts(sizes: Any, words: int) -> Any:
    """Groups of 4 inputs in all, of the state alone, and to a word of codes; state and goal each fill their last."""
    n_state_codes, n_goal_codes = (sizes[0] + 3) >> 2, (sizes[1] + 3) >> 2
    total = n_state_codes + n_goal_codes
    return total, n_state_codes, (total + words - 1) // words


@inner
def encode(states: Words, goals: Words, sizes: Any, codes: Words) -> None:
    """codes[b]: 4 bits after 4 bits of the state, then of the goal, the first lowest, in words of equally many."""
    _, n_state_codes, per_word = code_counts(sizes, codes.shape[1])
    mask = np.uint64((1 << (4 * per_word)) - 1)
    for c in range(codes.shape[1]):
        start = 4 * per_word * c
        for b in range(states.shape[0]):
            codes[b, c] = (field(states, b, start) | field(goals, b, start - 4 * n_state_codes)) & mask


@inner
def tabulate(source: Floats, first: int, stride: int, count: int, signed: bool, tables: Floats, table: int) -> None:
    """tables[table][v] = sum_j x_j source[row j] over count <= 4 rows: x_j is bit j of v, or +-1 by it if signed.

    Entries whose bits exceed `count` are never looked up.
    """
    zero = splat(np.float32(0.0))
    row0 = load(source, first)
    row1 = load(source, first + stride) if count > 1 else zero
    row2 = load(source, first + 2 * stride) if count > 2 else zero
    row3 = load(source, first + 3 * stride) if count > 3 else zero
    none = zero
    if signed:
        none = sub(zero, add(add(row0, row1), add(row2, row3)))
        row0, row1, row2, row3 = (add(row0, row0), add(row1, row1), add(row2, row2), add(row3, row3))
    for v in range(0, 16, 8):
        low = none if v == 0 else add(none, row3)
        entry = table + v * LANES
        sum1, sum2 = add(low, row0), add(low, row1)
        sum3 = add(sum1, row1)
        store(tables, entry, low)
        store(tables, entry + LANES, sum1)
        store(tables, entry + 2 * LANES, sum2)
        store(tables, entry + 3 * LANES, sum3)
        store(tables, entry + 4 * LANES, add(low, row2))
        store(tables, entry + 5 * LANES, add(sum1, row2))
        store(tables, entry + 6 * LANES, add(sum2, row2))
        store(tables, entry + 7 * LANES, add(sum3, row2))


@inner
def first_layer(
    params: Floats, shape: Integers, column: int, codes: Words, rows: int, sizes: Any, tables: Floats, block: Floats
) -> None:
    """block = b1 + x W1 for 32 columns: a sample adds one tabulated sum for every 4 inputs instead of 4 products.

    `sizes` are the numbers of state and goal bits; block is float32[rows, 32] and so stays in the L1 cache.
    """
    width, words = shape[0, 1], codes.shape[1]
    total_codes, n_state_codes, per_word = code_counts(sizes, words)
    for c in range(words):
        n_tables = min(per_word, total_codes - c * per_word)
        for t in range(n_tables):
            row = 4 * (c * per_word + t)
            count = min(4, sizes[0] - row)
            if row >= 4 * n_state_codes:
                row -= 4 * n_state_codes
                row, count = sizes[0] + row, min(4, sizes[1] - row)
            tabulate(params, shape[0, 2] + row * width + column, width, count, True, tables, t * SUMS)
        bias = load(params, shape[0, 3] + column)
        for b in range(rows):
            total = bias if c == 0 else load(block, b * LANES)
            packed = get(codes, b * words + c)
            for t in range(n_tables):
                code = np.int64((packed >> np.uint64(4 * t)) & np.uint64(15))
                total = add(total, load(tables, t * SUMS + code * LANES))
            store(block, b * LANES, total)


@inner
def activate(block: Floats, column: int, rows: int, out: Floats) -> None:
    """out = relu(block), in its 32 columns."""
    for b in range(rows):
        store(out, b * out.shape[1] + column, relu(load(block, b * LANES)))


@inner
def activate_changed(
    params: Floats, shape: Integers, column: int, old: Words, new: Words, block: Floats, out: Floats
) -> None:
    """out = relu(block + (x_new - x_old) W1) in its 32 columns: a state bit that changed adds or subtracts 2 rows."""
    words, weights = old.shape[1], shape[0, 2] + column
    for b in range(old.shape[0]):
        total = load(block, b * LANES)
        for w in range(words):
            now = get(new, b * words + w)
            changed = now ^ get(old, b * words + w)
            while changed != np.uint64(0):
                bit = lowest_bit(changed)
                changed &= changed - np.uint64(1)
                sign = np.float32(2.0) if (now >> np.uint64(bit)) & np.uint64(1) else np.float32(-2.0)
                total = fma(splat(sign), load(params, weights + (64 * w + bit) * shape[0, 1]), total)
        store(out, b * out.shape[1] + column, relu(total))


@inner
def change_bits(params: Floats, shape: Integers, old: Words, new: Words, row: int, z: Floats) -> None:
    """z[row] += (x_new - x_old) W1, as in activate_changed."""
    width, words, first = shape[0, 1], old.shape[1], row * z.shape[1]
    for w in range(words):
        now = get(new, row * words + w)
        changed = now ^ get(old, row * words + w)
        while changed != np.uint64(0):
            bit = lowest_bit(changed)
            changed &= changed - np.uint64(1)
            sign = splat(np.float32(2.0) if (now >> np.uint64(bit)) & np.uint64(1) else np.float32(-2.0))
            weights = shape[0, 2] + (64 * w + bit) * width
            for column in range(0, width, LANES):
                store(z, first + column, fma(sign, load(params, weights + column), load(z, first + column)))


@inner
def transpose_bits(words: Words, n_bits: int, square: Words, columns: Words, first_row: int) -> None:
    """columns[first_row + i], bit b = words[b], bit i: squares of 64 x 64 bits, halved six times."""
    for w in range(words.shape[1]):
        for block in range(columns.shape[1]):
            for b in range(64):
                square[b] = words[64 * block + b, w] if 64 * block + b < words.shape[0] else np.uint64(0)
            half, mask = 32, np.uint64(0x00000000FFFFFFFF)
            while half > 0:
                for i in range(64):
                    if i & half == 0:
                        swap = ((square[i] >> np.uint64(half)) ^ square[i + half]) & mask
                        square[i] ^= swap << np.uint64(half)
                        square[i + half] ^= swap
                half >>= 1
                mask ^= mask << np.uint64(half)
            for i in range(min(64, n_bits - 64 * w)):
                columns[first_row + 64 * w + i, block] = square[i]


@inner
def first_layer_gradient(
    block: Floats, shape: Integers, column: int, columns: Words, rows: int, tables: Floats, d_params: Floats
) -> None:
    """In 32 columns, d_z = block: d_b1 = sum of d_z; d_W1 = x^T d_z = 2 sum of d_z where the bit is 1 - d_b1.

    An input adds one tabulated sum for every 4 samples instead of 4 products.
    """
    inputs, width, weights, biases = shape[0]
    words = columns.shape[1]
    minus_bias = splat(np.float32(0.0))
    for b in range(rows):
        minus_bias = sub(minus_bias, load(block, b * LANES))
    store(d_params, biases + column, sub(splat(np.float32(0.0)), minus_bias))
    for first in range(0, rows, 4 * FOURS):
        n_tables = min(FOURS, (rows - first + 3) >> 2)
        for t in range(n_tables):
            b = first + 4 * t
            tabulate(block, b * LANES, LANES, min(4, rows - b), False, tables, t * SUMS)
        for i in range(inputs):
            out = weights + i * width + column
            total = splat(np.float32(0.0))
            bits = get(columns, i * words + (first >> 6)) >> np.uint64(first & 63)
            for t in range(n_tables):
                code = np.int64((bits >> np.uint64(4 * t)) & np.uint64(15))
                total = add(total, load(tables, t * SUMS + code * LANES))
            before = minus_bias if first == 0 else load(d_params, out)
            store(d_params, out, fma(splat(np.float32(2.0)), total, before))


# --- dense layers -----------------------------------------------------------------------------------------------------


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
    """out[i, :] += sum_k a[i, k] b[k, :], elements at the given strides: 2 rows x 32 columns in registers."""
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
def dots(a: Floats, a_rows: int, b: Floats, b_first: int, b_rows: int, terms: int, out: Floats) -> None:
    """out[i, j] = sum_k a[i, k] b[j, k], a block of 4 x 3 sums at a time; past the last row the last is repeated."""
    stride = a.shape[1]
    for i in range(0, a_rows, 4):
        i1, i2, i3 = (min(i + 1, a_rows - 1), min(i + 2, a_rows - 1), min(i + 3, a_rows - 1))
        x0, x1, x2, x3 = i * stride, i1 * stride, i2 * stride, i3 * stride
        for j in range(0, b_rows, 3):
            j1, j2 = min(j + 1, b_rows - 1), min(j + 2, b_rows - 1)
            y0, y1, y2 = b_first + j * terms, b_first + j1 * terms, b_first + j2 * terms
            s00 = s01 = s02 = s10 = s11 = s12 = np.float32(0.0)
            s20 = s21 = s22 = s30 = s31 = s32 = np.float32(0.0)
            for k in range(terms):
                b0, b1, b2 = get(b, y0 + k), get(b, y1 + k), get(b, y2 + k)
                a0, a1, a2, a3 = (get(a, x0 + k), get(a, x1 + k), get(a, x2 + k), get(a, x3 + k))
                s00, s01, s02 = s00 + a0 * b0, s01 + a0 * b1, s02 + a0 * b2
                s10, s11, s12 = s10 + a1 * b0, s11 + a1 * b1, s12 + a1 * b2
                s20, s21, s22 = s20 + a2 * b0, s21 + a2 * b1, s22 + a2 * b2
                s30, s31, s32 = s30 + a3 * b0, s31 + a3 * b1, s32 + a3 * b2
            out[i, j], out[i, j1], out[i, j2] = s00, s01, s02
            out[i1, j], out[i1, j1], out[i1, j2] = s10, s11, s12
            out[i2, j], out[i2, j1], out[i2, j2] = s20, s21, s22
            out[i3, j], out[i3, j1], out[i3, j2] = s30, s31, s32
