"""The first layer on packed bits, forward and backward: dense formulas, made fast by tables of sums.

Conventions of all compiled rooms. A network is one flat float32 block `params`. `shape` int64[L + 1, 4] has a
row a layer: inputs, outputs, offset of the weights, offset of the biases. Hidden weights are input-major [inputs,
outputs], widths padded with zeros to whole vectors of 32 floats. The output layer, last row of `shape`, is action-major
[actions, inputs] in a block of its own, `head`, with the biases behind the weights. d_x is the loss's gradient by x.
Inputs are +-1: a bit b counts 2 b - 1. Arrays are C-contiguous.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from herfast.common.batches import Words
from herfast.networks.kernels.simd import (
    LANES,
    Floats,
    Integers,
    add,
    fma,
    get,
    inlined,
    inner,
    load,
    lowest_bit,
    splat,
    store,
    sub,
    where_positive,
)

SUMS = 16 * LANES  # floats of a table: the sums of all subsets of 4 rows, 32 columns wide
CODES = 16  # codes of 4 bits in a word, and so tables used at once: 32 KB, which the L1 and L2 caches hold


@inner
def extract_bits(words: Words, start: int, mask: Any, out: Words, column: int) -> None:
    """out[b, column] |= bits start .. start + 63 of words[b], those outside it as 0, and of them those in the mask."""
    last = words.shape[1] - 1
    w, shift = start >> 6, np.uint64(start & 63)
    low, high = min(max(w, 0), last), min(max(w + 1, 0), last)
    low_mask = ~np.uint64(0) if low == w else np.uint64(0)
    high_mask = ~np.uint64(0) if high == w + 1 else np.uint64(0)
    for b in range(words.shape[0]):
        low_bits = (get(words, b * (last + 1) + low) & low_mask) >> shift
        high_bits = (get(words, b * (last + 1) + high) & high_mask) << (np.uint64(63) - shift) << np.uint64(1)
        out[b, column] |= (low_bits | high_bits) & mask


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
    mask = ~np.uint64(0) >> np.uint64(64 - 4 * per_word)
    for c in range(codes.shape[1]):
        start = 4 * per_word * c
        codes[:, c] = np.uint64(0)
        extract_bits(states, start, mask, codes, c)
        extract_bits(goals, start - 4 * n_state_codes, mask, codes, c)


@inlined
def tabulate(row0: Any, row1: Any, row2: Any, row3: Any, tables: Floats, table: int) -> Any:
    """tables[table][v] = the sum of the rows, each times 1 or -1 by its bit of v. Returns the last one, all times 1."""
    total = add(add(row0, row1), add(row2, row3))
    none = sub(splat(np.float32(0.0)), total)
    row0, row1, row2, row3 = add(row0, row0), add(row1, row1), add(row2, row2), add(row3, row3)
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
    return total


@inlined
def sum_lookup(total: Any, codes: Any, tables: Floats, n_tables: int) -> Any:
    """total + the sums that the codes of 4 bits, the first lowest, choose from their tables; two codes at a time."""
    entries, table = np.uint64(15 * LANES), 0  # a code counts 32 floats
    for _ in range(n_tables >> 1):
        total = add(total, load(tables, table + np.int64((codes << np.uint64(5)) & entries)))
        total = add(total, load(tables, table + SUMS + np.int64((codes << np.uint64(1)) & entries)))
        codes, table = codes >> np.uint64(8), table + 2 * SUMS
    return add(total, load(tables, table + np.int64((codes << np.uint64(5)) & entries))) if n_tables & 1 else total


@inner
def tabulate_weights(
    params: Floats, shape: Integers, column: int, c: int, words: int, sizes: Any, tables: Floats
) -> Any:
    """The tables of W1's rows, 4 each, for the codes of word c, in 32 columns. Returns their number."""
    width, zero = shape[0, 1], splat(np.float32(0.0))
    total_codes, n_state_codes, per_word = code_counts(sizes, words)
    n_tables = min(per_word, total_codes - c * per_word)
    for t in range(n_tables):
        row = 4 * (c * per_word + t)
        count = min(4, sizes[0] - row)
        if row >= 4 * n_state_codes:
            row += sizes[0] - 4 * n_state_codes
            count = min(4, sizes[0] + sizes[1] - row)
        first = shape[0, 2] + row * width + column
        row0 = load(params, first)
        row1 = load(params, first + width) if count > 1 else zero
        row2 = load(params, first + 2 * width) if count > 2 else zero
        row3 = load(params, first + 3 * width) if count > 3 else zero
        tabulate(row0, row1, row2, row3, tables, t * SUMS)
    return n_tables


