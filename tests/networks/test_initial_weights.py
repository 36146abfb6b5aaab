"""The distributions of the initial weights."""

import numpy as np
import pytest

from herfast import Config, QNetwork

BITS = [*range(1, 10), 63, 64, 65, 127, 128, 129]


def parameters(n_bits, hidden, init, seed=0, encoding="signed"):
    config = Config(hidden=hidden, init=init, encoding=encoding)
    return QNetwork(n_bits, config=config, seed=seed).parameters()


@pytest.mark.parametrize("hidden", [(256,), (100,)])
@pytest.mark.parametrize("init", ["dense", "sparse"])
def test_dense_layers_are_uniform(hidden, init):
    found = parameters(50, hidden, init)
    fan_in = {"hidden1.weight": 100, "hidden1.bias": 100, "output.weight": hidden[0]}
    if init == "sparse":
        del fan_in["hidden1.weight"]
    for name, inputs in fan_in.items():
        bound = 1 / np.sqrt(inputs)
        assert np.abs(found[name]).max() <= bound
        assert found[name].std() == pytest.approx(bound / np.sqrt(3), rel=0.1)


@pytest.mark.parametrize("units", [1, 7, 128, 300])
@pytest.mark.parametrize("n_bits", BITS)
def test_sparse_units_have_one_input_and_inputs_are_used_equally_often(n_bits, units):
    weights = parameters(n_bits, (units, 5), "sparse")["hidden1.weight"]
    assert set(np.unique(weights)) <= {-1, 0, 1}
    assert (np.count_nonzero(weights, axis=0) == 1).all()
    uses = np.count_nonzero(weights, axis=1)
    assert uses.max() - uses.min() <= 1
    assert (np.abs(weights.sum(axis=1)) == uses % 2).all(), "the signs of an input do not alternate"


@pytest.mark.parametrize("n_bits", BITS)
def test_sparse_weights_of_binary_inputs_are_positive(n_bits):
    """Otherwise a unit whose bias is below 0 would be 0 in every state."""
    signed, binary = (
        parameters(n_bits, (70,), "sparse", encoding=encoding) for encoding in ("signed", "binary")
    )
    for name, array in binary.items():
        expected = np.abs(signed[name]) if name == "hidden1.weight" else signed[name]
        np.testing.assert_array_equal(array, expected)


def test_sparse_weights_do_not_pair_state_and_goal():
    """Bit i of the goal follows bit i of the state as rarely as others do."""
    n_bits, pairs, halves = 50, 0, 0
    for seed in range(200):
        inputs = np.abs(parameters(n_bits, (2 * n_bits,), "sparse", seed)["hidden1.weight"]).argmax(axis=0)
        pairs += np.count_nonzero(np.diff(inputs) == n_bits)
        halves += np.count_nonzero(inputs[:n_bits] == inputs[n_bits:] - n_bits)
    assert pairs == pytest.approx(200 * 99 * 50 / (100 * 99), rel=0.3)
    assert halves == pytest.approx(200 * 50 * 50 / (100 * 99), rel=0.3)


def test_signs_are_random():
    weights = parameters(200, (400,), "sparse")["hidden1.weight"]
    assert 0.4 < np.mean(weights.sum(axis=1) > 0) < 0.6
