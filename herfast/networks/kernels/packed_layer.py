"""First layer on packed bits, forward and backward, computed from tables of sums.

Conventions of all kernels:

- Arrays have no shape, see simd.py. Their shapes are in comments, and in `arrays.py`.
- The parameters of a network are one flat float32 array `params`. `shape`, a Layout, has their places.
- Hidden weights are input-major [inputs, outputs]. Widths are padded with zeros to a multiple of 32.
- Output weights are action-major [actions, inputs] and followed by the biases, in an array `head`.
- d_x is the gradient of the loss with respect to x.
- A bit b is the input low + step b: -1 or 1, or 0 or 1 with Config.encoding "binary".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from herfast.common.batches import Words
from herfast.networks.arrays import LANES, SUMS, Floats, Layout, Scratch, Team
from herfast.networks.kernels.simd import (
    add,
    fma,
    inlined,
    inner,
    load,
    lowest_bit,
    mul,
    offset,
    splat,
    store,
)


@inner
def extract_bits(
    words: Words, n_words: int, rows: int, start: int, mask: Any, out: Words, stride: int
) -> None:
    """Set out[b * stride] |= mask & the 64 bits of words[b] from `start` on.

    `words` is [rows, n_words]. Bits before the first word or after the last one count as 0. `start` may be
    negative.
    """
    last = n_words - 1
    w, shift = start >> 6, np.uint64(start & 63)
    low = 0 if w < 0 else w if w < last else last
    high = 0 if w < -1 else w + 1 if w < last else last
    low_mask = ~np.uint64(0) if low == w else np.uint64(0)
    high_mask = ~np.uint64(0) if high == w + 1 else np.uint64(0)
    for b in range(rows):
        low_bits = (words[b * n_words + low] & low_mask) >> shift
        high_bits = (words[b * n_words + high] & high_mask) << (np.uint64(63) - shift) << np.uint64(1)
        out[b * stride] |= (low_bits | high_bits) & mask


@inner
def encode(states: Words, goals: Words, start: int, end: int, shape: Layout, work: Scratch) -> None:
    """Write the 4-bit codes of the states, then of the goals, to codes[b].

    It is done for start <= b < end. All words but the last hold the same number of codes. The first code is
    in the lowest bits.
    """
    mask = ~np.uint64(0) >> np.uint64(64 - 4 * work.codes_per_word)
    states, goals = offset(states, start * shape.state_words), offset(goals, start * shape.goal_words)
    for i in range(start * work.code_words, end * work.code_words):
        work.codes[i] = np.uint64(0)
    for c in range(work.code_words):
        bit, codes = 4 * work.codes_per_word * c, offset(work.codes, start * work.code_words + c)
        extract_bits(states, shape.state_words, end - start, bit, mask, codes, work.code_words)
        bit -= 4 * shape.state_codes
        extract_bits(goals, shape.goal_words, end - start, bit, mask, codes, work.code_words)


@inlined
def tabulate(row0: Any, row1: Any, row2: Any, row3: Any, shape: Layout, tables: Floats, table: int) -> Any:
    """Write 16 weighted sums of four rows to a table.

    Entry v is the sum of the rows, row i times the input that bit i of v is: sum_i (low + step bit_i) row_i.
    `table` is the offset of the table in `tables`. Returns the sum of the four rows.
    """
    total, step = add(add(row0, row1), add(row2, row3)), splat(np.float32(shape.step))
    none = fma(splat(np.float32(shape.low)), total, splat(np.float32(0.0)))
    row0, row1, row2, row3 = mul(step, row0), mul(step, row1), mul(step, row2), mul(step, row3)
    for v in range(0, 16, 8):
        sum0 = none if v == 0 else add(none, row3)
        entry = table + v * LANES
        sum1, sum2 = add(sum0, row0), add(sum0, row1)
        sum3 = add(sum1, row1)
        store(tables, entry, sum0)
        store(tables, entry + LANES, sum1)
        store(tables, entry + 2 * LANES, sum2)
        store(tables, entry + 3 * LANES, sum3)
        store(tables, entry + 4 * LANES, add(sum0, row2))
        store(tables, entry + 5 * LANES, add(sum1, row2))
        store(tables, entry + 6 * LANES, add(sum2, row2))
        store(tables, entry + 7 * LANES, add(sum3, row2))
    return total


@inlined
def table_entry(tables: Floats, table: Any, codes: Any) -> Any:
    """Return the entry of a table that the lowest 4 bits of `codes` select."""
    return load(tables, table + np.int64((codes & np.uint64(15)) * np.uint64(LANES)))


@inlined
def sum_lookup(total: Any, codes: Any, tables: Floats, n_tables: int) -> Any:
    """Return total + the table entries selected by the 4-bit codes.

    Code t selects an entry of table t. Code 0 is in the lowest bits. Two codes are processed per iteration.
    """
    table = 0
    for _ in range(n_tables >> 1):
        total = add(total, table_entry(tables, table, codes))
        total = add(total, table_entry(tables, table + SUMS, codes >> np.uint64(4)))
        codes, table = codes >> np.uint64(8), table + 2 * SUMS
    return add(total, table_entry(tables, table, codes)) if n_tables & 1 else total


@inner
def tabulate_weights(params: Floats, shape: Layout, column: int, c: int, work: Scratch) -> Any:
    """Write the tables of W1 for the codes of word c, in 32 columns.

    A table has the weighted sums of 4 rows of W1. Returns the number of tables.
    """
    width, zero = shape.width, splat(np.float32(0.0))
    first_code = c * work.codes_per_word
    n_tables = shape.codes - first_code
    if n_tables > work.codes_per_word:
        n_tables = work.codes_per_word
    for t in range(n_tables):
        row, end = 4 * (first_code + t), shape.n_state_bits
        if row >= 4 * shape.state_codes:
            row += shape.n_state_bits - 4 * shape.state_codes
            end = shape.n_inputs
        first = row * width + column
        row0 = load(params, first)
        row1 = load(params, first + width) if row + 1 < end else zero
        row2 = load(params, first + 2 * width) if row + 2 < end else zero
        row3 = load(params, first + 3 * width) if row + 3 < end else zero
        tabulate(row0, row1, row2, row3, shape, work.tables, t * SUMS)
    return n_tables


@inner
def first_layer(params: Floats, shape: Layout, column: int, start: Any, end: int, work: Scratch) -> Any:
    """Compute 32 columns of b1 + x W1, except for the last word of codes.

    It is done for the samples start <= b < end.
    Each sample adds one tabulated sum for every 4 inputs, instead of 4 products.
    The partial sums are written to work.block. `preactivation` adds the last word of codes. Its tables are
    left in work.tables, and their number is returned.
    """
    words = work.code_words
    for c in range(words - 1):
        n_tables = tabulate_weights(params, shape, column, c, work)
        bias = load(params, shape.biases + column)
        for b in range(start, end):
            total = bias if c == 0 else load(work.block, b * LANES)
            total = sum_lookup(total, work.codes[b * words + c], work.tables, n_tables)
            store(work.block, b * LANES, total)
    return tabulate_weights(params, shape, column, words - 1, work)


@inlined
def preactivation(bias: Any, b: int, n_tables: int, work: Scratch) -> Any:
    """Return b1 + x W1 of sample b in 32 columns, after `first_layer`.

    `bias` is b1 in these columns.
    """
    words = work.code_words
    total = bias if words == 1 else load(work.block, b * LANES)
    return sum_lookup(total, work.codes[b * words + words - 1], work.tables, n_tables)


@inlined
def apply_flips(z: Any, params: Floats, shape: Layout, column: int, old: Words, new: Words, b: int) -> Any:
    """Return z + (x_new - x_old) W1 of sample b in 32 columns.

    A changed bit adds or subtracts its row times `shape.step`.
    """
    words, step = shape.state_words, np.float32(shape.step)
    for w in range(words):
        now = new[b * words + w]
        difference = now ^ old[b * words + w]
        while difference != np.uint64(0):
            bit = lowest_bit(difference)
            difference &= difference - np.uint64(1)
            change = step if (now >> np.uint64(bit)) & np.uint64(1) else -step
            z = fma(splat(change), load(params, (64 * w + bit) * shape.width + column), z)
    return z


@inner
def transpose_bits(
    words: Words,
    n_bits: int,
    row_words: int,
    rows: int,
    column_words: int,
    team: Team,
    square: Words,
    columns: Words,
) -> None:
    """Transpose packed bits: bit b of columns[i] = bit i of words[b].

    Blocks of 64 x 64 bits are transposed by swapping halves six times.
    """
    for w in range(row_words):
        for block in range(team.thread, column_words, team.n_threads):
            for b in range(64):
                row = 64 * block + b
                square[b] = words[row * row_words + w] if row < rows else np.uint64(0)
            half, mask = 32, np.uint64(0x00000000FFFFFFFF)
            while half > 0:
                for first in range(0, 64, 2 * half):
                    for i in range(first, first + half):
                        swap = ((square[i] >> np.uint64(half)) ^ square[i + half]) & mask
                        square[i] ^= swap << np.uint64(half)
                        square[i + half] ^= swap
                half >>= 1
                mask ^= mask << np.uint64(half)
            n_columns = n_bits - 64 * w
            if n_columns > 64:
                n_columns = 64
            for i in range(n_columns):
                columns[(64 * w + i) * column_words + block] = square[i]


@inner
def first_layer_gradient(
    columns: Words,
    w: int,
    words: int,
    n_tables: int,
    shape: Layout,
    column: int,
    tables: Floats,
    sums: Floats,
    out: Floats,
) -> None:
    """Compute d_W1 = x^T d_z in 32 columns, from 64 samples per call.

    Each input adds one tabulated sum for every 4 samples, instead of 4 products. With two inputs at a time,
    lookups take a fifth less time.
    The samples are those of word w of `columns`, the transposed batch with `words` words per row. Their d_z
    are in `tables`. Partial sums are kept in `sums`, float32[inputs, 32], whose rows are adjacent in memory.
    The call for the last samples writes to `out`.
    """
    for i in range(0, shape.n_inputs, 2):
        j = i + 1 if i + 1 < shape.n_inputs else i
        total_i = splat(np.float32(0.0)) if w == 0 else load(sums, i * LANES)
        total_j = splat(np.float32(0.0)) if w == 0 else load(sums, j * LANES)
        codes_i, codes_j = columns[i * words + w], columns[j * words + w]
        for table in range(0, n_tables * SUMS, SUMS):
            total_i = add(total_i, table_entry(tables, table, codes_i))
            total_j = add(total_j, table_entry(tables, table, codes_j))
            codes_i, codes_j = codes_i >> np.uint64(4), codes_j >> np.uint64(4)
        if w == words - 1:
            store(out, i * shape.width + column, total_i)
            store(out, j * shape.width + column, total_j)
        else:
            store(sums, i * LANES, total_i)
            store(sums, j * LANES, total_j)