@inner
def first_layer(
    params: Floats, shape: Integers, column: int, codes: Words, rows: int, sizes: Any, tables: Floats, block: Floats
) -> Any:
    """For 32 columns of b1 + x W1: a sample adds one tabulated sum for every 4 inputs instead of 4 products.

    block = the sums without the last word of codes, float32[rows, 32]; `preactivation` adds that word, whose tables
    remain, their number returned. `sizes` are the numbers of state and goal bits.
    """
    words = codes.shape[1]
    for c in range(words - 1):
        n_tables = tabulate_weights(params, shape, column, c, words, sizes, tables)
        bias = load(params, shape[0, 3] + column)
        for b in range(rows):
            total = bias if c == 0 else load(block, b * LANES)
            store(block, b * LANES, sum_lookup(total, get(codes, b * words + c), tables, n_tables))
    return tabulate_weights(params, shape, column, words - 1, words, sizes, tables)


@inlined
def preactivation(bias: Any, codes: Words, b: int, tables: Floats, n_tables: int, block: Floats) -> Any:
    """b1 + x W1 of sample b in 32 columns, after `first_layer`; `bias` is b1 there."""
    words = codes.shape[1]
    total = bias if words == 1 else load(block, b * LANES)
    return sum_lookup(total, get(codes, b * words + words - 1), tables, n_tables)


@inlined
def relu(x: Any) -> Any:
    """0 if x <= 0 else x, so that NaN stays NaN."""
    return where_positive(x, x)


@inlined
def apply_flips(z: Any, params: Floats, weights: int, width: int, old: Words, new: Words, b: int) -> Any:
    """z + (x_new - x_old) W1 of sample b, 32 columns from `weights` on: a changed bit adds or subtracts 2 rows."""
    words = old.shape[1]
    for w in range(words):
        now = get(new, b * words + w)
        difference = now ^ get(old, b * words + w)
        while difference != np.uint64(0):
            bit = lowest_bit(difference)
            difference &= difference - np.uint64(1)
            sign = np.float32(2.0) if (now >> np.uint64(bit)) & np.uint64(1) else np.float32(-2.0)
            z = fma(splat(sign), load(params, weights + (64 * w + bit) * width), z)
    return z


@inner
def update_preactivation(params: Floats, shape: Integers, old: Words, new: Words, row: int, z: Floats) -> None:
    """z[row] += (x_new - x_old) W1, as in `apply_flips`."""
    width, weights, first = shape[0, 1], shape[0, 2], row * z.shape[1]
    for column in range(0, width, LANES):
        total = load(z, first + column)
        store(z, first + column, apply_flips(total, params, weights + column, width, old, new, row))


@inner
def transpose_bits(words: Words, n_bits: int, square: Words, columns: Words, first_row: int) -> None:
    """columns[first_row + i], bit b = words[b], bit i: squares of 64 x 64 bits, halved six times."""
    for w in range(words.shape[1]):
        for block in range(columns.shape[1]):
            for b in range(64):
                square[b] = words[64 * block + b, w] if 64 * block + b < words.shape[0] else np.uint64(0)
            half, mask = 32, np.uint64(0x00000000FFFFFFFF)
            while half > 0:
                for first in range(0, 64, 2 * half):
                    for i in range(first, first + half):
                        swap = ((square[i] >> np.uint64(half)) ^ square[i + half]) & mask
                        square[i] ^= swap << np.uint64(half)
                        square[i + half] ^= swap
                half >>= 1
                mask ^= mask << np.uint64(half)
            for i in range(min(64, n_bits - 64 * w)):
                columns[first_row + 64 * w + i, block] = square[i]


@inner
def first_layer_gradient(
    columns: Words, first: int, n_tables: int, shape: Integers, column: int, tables: Floats, sums: Floats, out: Floats
) -> None:
    """d_W1 = x^T d_z in 32 columns: an input adds one tabulated sum for every 4 samples instead of 4 products.

    Called for 64 samples at a time, from `first` on, whose d_z are in `tables`. `columns` is the batch transposed. What
    former calls found is in `sums` float32[inputs, 32], rows that lie close together; the last one writes to `out`.
    """
    inputs, width, weights, _ = shape[0]
    words, zero, w = columns.shape[1], splat(np.float32(0.0)), first >> 6
    for i in range(inputs):
        total = zero if first == 0 else load(sums, i * LANES)
        total = sum_lookup(total, get(columns, i * words + w), tables, n_tables)
        if w == words - 1:
            store(out, weights + i * width + column, total)
        else:
            store(sums, i * LANES, total)
