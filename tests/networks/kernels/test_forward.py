"""What acting and learning share: values of all actions or of one, and the highest. Integers, so sums are exact."""

import numpy as np
import pytest
from numba import njit
from support.exact_arithmetic import SENTINEL, random_integers

from herfast.networks.kernels import forward
from herfast.networks.kernels.arrays import Network, layout
from herfast.networks.kernels.simd import NARROW

ROWS = [1, 2, 3, 4, 5, 8, 33, 128]


@njit
def _highest(q, out_values, out_actions):
    forward.max_and_argmax(q, out_values, out_actions)


@njit
def _all_values(h, rows, network, shape, q):
    forward.all_values(h, rows, network, shape, q)


@njit
def _values_of(actions, h, network, shape, products, out):
    forward.all_products(h, network, shape, actions, products)
    forward.values_of(actions, products, network, shape, out)


def output_layer(rng, terms, n_actions):
    """Weights [A, terms], biases [A], and what the kernels take for them."""
    head = random_integers(rng, n_actions * terms + n_actions)
    return (
        head[:-n_actions].reshape(n_actions, terms),
        head[-n_actions:],
        Network(head, head),
        layout(3, (terms,), n_actions),
    )


@pytest.mark.parametrize("n_actions", [1, 2, 3, 50])
@pytest.mark.parametrize("rows", ROWS)
def test_values(rows, n_actions):
    rng = np.random.default_rng(rows)
    weights, biases, network, shape = output_layer(rng, 64, n_actions)
    fours, h = -(-rows // 4) * 4, random_integers(rng, 1, rows, 70)
    expected = weights @ h[0, :, :64].T + biases[:, None]

    q = np.full((n_actions, fours), SENTINEL, np.float32)
    _all_values(h, rows, network, shape, q)
    np.testing.assert_array_equal(q[:, :rows], expected)

    for dtype in (np.uint16, np.int32):
        actions, out = rng.integers(0, n_actions, rows).astype(dtype), np.full(fours + 1, SENTINEL, np.float32)
        _values_of(actions, h, network, shape, np.full((fours, NARROW), np.nan, np.float32), out)
        np.testing.assert_array_equal(out[:rows], expected[actions, np.arange(rows)])
        assert out[fours] == SENTINEL


@pytest.mark.parametrize("n_actions", [1, 2, 7, 129])
@pytest.mark.parametrize("rows", ROWS)
def test_highest_is_the_first_of_the_highest(rows, n_actions):
    rng = np.random.default_rng(n_actions)
    q = rng.integers(0, 5, (n_actions, rows + 3)).astype(np.float32)  # ties, as many as may be
    values, actions = np.full(rows + 1, SENTINEL, np.float32), np.full(rows, SENTINEL, np.int32)
    _highest(q, values, actions)
    np.testing.assert_array_equal(actions, q[:, :rows].argmax(axis=0))
    np.testing.assert_array_equal(values, [*q[:, :rows].max(axis=0), SENTINEL])


def test_a_nan_is_the_highest_only_where_it_comes_first():
    q = np.array([[np.nan, 1, 2], [3, np.nan, 1], [4, 5, np.nan]], np.float32)
    values, actions = np.zeros(3, np.float32), np.zeros(3, np.int32)
    _highest(q, values, actions)
    np.testing.assert_array_equal(values, [np.nan, 5, 2])
    assert actions.tolist() == [0, 2, 0]
