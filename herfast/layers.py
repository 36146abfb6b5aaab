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

from herfast.simd import FASTMATH, LANES, add, fma, get, load, lowest_bit, relu, splat, store

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
        fastmath=set(FASTMATH),
        error_model="numpy",
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        _nrt=False,
    )(function)
    return compiled


@inner
def encode(states: Words, goals: Words, n_state_bits: int, n_goal_bits: int, codes: Words) -> None:
    """codes[b]: 4 bits after 4 bits of the state, then of the goal, the first lowest, CODES to a word."""
    state_words, goal_words = states.shape[1], goals.shape[1]
    n_state_codes, total_codes = (n_state_bits + 3) >> 2, n_codes(n_state_bits, n_goal_bits)
    for b in range(states.shape[0]):
        for c in range(codes.shape[1]):
            packed = np.uint64(0)
            for j in range(c * CODES, min((c + 1) * CODES, total_codes)):
                if j < n_state_codes:
                    code = get(states, b * state_words + (j >> 4)) >> np.uint64(4 * (j & 15))
                else:
                    i = j - n_state_codes
                    code = get(goals, b * goal_words + (i >> 4)) >> np.uint64(4 * (i & 15))
                packed |= (code & np.uint64(15)) << np.uint64(4 * (j - c * CODES))
            codes[b, c] = packed


@inner
def n_codes(n_state_bits: int, n_goal_bits: int) -> int:
    """How many groups of 4 inputs there are; state and goal each fill their last group with nothing."""
    return ((n_state_bits + 3) >> 2) + ((n_goal_bits + 3) >> 2)


@inner
def tabulate(source: Floats, first: int, row_stride: int, count: int, signed: bool, tables: Floats, table: int) -> None:
    """tables[table][v] = sum_j x_j source[row j] over count <= 4 rows: x_j is bit j of v, or +-1 by it if signed."""
    total = splat(np.float32(0.0))
    step = splat(np.float32(2.0 if signed else 1.0))
    if signed:
        for j in range(count):
            total = fma(splat(np.float32(-1.0)), load(source, first + j * row_stride), total)
    store(tables, table, total)
    for j in range(count):
        row = load(source, first + j * row_stride)
        for v in range(1 << j):
            store(tables, table + ((1 << j) + v) * LANES, fma(step, row, load(tables, table + v * LANES)))


@inner
def first_layer(
    params: Floats,
    shape: Integers,
    codes: Words,
    rows: int,
    n_state_bits: int,
    n_goal_bits: int,
    tables: Floats,
    z: Floats,
) -> None:
    """z = b1 + x W1: a sample adds one tabulated sum for every 4 inputs, where the plain formula adds 4 products."""
    width, stride, words = shape[0, 1], z.shape[1], codes.shape[1]
    n_state_codes, total_codes = (n_state_bits + 3) >> 2, n_codes(n_state_bits, n_goal_bits)
    for column in range(0, width, LANES):
        for c in range(words):
            n_tables = min(CODES, total_codes - c * CODES)
            for t in range(n_tables):
                j = c * CODES + t
                goal_row = 4 * (j - n_state_codes)
                row, count = 4 * j, min(4, n_state_bits - 4 * j)
                if goal_row >= 0:
                    row, count = n_state_bits + goal_row, min(4, n_goal_bits - goal_row)
                tabulate(params, shape[0, 2] + row * width + column, width, count, True, tables, t * SUMS)
            for b in range(rows):
                total = load(params, shape[0, 3] + column) if c == 0 else load(z, b * stride + column)
                packed = get(codes, b * words + c)
                for t in range(n_tables):
                    code = np.int64((packed >> np.uint64(4 * t)) & np.uint64(15))
                    total = add(total, load(tables, t * SUMS + code * LANES))
                store(z, b * stride + column, total)


