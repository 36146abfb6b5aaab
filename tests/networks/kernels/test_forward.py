"""Tests of the output layer and of the maximum over actions.

Numbers are small integers, whose float32 sums are exact in any order.
"""

import numpy as np
import pytest
from support.exact_arithmetic import SENTINEL, random_integers
from support.kernel_calls import call

from herfast.networks.arrays import LANES, NARROW, Network, layout, padded
from herfast.networks.kernels import forward

ROWS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129]


def output_layer(rng, terms, n_actions):
    """Return weights [A, terms] and biases [A], also as Network and shape."""
    head = random_integers(rng, n_actions * terms + n_actions)
    return (
        head[:-n_actions].reshape(n_actions, terms),
        head[-n_actions:],
        Network(head, head),
        layout(3, 3, (terms,), n_actions, dueling=False),
    )


@pytest.mark.parametrize("n_actions", [1, 2, 3, 50])
@pytest.mark.parametrize("rows", ROWS)
def test_values_of_all_actions_and_of_one_equal_numpy(rows, n_actions):
    rng = np.random.default_rng(rows)
    weights, biases, network, shape = output_layer(rng, 64, n_actions)
    shape = shape._replace(stride=70)
    h = random_integers(rng, rows, 70)
    expected = weights @ h[:, :64].T + biases[:, None]

    q_row = padded(rows) + LANES
    q = np.full((n_actions, q_row), SENTINEL, np.float32)
    call(forward.all_values, h, rows, network, shape, q, q_row)
    np.testing.assert_array_equal(q[:, :rows], expected)
    assert (q[:, padded(rows) :] == SENTINEL).all()

    padded_rows = -(-rows // 4) * 4
    actions = rng.integers(0, n_actions, rows).astype(np.int32)
    products = np.full((padded_rows, NARROW), np.nan, np.float32)
    out = np.full(padded_rows + 1, SENTINEL, np.float32)
    call(forward.all_products, h, network, shape, actions, 0, rows, products)
    call(forward.values_of, actions, 0, rows, products, network, shape, out)
    np.testing.assert_array_equal(out[:rows], expected[actions, np.arange(rows)])
    assert out[padded_rows] == SENTINEL


@pytest.mark.parametrize("n_actions", [1, 2, 7, 129])
@pytest.mark.parametrize("rows", ROWS)
def test_argmax_is_the_lowest_index_of_the_maximum(rows, n_actions):
    rng = np.random.default_rng(n_actions)
    q_row = padded(rows)
    q = rng.integers(0, 5, (n_actions, q_row)).astype(np.float32)  # many ties
    values = np.full(q_row + 1, SENTINEL, np.float32)
    actions = np.full(q_row + 1, SENTINEL, np.int32)
    call(forward.max_and_argmax, q, q_row, n_actions, rows, values, actions)
    np.testing.assert_array_equal(actions, [*q.argmax(axis=0), SENTINEL])
    np.testing.assert_array_equal(values, [*q.max(axis=0), SENTINEL])


def test_argmax_of_the_most_actions_is_exact():
    q = np.zeros((65_536, LANES), np.float32)
    best = np.array([65_535, 65_534, 32_769, 1, *[0] * (LANES - 4)])
    q[best, np.arange(LANES)] = 1
    values, actions = np.zeros(LANES, np.float32), np.zeros(LANES, np.int32)
    call(forward.max_and_argmax, q, LANES, len(q), LANES, values, actions)
    np.testing.assert_array_equal(actions, best)


def test_nan_is_the_maximum_only_at_index_0():
    q = np.zeros((3, LANES), np.float32)
    q[:, :3] = [[np.nan, 1, 2], [3, np.nan, 1], [4, 5, np.nan]]
    values, actions = np.zeros(LANES, np.float32), np.zeros(LANES, np.int32)
    call(forward.max_and_argmax, q, LANES, 3, 3, values, actions)
    np.testing.assert_array_equal(values[:3], [np.nan, 5, 2])
    assert actions[:3].tolist() == [0, 2, 0]
