"""The distributions of the initial weights."""

import numpy as np
import pytest

from herfast import Config, QNetwork


@pytest.mark.parametrize("hidden", [(256,), (100,)])
def test_initial_weights_have_the_specified_distributions(hidden):
    n = 50
    dense = QNetwork(n, config=Config(hidden=hidden), seed=0).parameters()
    for name, fan_in in (("hidden1.weight", 2 * n), ("hidden1.bias", 2 * n), ("output.weight", hidden[0])):
        bound = 1 / np.sqrt(fan_in)
        assert np.abs(dense[name]).max() <= bound
        assert dense[name].std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
    pairs = QNetwork(n, config=Config(hidden=hidden, init="sparse_pairs"), seed=0).parameters()[
        "hidden1.weight"
    ]
    assert (pairs[:n] == -pairs[n:]).all()
    assert ((pairs[:n] != 0).sum(axis=0) == 3).all()
    np.testing.assert_allclose(np.unique(np.abs(pairs)), [0, 1 / np.sqrt(6)], rtol=1e-6)
    assert len(np.unique(np.sign(pairs[:n]), axis=1).T) > hidden[0] // 2  # units differ
    assert (
        QNetwork(2, config=Config(init="sparse_pairs"), seed=0).parameters()["hidden1.weight"][:2] != 0
    ).all()