@inner
def change_bits(params: Floats, shape: Integers, old: Words, new: Words, row: int, z: Floats, out: Floats) -> None:
    """out[row] = z[row] + (x_new - x_old) W1 over the state bits that changed: a bit adds or subtracts 2 rows."""
    width, stride, words = shape[0, 1], z.shape[1], old.shape[1]
    for column in range(0, width, LANES):
        total = load(z, row * stride + column)
        for w in range(words):
            now = get(new, row * words + w)
            changed = now ^ get(old, row * words + w)
            while changed != np.uint64(0):
                bit = lowest_bit(changed)
                changed &= changed - np.uint64(1)
                sign = np.float32(2.0) if (now >> np.uint64(bit)) & np.uint64(1) else np.float32(-2.0)
                total = fma(splat(sign), load(params, shape[0, 2] + (64 * w + bit) * width + column), total)
        store(out, row * stride + column, total)


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
    d_z: Floats, columns: Words, rows: int, shape: Integers, tables: Floats, d_params: Floats
) -> None:
    """d_W1 = x^T d_z = 2 sum of d_z over the samples whose bit is 1 - d_b1: one tabulated sum for every 4 samples."""
    inputs, width, stride, words = shape[0, 0], shape[0, 1], d_z.shape[1], columns.shape[1]
    for column in range(0, width, LANES):
        minus_bias = fma(splat(np.float32(-1.0)), load(d_params, shape[0, 3] + column), splat(np.float32(0.0)))
        for first in range(0, rows, 4 * FOURS):
            n_tables = min(FOURS, (rows - first + 3) >> 2)
            for t in range(n_tables):
                b = first + 4 * t
                tabulate(d_z, b * stride + column, stride, min(4, rows - b), False, tables, t * SUMS)
            for i in range(inputs):
                out = shape[0, 2] + i * width + column
                total = splat(np.float32(0.0))
                bits = get(columns, i * words + (first >> 6)) >> np.uint64(first & 63)
                for t in range(n_tables):
                    code = np.int64((bits >> np.uint64(4 * t)) & np.uint64(15))
                    total = add(total, load(tables, t * SUMS + code * LANES))
                before = minus_bias if first == 0 else load(d_params, out)
                store(d_params, out, fma(splat(np.float32(2.0)), total, before))


# --- dense layers -----------------------------------------------------------------------------------------------------


@inner
def activate(x: Floats, rows: int, width: int) -> None:
    """x = relu(x), in place."""
    for b in range(rows):
        for column in range(b * x.shape[1], b * x.shape[1] + width, LANES):
            store(x, column, relu(load(x, column)))


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
            total_i, total_j = load(out, out_first + i * out_row + column), load(out, out_first + j * out_row + column)
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
        i1, i2, i3 = min(i + 1, a_rows - 1), min(i + 2, a_rows - 1), min(i + 3, a_rows - 1)
        x0, x1, x2, x3 = i * stride, i1 * stride, i2 * stride, i3 * stride
        for j in range(0, b_rows, 3):
            j1, j2 = min(j + 1, b_rows - 1), min(j + 2, b_rows - 1)
            y0, y1, y2 = b_first + j * terms, b_first + j1 * terms, b_first + j2 * terms
            s00 = s01 = s02 = s10 = s11 = s12 = np.float32(0.0)
            s20 = s21 = s22 = s30 = s31 = s32 = np.float32(0.0)
            for k in range(terms):
                b0, b1, b2 = get(b, y0 + k), get(b, y1 + k), get(b, y2 + k)
                a0, a1, a2, a3 = get(a, x0 + k), get(a, x1 + k), get(a, x2 + k), get(a, x3 + k)
                s00, s01, s02 = s00 + a0 * b0, s01 + a0 * b1, s02 + a0 * b2
                s10, s11, s12 = s10 + a1 * b0, s11 + a1 * b1, s12 + a1 * b2
                s20, s21, s22 = s20 + a2 * b0, s21 + a2 * b1, s22 + a2 * b2
                s30, s31, s32 = s30 + a3 * b0, s31 + a3 * b1, s32 + a3 * b2
            out[i, j], out[i, j1], out[i, j2] = s00, s01, s02
            out[i1, j], out[i1, j1], out[i1, j2] = s10, s11, s12
            out[i2, j], out[i2, j1], out[i2, j2] = s20, s21, s22
            out[i3, j], out[i3, j1], out[i3, j2] = s30, s31, s32
