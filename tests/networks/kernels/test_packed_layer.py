"""Tests of the packed first layer against its reference.

Weights are small integers, whose float32 sums are exact in any order.
"""

import numpy as np
import pytest
from reference import layers as reference
from support.exact_arithmetic import SENTINEL, random_integers
from support.kernel_calls import call

from herfast import pack_bits
from herfast.networks.arrays import CODES, LANES, SUMS, Team, layout, scratch
from herfast.networks.kernels import packed_layer
from herfast.networks.kernels.simd import inner, load, splat, store

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 47, 48, 49, 63, 64, 65, 127, 128, 129, 1000]
ROWS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129]
FEW_ROWS = [1, 2, 3, 5, 33]
BATCHES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 512]


ENCODINGS = {"signed": False, "binary": True}
encodings = pytest.mark.parametrize("is_binary", ENCODINGS.values(), ids=ENCODINGS)


@inner
def _tabulate(source, stride, shape, tables, table, out):
    row0, row1 = load(source, 0), load(source, stride)
    row2, row3 = load(source, 2 * stride), load(source, 3 * stride)
    store(out, 0, packed_layer.tabulate(row0, row1, row2, row3, shape, tables, table))


@inner
def _sum_lookup(codes, tables, n_tables, out):
    store(out, 0, packed_layer.sum_lookup(load(out, 0), codes[0], tables, n_tables))


@inner
def _first_layer(params, shape, column, rows, work, z):
    n_tables = packed_layer.first_layer(params, shape, column, np.int64(0), rows, work)
    bias = load(params, shape.biases + column)
    for b in range(rows):
        store(z, b * LANES, packed_layer.preactivation(bias, b, n_tables, work))


@inner
def _apply_flips(params, shape, old, new, row, z):
    for column in range(0, shape.width, LANES):
        total = load(z, row * shape.width + column)
        total = packed_layer.apply_flips(total, params, shape, column, old, new, row)
        store(z, row * shape.width + column, total)


@inner
def _first_layer_gradient(d_z, rows, words, shape, column, columns, tables, sums, out):
    """Compute the gradient as an update does, from 64 samples per call.

    A table has 4 samples. Rows past the last one are 0.
    """
    zero = splat(np.float32(0.0))
    for w in range(words):
        n_tables = (rows - 64 * w + 3) // 4
        if n_tables > 16:
            n_tables = 16
        for t in range(n_tables):
            b = 64 * w + 4 * t
            row0 = load(d_z, b * LANES)
            row1 = load(d_z, (b + 1) * LANES) if b + 1 < rows else zero
            row2 = load(d_z, (b + 2) * LANES) if b + 2 < rows else zero
            row3 = load(d_z, (b + 3) * LANES) if b + 3 < rows else zero
            packed_layer.tabulate(row0, row1, row2, row3, shape, tables, t * SUMS)
        packed_layer.first_layer_gradient(columns, w, words, n_tables, shape, column, tables, sums, out)


def random_bits(rng, rows, n_bits):
    return rng.integers(0, 2, (rows, n_bits))


def filled(*shape):
    return np.full(shape, SENTINEL, np.float32)


def scratch_of(rows, shape):
    """Return scratch memory filled with values that would be noticed."""
    work = scratch(rows, shape)
    work.codes[:] = SENTINEL
    work.tables[:] = np.nan
    work.block[:] = np.nan
    return work


def encoded(state_bits, goal_bits, shape):
    """Return scratch memory with the codes of states and goals."""
    work = scratch_of(len(state_bits), shape)
    rows = (0, len(state_bits))
    call(packed_layer.encode, pack_bits(state_bits), pack_bits(goal_bits), *rows, shape, work)
    return work


class FirstLayer:
    """A first layer at the start of a flat vector of parameters."""

    def __init__(self, rng, n_state_bits, n_goal_bits, width, is_binary=False):
        sizes = (n_state_bits, n_goal_bits, (width,), 2)
        self.shape = layout(*sizes, dueling=False, is_binary=is_binary)
        self.params = random_integers(rng, self.shape.n_parameters)
        inputs = n_state_bits + n_goal_bits
        self.weights = self.params[: inputs * width].reshape(inputs, width)
        self.biases = self.params[inputs * width : (inputs + 1) * width]


def goal_sizes(n_bits):
    return sorted({1, max(1, n_bits - 3), n_bits})


@pytest.mark.parametrize("n_bits", SIZES)
def test_codes_equal_the_reference(n_bits):
    rng = np.random.default_rng(n_bits)
    for n_goal_bits in goal_sizes(n_bits):
        for rows in ROWS[1:]:
            state_bits, goal_bits = random_bits(rng, rows, n_bits), random_bits(rng, rows, n_goal_bits)
            shape = layout(n_bits, n_goal_bits, (32,), 2, dueling=False)
            found = encoded(state_bits, goal_bits, shape).codes
            np.testing.assert_array_equal(found, reference.codes(state_bits, goal_bits))


@encodings
@pytest.mark.parametrize("table", [0, 1])
def test_tables_equal_the_reference(table, is_binary):
    shape = layout(1, 1, (32,), 1, dueling=False, is_binary=is_binary)
    source = random_integers(np.random.default_rng(table), 6, 41)
    tables = np.full(2 * SUMS, np.nan, np.float32)
    total = filled(33)
    call(_tabulate, source.ravel()[41 + 3 :], 41, shape, tables, table * SUMS, total)
    rows = source[1:5, 3:35]
    found = tables.reshape(2, 16, 32)
    np.testing.assert_array_equal(found[table], reference.table(rows, is_binary))
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
    call(_sum_lookup, np.array([codes], np.uint64), tables, n_tables, out)
    np.testing.assert_array_equal(out, expected)


