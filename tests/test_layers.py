"""Each layer against its plain twin. Weights are small integers, whose float32 sums are exact in any order."""

import numpy as np
import pytest
from numba import njit
from reference import layers as twin

from herfast import layers, pack_bits

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 47, 48, 49, 63, 64, 65, 127, 128, 129, 1000]
ROWS = [1, 2, 3, 5, 33]
BATCHES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129]
UNTOUCHED = 77


@njit
def _encode(states, goals, sizes, codes):
    layers.encode(states, goals, sizes, codes)
    return layers.code_counts(sizes, codes.shape[1])


@njit
def _tabulate(source, first, row_stride, count, signed, tables, table):
    layers.tabulate(source, first, row_stride, count, signed, tables, table)


@njit
def _first_layer(params, shape, column, codes, rows, sizes, tables, block):
    layers.first_layer(params, shape, column, codes, rows, sizes, tables, block)


@njit
def _change_bits(params, shape, old, new, row, z):
    layers.change_bits(params, shape, old, new, row, z)


@njit
def _activate_changed(params, shape, column, old, new, block, out):
    layers.activate_changed(params, shape, column, old, new, block, out)


@njit
def _transpose_bits(words, n_bits, square, columns, first_row):
    layers.transpose_bits(words, n_bits, square, columns, first_row)


@njit
def _first_layer_gradient(block, shape, column, columns, rows, tables, d_params):
    layers.first_layer_gradient(block, shape, column, columns, rows, tables, d_params)


@njit
def _activate(block, column, rows, out):
    layers.activate(block, column, rows, out)


@njit
def _matmul(a, a_row, a_column, b, b_first, b_row, out, out_first, out_row, rows, terms, width):
    layers.matmul(a, a_row, a_column, b, b_first, b_row, out, out_first, out_row, rows, terms, width)


@njit
def _dots(a, a_rows, b, b_first, b_rows, terms, out):
    layers.dots(a, a_rows, b, b_first, b_rows, terms, out)


def integers(rng, *shape):
    return rng.integers(-8, 9, shape).astype(np.float32)


def random_bits(rng, rows, n_bits):
    return rng.integers(0, 2, (rows, n_bits))


def filled(*shape):
    return np.full(shape, UNTOUCHED, np.float32)


