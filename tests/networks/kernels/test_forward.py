"""Tests of the output layer and of the maximum over actions.

Numbers are small integers, whose float32 sums are exact in any order.
"""

import numpy as np
import pytest
from numba import njit
from support.exact_arithmetic import SENTINEL, random_integers

from herfast.networks.kernels import forward
from herfast.networks.kernels.arrays import Network, layout
from herfast.networks.kernels.simd import NARROW

ROWS = [1, 2, 3, 4, 5, 8, 33, 128]


@njit
def _max_and_argmax(q, out_values, out_actions):
    forward.max_and_argmax(q, out_values, out_actions)


@njit
def _all_values(h, rows, network, shape, q):
    forward.all_values(h, rows, network, shape, q)


@njit
def _values_of(actions, h, network, shape, products, out):
    forward.all_products(h, network, shape, actions, products)
    forward.values_of(actions, products, network, shape, out)


def output_layer(rng, terms, n_actions):
    """Return weights [A, terms] and biases [A], also as Network and shape."""
    head = random_integers(rng, n_actions * terms + n_actions)
    return (
        head[:-n_actions].reshape(n_actions, terms),
        head[-n_actions:],
        Network(head, head),
        layout(3, (terms,), n_actions),
    )


@pytest.mark.parametrize("n_actions", [1, 2, 3, 50])
@pytest.mark.parametrize("rows", ROWS)
def test_values_of_all_actions_and_of_one_equal_numpy(rows, n_actions):
    rng = np.random.default_rng(rows)
    weights, biases, network, shape = output_layer(rng, 64, n_actions)
    padded_rows = -(-rows // 4) * 4
    h = random_integers(rng, 1, rows, 70)
    expected = weights @ h[0, :, :64].T + biases[:, None]

    q = np.full((n_actions, padded_rows), SENTINEL, np.float32)
    _all_values(h, rows, network, shape, q)
    np.testing.assert_array_equal(q[:, :rows], expected)

    for dtype in (np.uint16, np.int32):
        actions = rng.integers(0, n_actions, rows).astype(dtype)
        out = np.full(padded_rows + 1, SENTINEL, np.float32)
        _values_of(actions, h, network, shape, np.full((padded_rows, NARROW), np.nan, np.float32), out)
        np.testing.assert_array_equal(out[:rows], expected[actions, np.arange(rows)])
        assert out[padded_rows] == SENTINEL


@pytest.mark.parametrize("n_actions", [1, 2, 7, 129])
@pytest.mark.parametrize("rows", ROWS)
def test_argmax_is_the_lowest_index_of_the_maximum(rows, n_actions):
    rng = np.random.default_rng(n_actions)
    q = rng.integers(0, 5, (n_actions, rows + 3)).astype(np.float32)  # many ties
    values = np.full(rows + 1, SENTINEL, np.float32)
    actions = np.full(rows, SENTINEL, np.int32)
    _max_and_argmax(q, values, actions)
    np.testing.assert_array_equal(actions, q[:, :rows].argmax(axis=0))
    np.testing.assert_array_equal(values, [*q[:, :rows].max(axis=0), SENTINEL])


def test_nan_is_the_maximum_only_at_index_0():
    q = np.array([[np.nan, 1, 2], [3, np.nan, 1], [4, 5, np.nan]], np.float32)
    values, actions = np.zeros(3, np.float32), np.zeros(3, np.int32)
    _max_and_argmax(q, values, actions)
    np.testing.assert_array_equal(values, [np.nan, 5, 2])
    assert actions.tolist() == [0, 2, 0]