@encodings
@pytest.mark.parametrize("n_bits", SIZES)
def test_preactivations_equal_the_reference(n_bits, is_binary):
    rng = np.random.default_rng(n_bits)
    for n_goal_bits in goal_sizes(n_bits):
        for rows, width in zip(FEW_ROWS, [32, 64, 96, 32, 64], strict=True):
            layer = FirstLayer(rng, n_bits, n_goal_bits, width, is_binary)
            state_bits, goal_bits = random_bits(rng, rows, n_bits), random_bits(rng, rows, n_goal_bits)
            x = reference.inputs(state_bits, goal_bits, is_binary)
            expected = reference.first_layer(x, layer.weights, layer.biases)
            work = encoded(state_bits, goal_bits, layer.shape)
            for column in range(0, width, 32):
                z = filled(rows + 1, 32)
                call(_first_layer, layer.params, layer.shape, column, rows, work, z)
                np.testing.assert_array_equal(z[:rows], expected[:, column : column + 32])
                assert (z[rows:] == SENTINEL).all()


@encodings
@pytest.mark.parametrize("n_bits", SIZES)
def test_preactivations_after_flips_equal_the_reference(n_bits, is_binary):
    rng = np.random.default_rng(n_bits)
    layer = FirstLayer(rng, n_bits, n_bits, 64, is_binary)
    goal_bits = random_bits(rng, 5, n_bits)
    old = random_bits(rng, 5, n_bits)
    new = old.copy()
    # Row 0 changes its last bit, row 1 its first, row 2 all bits, row 3 some and row 4 none.
    new[0, -1] ^= 1
    new[1, 0] ^= 1
    new[2] ^= 1
    new[3] ^= random_bits(rng, 1, n_bits)[0]
    before, after = (reference.inputs(state, goal_bits, is_binary) for state in (old, new))
    z = reference.first_layer(before, layer.weights, layer.biases).astype(np.float32)
    expected = reference.first_layer(after, layer.weights, layer.biases)
    changed = z.copy()
    for row in (4, 2, 0, 1):
        call(_apply_flips, layer.params, layer.shape, pack_bits(old), pack_bits(new), row, changed)
    np.testing.assert_array_equal(changed[[0, 1, 2, 4]], expected[[0, 1, 2, 4]])
    np.testing.assert_array_equal(changed[3], z[3])


@pytest.mark.parametrize("n_bits", SIZES)
def test_transposed_bits_equal_the_reference(n_bits):
    rng = np.random.default_rng(n_bits)
    for rows in (1, 2, 9, 33, 63, 64, 65, 128, 129):
        bits = random_bits(rng, rows, n_bits)
        columns = np.full((n_bits + 5, -(-rows // 64)), SENTINEL, np.uint64)
        words, square = pack_bits(bits), np.full(64, SENTINEL, np.uint64)
        sizes = (n_bits, words.shape[1], rows, columns.shape[1])
        team = Team(0, 1, np.zeros(16, np.int64))
        call(packed_layer.transpose_bits, words, *sizes, team, square, columns[2:])
        np.testing.assert_array_equal(columns[2:-3], reference.transposed(bits))
        assert (columns[[0, 1, -3, -2, -1]] == SENTINEL).all()


@encodings
@pytest.mark.parametrize("rows", BATCHES)
def test_first_layer_gradient_equals_the_reference(rows, is_binary):
    rng = np.random.default_rng(rows)
    for n_bits, n_goal_bits, width in ((1, 1, 32), (7, 5, 64), (64, 64, 32), (65, 65, 96)):
        layer = FirstLayer(rng, n_bits, n_goal_bits, width, is_binary)
        state_bits, goal_bits = random_bits(rng, rows, n_bits), random_bits(rng, rows, n_goal_bits)
        d_z = random_integers(rng, rows, width)
        x = reference.inputs(state_bits, goal_bits, is_binary)
        d_weights = reference.first_layer_gradient(x, d_z)
        layer.params[:] = SENTINEL
        columns = np.concatenate([reference.transposed(state_bits), reference.transposed(goal_bits)])
        for column in range(0, width, 32):
            part = d_z[:, column : column + 32].copy()
            tables = np.full(CODES * SUMS, np.nan, np.float32)
            sums = np.full((n_bits + n_goal_bits, 32), np.nan, np.float32)
            sizes = (rows, columns.shape[1], layer.shape)
            call(_first_layer_gradient, part, *sizes, column, columns, tables, sums, layer.params)
            np.testing.assert_array_equal(layer.weights[:, : column + 32], d_weights[:, : column + 32])
            assert (layer.weights[:, column + 32 :] == SENTINEL).all()
        assert (layer.params == SENTINEL).sum() >= width


@encodings
def test_a_nan_weight_gives_nan_in_all_sums_with_it(is_binary):
    layer = FirstLayer(np.random.default_rng(0), 5, 5, 32, is_binary)
    layer.weights[3, 4] = np.nan
    bits = random_bits(np.random.default_rng(1), 3, 5)
    z = filled(3, 32)
    call(_first_layer, layer.params, layer.shape, 0, 3, encoded(bits, bits, layer.shape), z)
    assert np.isnan(z[:, 4]).all()
    assert np.isfinite(np.delete(z, 4, axis=1)).all()
