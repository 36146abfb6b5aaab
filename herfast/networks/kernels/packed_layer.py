"""First layer on packed bits, forward and backward, computed from tables of sums.

Conventions of all kernels:

- The parameters of a network are one flat float32 array `params`.
- `shape` int64[L + 1, 4] has one row per layer: inputs, outputs, offset of the weights, offset of the biases.
- Hidden weights are input-major [inputs, outputs]. Widths are padded with zeros to a multiple of 32.
- The output layer is the last row of `shape`. Its weights are action-major [actions, inputs] and followed by
  its biases, in an array `head` of their own.
- d_x is the gradient of the loss with respect to x.
- A bit b is the input 2 b - 1, which is +-1.
- Arrays are C-contiguous.
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

# Rows and columns of `shape`.
FIRST = 0  # the first layer
LAST = -1  # the output layer
INPUTS = 0
OUTPUTS = 1
WEIGHTS = 2  # offset of the weights
BIASES = 3  # offset of the biases

SUMS = 16 * LANES  # floats in a table: the 16 signed sums of 4 rows, in 32 columns
CODES = 16  # 4-bit codes per word, and tables in use at once: 32 KB, which stay in the L1 and L2 caches


@inner
def extract_bits(words: Words, start: int, mask: Any, out: Words, column: int) -> None:
    """Set out[b, column] |= mask & the 64 bits of words[b] from `start` on.

    Bits before the first word or after the last one count as 0. `start` may be negative.
    """
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
    """Return the number of codes in total, of the state, and per word of codes.

    A code holds 4 bits. The last code of the state and that of the goal are padded with zeros.
    """
    n_state_codes, n_goal_codes = (sizes[0] + 3) >> 2, (sizes[1] + 3) >> 2
    total = n_state_codes + n_goal_codes
    return total, n_state_codes, (total + words - 1) // words


@inner
def encode(states: Words, goals: Words, sizes: Any, codes: Words) -> None:
    """Write the 4-bit codes of the states, then of the goals, to codes[b].

    All words but the last hold the same number of codes. The first code is in the lowest bits.
    """
    _, n_state_codes, per_word = code_counts(sizes, codes.shape[1])
    mask = ~np.uint64(0) >> np.uint64(64 - 4 * per_word)
    for c in range(codes.shape[1]):
        start = 4 * per_word * c
        codes[:, c] = np.uint64(0)
        extract_bits(states, start, mask, codes, c)
        extract_bits(goals, start - 4 * n_state_codes, mask, codes, c)


@inlined
def tabulate(row0: Any, row1: Any, row2: Any, row3: Any, tables: Floats, table: int) -> Any:
    """Write the 16 signed sums of four rows to a table.

    Entry v is the sum of the rows, row i times +1 if bit i of v is set, else times -1.
    `table` is the offset of the table in `tables`. Returns the sum of the four rows.
    """
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
    """Return total + the table entries selected by the 4-bit codes.

    Code t selects an entry of table t. Code 0 is in the lowest bits. Two codes are processed per iteration.
    """
    entries, table = np.uint64(15 * LANES), 0  # a table entry has 32 floats
    for _ in range(n_tables >> 1):
        total = add(total, load(tables, table + np.int64((codes << np.uint64(5)) & entries)))
        total = add(total, load(tables, table + SUMS + np.int64((codes << np.uint64(1)) & entries)))
        codes, table = codes >> np.uint64(8), table + 2 * SUMS
    return (
        add(total, load(tables, table + np.int64((codes << np.uint64(5)) & entries)))
        if n_tables & 1
        else total
    )


@inner
def tabulate_weights(
    params: Floats, shape: Integers, column: int, c: int, words: int, sizes: Any, tables: Floats
) -> Any:
    """Write the tables of W1 for the codes of word c, in 32 columns.

    A table has the signed sums of 4 rows of W1. Returns the number of tables.
    """
    width, zero = shape[FIRST, OUTPUTS], splat(np.float32(0.0))
    total_codes, n_state_codes, per_word = code_counts(sizes, words)
    n_tables = min(per_word, total_codes - c * per_word)
    for t in range(n_tables):
        row = 4 * (c * per_word + t)
        count = min(4, sizes[0] - row)
        if row >= 4 * n_state_codes:
            row += sizes[0] - 4 * n_state_codes
            count = min(4, sizes[0] + sizes[1] - row)
        first = shape[FIRST, WEIGHTS] + row * width + column
        row0 = load(params, first)
        row1 = load(params, first + width) if count > 1 else zero
        row2 = load(params, first + 2 * width) if count > 2 else zero
        row3 = load(params, first + 3 * width) if count > 3 else zero
        tabulate(row0, row1, row2, row3, tables, t * SUMS)
    return n_tables


@inner
def first_layer(
    params: Floats,
    shape: Integers,
    column: int,
    codes: Words,
    rows: int,
    sizes: Any,
    tables: Floats,
    block: Floats,
) -> Any:
    """Compute 32 columns of b1 + x W1, except for the last word of codes.

    Each sample adds one tabulated sum for every 4 inputs, instead of 4 products.
    The partial sums are written to `block`, float32[rows, 32]. `preactivation` adds the last word of codes.
    Its tables are left in `tables`, and their number is returned.
    `sizes` are the numbers of state and goal bits.
    """
    words = codes.shape[1]
    for c in range(words - 1):
        n_tables = tabulate_weights(params, shape, column, c, words, sizes, tables)
        bias = load(params, shape[FIRST, BIASES] + column)
        for b in range(rows):
            total = bias if c == 0 else load(block, b * LANES)
            store(block, b * LANES, sum_lookup(total, get(codes, b * words + c), tables, n_tables))
    return tabulate_weights(params, shape, column, words - 1, words, sizes, tables)


@inlined
def preactivation(bias: Any, codes: Words, b: int, tables: Floats, n_tables: int, block: Floats) -> Any:
    """Return b1 + x W1 of sample b in 32 columns, after `first_layer`.

    `bias` is b1 in these columns.
    """
    words = codes.shape[1]
    total = bias if words == 1 else load(block, b * LANES)
    return sum_lookup(total, get(codes, b * words + words - 1), tables, n_tables)


@inlined
def relu(x: Any) -> Any:
    """Return 0 if x <= 0, else x, so that NaN stays NaN."""
    return where_positive(x, x)


@inlined
def apply_flips(z: Any, params: Floats, weights: int, width: int, old: Words, new: Words, b: int) -> Any:
    """Return z + (x_new - x_old) W1 of sample b, in 32 columns from `weights` on.

    A changed bit adds or subtracts twice its row.
    """
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
def update_preactivation(
    params: Floats, shape: Integers, old: Words, new: Words, row: int, z: Floats
) -> None:
    """Add (x_new - x_old) W1 to z[row] in all columns, as `apply_flips` does."""
    width, weights, first = shape[FIRST, OUTPUTS], shape[FIRST, WEIGHTS], row * z.shape[1]
    for column in range(0, width, LANES):
        total = load(z, first + column)
        store(z, first + column, apply_flips(total, params, weights + column, width, old, new, row))


@inner
def transpose_bits(words: Words, n_bits: int, square: Words, columns: Words, first_row: int) -> None:
    """Transpose packed bits: bit b of columns[first_row + i] = bit i of words[b].

    Blocks of 64 x 64 bits are transposed by swapping halves six times.
    """
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
    columns: Words,
    first: int,
    n_tables: int,
    shape: Integers,
    column: int,
    tables: Floats,
    sums: Floats,
    out: Floats,
) -> None:
    """Compute d_W1 = x^T d_z in 32 columns, from 64 samples per call.

    Each input adds one tabulated sum for every 4 samples, instead of 4 products.
    The samples are those from `first` on, with their d_z in `tables`. `columns` is the transposed batch.
    Partial sums are kept in `sums`, float32[inputs, 32], whose rows are adjacent in memory.
    The call for the last samples writes to `out`.
    """
    inputs, width, weights, _ = shape[FIRST]
    words, zero, w = columns.shape[1], splat(np.float32(0.0)), first >> 6
    for i in range(inputs):
        total = zero if first == 0 else load(sums, i * LANES)
        total = sum_lookup(total, get(columns, i * words + w), tables, n_tables)
        if w == words - 1:
            store(out, weights + i * width + column, total)
        else:
            store(sums, i * LANES, total)
