"""Tests of the packed first layer against its reference.

Weights are small integers, whose float32 sums are exact in any order.
"""

import numpy as np
import pytest
from numba import njit
from reference import layers as reference
from support.exact_arithmetic import SENTINEL, random_integers

from herfast import pack_bits
from herfast.networks.kernels import packed_layer
from herfast.networks.kernels.simd import LANES, load, splat, store

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 47, 48, 49, 63, 64, 65, 127, 128, 129, 1000]
ROWS = [1, 2, 3, 5, 33]
BATCHES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 512]


@njit
def _encode(states, goals, sizes, codes):
    packed_layer.encode(states, goals, sizes, codes)
    return packed_layer.code_counts(sizes, codes.shape[1])


@njit
def _tabulate(source, first, stride, tables, table, out):
    rows = (load(source, first), load(source, first + stride), load(source, first + 2 * stride))
    last_row = load(source, first + 3 * stride)
    store(out, 0, packed_layer.tabulate(rows[0], rows[1], rows[2], last_row, tables, table))


@njit
def _sum_lookup(codes, tables, n_tables, out):
    store(out, 0, packed_layer.sum_lookup(load(out, 0), codes, tables, n_tables))


@njit
def _first_layer(params, shape, column, codes, rows, sizes, tables, block, z):
    n_tables = packed_layer.first_layer(params, shape, column, codes, rows, sizes, tables, block)
    bias = load(params, shape[0, 3] + column)
    for b in range(rows):
        store(z, b * LANES, packed_layer.preactivation(bias, codes, b, tables, n_tables, block))


@njit
def _update_preactivation(params, shape, old, new, row, z):
    packed_layer.update_preactivation(params, shape, old, new, row, z)


@njit
def _transpose_bits(words, n_bits, square, columns, first_row):
    packed_layer.transpose_bits(words, n_bits, square, columns, first_row)