def n_codes(n_state_bits, n_goal_bits):
    return -(-n_state_bits // 4) + -(-n_goal_bits // 4)


def encoded(state_bits, goal_bits):
    total = n_codes(state_bits.shape[1], goal_bits.shape[1])
    codes = np.full((len(state_bits), -(-total // layers.CODES)), UNTOUCHED, np.uint64)
    sizes = (state_bits.shape[1], goal_bits.shape[1])
    found = _encode(pack_bits(state_bits), pack_bits(goal_bits), sizes, codes)
    assert found == (total, n_codes(sizes[0], 0), -(-total // codes.shape[1]))
    return codes


def tables_for(count):
    """Scratch full of NaN, so that an entry used before it is written shows."""
    return np.full(count * layers.SUMS, np.nan, np.float32)


class Block:
    """A first layer somewhere inside a flat vector of parameters."""

    def __init__(self, rng, inputs, width):
        self.params = integers(rng, 5 + inputs * width + 3 + width + 2)
        biases = 5 + inputs * width + 3
        self.shape = np.array([[inputs, width, 5, biases]])
        self.weights = self.params[5 : 5 + inputs * width].reshape(inputs, width)
        self.biases = self.params[biases : biases + width]


def goal_sizes(n_bits):
    return sorted({1, max(1, n_bits - 3), n_bits})


@pytest.mark.parametrize("n_bits", SIZES)
def test_encode(n_bits):
    rng = np.random.default_rng(n_bits)
    for n_goal_bits in goal_sizes(n_bits):
        for rows in ROWS:
            state_bits, goal_bits = random_bits(rng, rows, n_bits), random_bits(rng, rows, n_goal_bits)
            np.testing.assert_array_equal(encoded(state_bits, goal_bits), twin.codes(state_bits, goal_bits))


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_tabulate(count, signed):
    source = integers(np.random.default_rng(count), 6, 41)
    tables = tables_for(2)
    _tabulate(source, 41 + 3, 41, count, signed, tables, layers.SUMS)
    found = tables.reshape(2, 16, 32)
    np.testing.assert_array_equal(found[1, : 2**count], twin.table(source[1 : 1 + count, 3:35], signed))
    assert np.isnan(found[0]).all()


@pytest.mark.parametrize("n_bits", SIZES)
def test_first_layer(n_bits):
    rng = np.random.default_rng(n_bits)
    for n_goal_bits in goal_sizes(n_bits):
        for rows, width in zip(ROWS, [32, 64, 96, 32, 64], strict=True):
            block = Block(rng, n_bits + n_goal_bits, width)
            state_bits, goal_bits = random_bits(rng, rows, n_bits), random_bits(rng, rows, n_goal_bits)
            expected = twin.first_layer(twin.inputs(state_bits, goal_bits), block.weights, block.biases)
            codes = encoded(state_bits, goal_bits)
            for column in range(0, width, 32):
                z, tables = filled(rows + 1, 32), tables_for(layers.CODES)
                _first_layer(block.params, block.shape, column, codes, rows, (n_bits, n_goal_bits), tables, z)
                np.testing.assert_array_equal(z[:rows], expected[:, column : column + 32])
                assert (z[rows:] == UNTOUCHED).all()


@pytest.mark.parametrize("n_bits", SIZES)
def test_change_bits(n_bits):
    rng = np.random.default_rng(n_bits)
    block = Block(rng, 2 * n_bits, 64)
    goal_bits = random_bits(rng, 5, n_bits)
    old = random_bits(rng, 5, n_bits)
    new = old.copy()
    new[0, -1] ^= 1  # row 0 changes its last bit, row 1 its first, row 2 all, row 3 some, row 4 none
    new[1, 0] ^= 1
    new[2] ^= 1
    new[3] ^= random_bits(rng, 1, n_bits)[0]
    z = twin.first_layer(twin.inputs(old, goal_bits), block.weights, block.biases).astype(np.float32)
    expected = twin.first_layer(twin.inputs(new, goal_bits), block.weights, block.biases)
    changed = z.copy()
    for row in (4, 2, 0, 1):
        _change_bits(block.params, block.shape, pack_bits(old), pack_bits(new), row, changed)
    np.testing.assert_array_equal(changed[[0, 1, 2, 4]], expected[[0, 1, 2, 4]])
    np.testing.assert_array_equal(changed[3], z[3])
    for column in (0, 32):
        out, part = filled(6, 70), z[:, column : column + 32].copy()
        _activate_changed(block.params, block.shape, column, pack_bits(old), pack_bits(new), part, out)
        np.testing.assert_array_equal(out[:5, column : column + 32], np.maximum(expected, 0)[:, column : column + 32])
        assert (np.delete(out[:5], range(column, column + 32), axis=1) == UNTOUCHED).all()
        assert (out[5] == UNTOUCHED).all()


@pytest.mark.parametrize("n_bits", SIZES)
def test_transpose_bits(n_bits):
    rng = np.random.default_rng(n_bits)
    for rows in (1, 2, 9, 33, 63, 64, 65, 128, 129):
        bits = random_bits(rng, rows, n_bits)
        columns = np.full((n_bits + 5, -(-rows // 64)), UNTOUCHED, np.uint64)
        _transpose_bits(pack_bits(bits), n_bits, np.full(64, UNTOUCHED, np.uint64), columns, 2)
        np.testing.assert_array_equal(columns[2:-3], twin.transposed(bits))
        assert (columns[[0, 1, -3, -2, -1]] == UNTOUCHED).all()


@pytest.mark.parametrize("rows", BATCHES)
def test_first_layer_gradient(rows):
    rng = np.random.default_rng(rows)
    for n_bits, n_goal_bits, width in ((1, 1, 32), (7, 5, 64), (64, 64, 32), (65, 65, 96)):
        block = Block(rng, n_bits + n_goal_bits, width)
        state_bits, goal_bits = random_bits(rng, rows, n_bits), random_bits(rng, rows, n_goal_bits)
        d_z = integers(rng, rows, width)
        d_weights, d_biases = twin.first_layer_gradient(twin.inputs(state_bits, goal_bits), d_z)
        block.params[:] = UNTOUCHED
        columns = np.concatenate([twin.transposed(state_bits), twin.transposed(goal_bits)])
        for column in range(0, width, 32):
            part, tables = d_z[:, column : column + 32].copy(), tables_for(layers.FOURS)
            _first_layer_gradient(part, block.shape, column, columns, rows, tables, block.params)
            np.testing.assert_array_equal(block.weights[:, : column + 32], d_weights[:, : column + 32])
            np.testing.assert_array_equal(block.biases[: column + 32], d_biases[: column + 32])
            assert (block.weights[:, column + 32 :] == UNTOUCHED).all()
        assert (block.params == UNTOUCHED).sum() >= 10


@pytest.mark.parametrize("rows", [0, *ROWS])
def test_activate(rows):
    block, out = integers(np.random.default_rng(rows), rows + 1, 32), filled(rows + 1, 100)
    block[0, 5] = np.nan
    _activate(block, 37, rows, out)
    expected = filled(rows + 1, 100)
    expected[:rows, 37:69] = np.where(block[:rows] <= 0, 0, block[:rows])
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("terms", [0, *SIZES])
@pytest.mark.parametrize("transposed", [False, True])
def test_matmul(terms, transposed):
    rng = np.random.default_rng(terms)
    for rows in [0, *ROWS]:
        a = integers(rng, terms + 1, rows + 2) if transposed else integers(rng, rows + 1, terms + 2)
        b, width = integers(rng, terms + 2, 70), 64
        out = integers(rng, rows + 2, 73)
        expected = out.copy()
        plain = a[:terms, :rows].T if transposed else a[:rows, :terms]
        expected[1 : rows + 1, 4:68] += plain @ b[1 : terms + 1, 3:67]
        strides = (1, rows + 2) if transposed else (terms + 2, 1)
        _matmul(a, *strides, b, 70 + 3, 70, out, 73 + 4, 73, rows, terms, width)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("terms", [0, *SIZES])
def test_dots(terms):
    rng = np.random.default_rng(terms)
    for a_rows in [0, *ROWS]:
        for b_rows in [1, 2, 3, 4, 5, 7, 50]:
            a, b = integers(rng, a_rows + 1, terms + 2), integers(rng, 5 + b_rows * terms + 1)
            out = filled(a_rows + 1, b_rows)
            _dots(a, a_rows, b, 5, b_rows, terms, out)
            expected = a[:a_rows, :terms] @ b[5:-1].reshape(b_rows, terms).T
            np.testing.assert_array_equal(out[:a_rows], expected)
            assert (out[a_rows:] == UNTOUCHED).all()


def test_nan_reaches_the_result():
    """A diverged weight must show in every sum that it is part of."""
    block = Block(np.random.default_rng(0), 10, 32)
    block.weights[3, 4] = np.nan
    bits = random_bits(np.random.default_rng(1), 3, 5)
    z = filled(3, 32)
    _first_layer(block.params, block.shape, 0, encoded(bits, bits), 3, (5, 5), tables_for(layers.CODES), z)
    assert np.isnan(z[:, 4]).all()
    assert np.isfinite(np.delete(z, 4, axis=1)).all()