@njit
def _first_layer_gradient(d_z, shape, column, columns, tables, sums, out):
    """Compute the gradient as an update does, from 64 samples per call.

    A table has 4 samples. Rows past the last one are 0.
    """
    zero = splat(np.float32(0.0))
    for first in range(0, d_z.shape[0], 64):
        n_tables = min(16, (d_z.shape[0] - first + 3) // 4)
        for t in range(n_tables):
            b, rows = first + 4 * t, d_z.shape[0]
            row0 = load(d_z, b * LANES)
            row1 = load(d_z, (b + 1) * LANES) if b + 1 < rows else zero
            row2 = load(d_z, (b + 2) * LANES) if b + 2 < rows else zero
            row3 = load(d_z, (b + 3) * LANES) if b + 3 < rows else zero
            packed_layer.tabulate(row0, row1, row2, row3, tables, t * packed_layer.SUMS)
        packed_layer.first_layer_gradient(columns, first, n_tables, shape, column, tables, sums, out)


def random_bits(rng, rows, n_bits):
    return rng.integers(0, 2, (rows, n_bits))


def filled(*shape):
    return np.full(shape, SENTINEL, np.float32)


def n_codes(n_state_bits, n_goal_bits):
    return -(-n_state_bits // 4) + -(-n_goal_bits // 4)


def encoded(state_bits, goal_bits):
    total = n_codes(state_bits.shape[1], goal_bits.shape[1])
    codes = np.full((len(state_bits), -(-total // packed_layer.CODES)), SENTINEL, np.uint64)
    sizes = (state_bits.shape[1], goal_bits.shape[1])
    found = _encode(pack_bits(state_bits), pack_bits(goal_bits), sizes, codes)
    assert found == (total, n_codes(sizes[0], 0), -(-total // codes.shape[1]))
    return codes


def tables_for(count):
    """Return tables of NaN, so that an entry used before it is written is detected."""
    return np.full(count * packed_layer.SUMS, np.nan, np.float32)


class Block:
    """A first layer inside a flat vector of parameters."""

    def __init__(self, rng, inputs, width):
        self.params = random_integers(rng, 5 + inputs * width + 3 + width + 2)
        biases = 5 + inputs * width + 3
        self.shape = np.array([[inputs, width, 5, biases]])
        self.weights = self.params[5 : 5 + inputs * width].reshape(inputs, width)
        self.biases = self.params[biases : biases + width]


def goal_sizes(n_bits):
    return sorted({1, max(1, n_bits - 3), n_bits})


@pytest.mark.parametrize("n_bits", SIZES)
def test_codes_equal_the_reference(n_bits):
    rng = np.random.default_rng(n_bits)
    for n_goal_bits in goal_sizes(n_bits):
        for rows in ROWS:
            state_bits, goal_bits = random_bits(rng, rows, n_bits), random_bits(rng, rows, n_goal_bits)
            np.testing.assert_array_equal(
                encoded(state_bits, goal_bits), reference.codes(state_bits, goal_bits)
            )


@pytest.mark.parametrize("table", [0, 1])
def test_tables_equal_the_reference(table):
    source = random_integers(np.random.default_rng(table), 6, 41)
    tables = tables_for(2)
    total = filled(33)
    _tabulate(source, 41 + 3, 41, tables, table * packed_layer.SUMS, total)
    rows = source[1:5, 3:35]
    found = tables.reshape(2, 16, 32)
    np.testing.assert_array_equal(found[table], reference.table(rows))
    np.testing.assert_array_equal(total, [*rows.sum(axis=0), SENTINEL])
    assert np.isnan(found[1 - table]).all()


@pytest.mark.parametrize("n_tables", range(17))
def test_sum_lookup_adds_the_selected_entries(n_tables):
    rng = np.random.default_rng(n_tables)
    tables = random_integers(rng, 16, 16, 32)
    chosen = rng.integers(0, 16, 16)
    codes = sum(int(code) << (4 * t) for t, code in enumerate(chosen))
    out = random_integers(rng, 32)
    expected = out + sum(tables[t, chosen[t]] for t in range(n_tables))
    _sum_lookup(np.uint64(codes), tables, n_tables, out)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("n_bits", SIZES)
def test_preactivations_equal_the_reference(n_bits):
    rng = np.random.default_rng(n_bits)
    for n_goal_bits in goal_sizes(n_bits):
        for rows, width in zip(ROWS, [32, 64, 96, 32, 64], strict=True):
            block = Block(rng, n_bits + n_goal_bits, width)
            state_bits, goal_bits = random_bits(rng, rows, n_bits), random_bits(rng, rows, n_goal_bits)
            x = reference.inputs(state_bits, goal_bits)
            expected = reference.first_layer(x, block.weights, block.biases)
            codes = encoded(state_bits, goal_bits)
            for column in range(0, width, 32):
                z = filled(rows + 1, 32)
                tables = tables_for(packed_layer.CODES)
                sums = np.full((rows, 32), np.nan, np.float32)
                sizes = (n_bits, n_goal_bits)
                _first_layer(block.params, block.shape, column, codes, rows, sizes, tables, sums, z)
                np.testing.assert_array_equal(z[:rows], expected[:, column : column + 32])
                assert (z[rows:] == SENTINEL).all()


@pytest.mark.parametrize("n_bits", SIZES)
def test_updated_preactivations_equal_the_reference(n_bits):
    rng = np.random.default_rng(n_bits)
    block = Block(rng, 2 * n_bits, 64)
    goal_bits = random_bits(rng, 5, n_bits)
    old = random_bits(rng, 5, n_bits)
    new = old.copy()
    # Row 0 changes its last bit, row 1 its first, row 2 all bits, row 3 some and row 4 none.
    new[0, -1] ^= 1
    new[1, 0] ^= 1
    new[2] ^= 1
    new[3] ^= random_bits(rng, 1, n_bits)[0]
    z = reference.first_layer(reference.inputs(old, goal_bits), block.weights, block.biases)
    z = z.astype(np.float32)
    expected = reference.first_layer(reference.inputs(new, goal_bits), block.weights, block.biases)
    changed = z.copy()
    for row in (4, 2, 0, 1):
        _update_preactivation(block.params, block.shape, pack_bits(old), pack_bits(new), row, changed)
    np.testing.assert_array_equal(changed[[0, 1, 2, 4]], expected[[0, 1, 2, 4]])
    np.testing.assert_array_equal(changed[3], z[3])


@pytest.mark.parametrize("n_bits", SIZES)
def test_transposed_bits_equal_the_reference(n_bits):
    rng = np.random.default_rng(n_bits)
    for rows in (1, 2, 9, 33, 63, 64, 65, 128, 129):
        bits = random_bits(rng, rows, n_bits)
        columns = np.full((n_bits + 5, -(-rows // 64)), SENTINEL, np.uint64)
        _transpose_bits(pack_bits(bits), n_bits, np.full(64, SENTINEL, np.uint64), columns, 2)
        np.testing.assert_array_equal(columns[2:-3], reference.transposed(bits))
        assert (columns[[0, 1, -3, -2, -1]] == SENTINEL).all()


@pytest.mark.parametrize("rows", BATCHES)
def test_first_layer_gradient_equals_the_reference(rows):
    rng = np.random.default_rng(rows)
    for n_bits, n_goal_bits, width in ((1, 1, 32), (7, 5, 64), (64, 64, 32), (65, 65, 96)):
        block = Block(rng, n_bits + n_goal_bits, width)
        state_bits, goal_bits = random_bits(rng, rows, n_bits), random_bits(rng, rows, n_goal_bits)
        d_z = random_integers(rng, rows, width)
        d_weights = reference.first_layer_gradient(reference.inputs(state_bits, goal_bits), d_z)
        block.params[:] = SENTINEL
        columns = np.concatenate([reference.transposed(state_bits), reference.transposed(goal_bits)])
        for column in range(0, width, 32):
            part = d_z[:, column : column + 32].copy()
            tables = tables_for(packed_layer.CODES)
            sums = np.full((n_bits + n_goal_bits, 32), np.nan, np.float32)
            _first_layer_gradient(part, block.shape, column, columns, tables, sums, block.params)
            np.testing.assert_array_equal(block.weights[:, : column + 32], d_weights[:, : column + 32])
            assert (block.weights[:, column + 32 :] == SENTINEL).all()
        assert (block.params == SENTINEL).sum() >= 10 + width


def test_a_nan_weight_gives_nan_in_all_sums_with_it():
    block = Block(np.random.default_rng(0), 10, 32)
    block.weights[3, 4] = np.nan
    bits = random_bits(np.random.default_rng(1), 3, 5)
    z = filled(3, 32)
    tables = tables_for(packed_layer.CODES)
    sums = filled(3, 32)
    _first_layer(block.params, block.shape, 0, encoded(bits, bits), 3, (5, 5), tables, sums, z)
    assert np.isnan(z[:, 4]).all()
    assert np.isfinite(np.delete(z, 4, axis=1)).all()
