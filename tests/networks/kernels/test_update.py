"""Tests of one update: TD error, gradient, Adam and target network."""

import dataclasses

import numpy as np
import pytest
from reference import network as reference
from support.network_reference import (
    copy_parameters,
    dense_minibatch,
    random_minibatches,
    randomise_parameters,
)

from herfast import Config, QNetwork

EXACT_SIZES = [1, 2, 7, 8, 63, 64, 65, 128, 130]


@pytest.mark.parametrize("encoding", ["signed", "binary"])
@pytest.mark.parametrize("hidden", [(33,), (40, 24), (8, 70, 32)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", EXACT_SIZES)
def test_gradient_equals_the_reference(n, dueling, hidden, encoding):
    rng = np.random.default_rng(n)
    options = {"hindsight_bound": True, "advantage_gap": 0.3, "gamma": 0.9}
    config = Config(hidden=hidden, dueling=dueling, encoding=encoding, **options)
    network = QNetwork(n, config=config, seed=0)
    randomise_parameters(network, rng)
    batches = random_minibatches(rng, 1, 37, n, n, n)
    online = copy_parameters(network, "online")
    target = copy_parameters(network, "target")
    batch = dense_minibatch(network, batches, 0)
    y = reference.targets(online, target, batch, dataclasses.asdict(config))
    expected = reference.gradient(online, batch["x"], batch["actions"], y)
    (loss,) = network.fit(batches)
    assert loss == pytest.approx(reference.loss(online, batch["x"], batch["actions"], y), rel=1e-4)
    for name, computed in network.parameters("gradient").items():
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(
            computed, expected[name], rtol=1e-4, atol=1e-5 * scale + 1e-7, err_msg=name
        )
        assert n == 1 or scale > 0, name


@pytest.mark.parametrize("encoding", ["signed", "binary"])
@pytest.mark.parametrize("hidden", [(6,), (6, 5)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", EXACT_SIZES)
def test_reference_gradient_equals_finite_differences(n, dueling, hidden, encoding):
    rng = np.random.default_rng(n)
    config = Config(hidden=hidden, dueling=dueling, encoding=encoding)
    network = QNetwork(n, config=config, seed=0)
    randomise_parameters(network, rng)
    batch = dense_minibatch(network, random_minibatches(rng, 1, 5, n, n, n), 0)
    params = copy_parameters(network, "online")
    y = rng.normal(size=5)
    d = reference.gradient(params, batch["x"], batch["actions"], y)
    step = 1e-6
    for name, array in params.items():
        flat = array.reshape(-1)
        for i in rng.choice(flat.size, size=min(flat.size, 12), replace=False):
            values = []
            for sign in (1, -1):
                moved = flat.copy()
                moved[i] += sign * step
                moved_params = {**params, name: moved.reshape(array.shape)}
                values.append(reference.loss(moved_params, batch["x"], batch["actions"], y))
            slope = (values[0] - values[1]) / (2 * step)
            assert d[name].reshape(-1)[i] == pytest.approx(slope, rel=1e-4, abs=1e-6), (name, i)


OPTIONS = {
    "double": {},
    "plain DQN": {"double_q": False},
    "paper": {"double_q": False, "clip_targets": True, "mask_terminal": False, "polyak": 0.95},
    "bound": {"hindsight_bound": True},
    "gap": {"advantage_gap": 0.7},
    "gap without double": {"advantage_gap": 0.7, "double_q": False},
    "all": {"hindsight_bound": True, "advantage_gap": 0.5, "dueling": True, "clip_targets": True},
    "two layers": {"hidden": (48, 20), "dueling": True, "advantage_gap": 0.5},
    "binary": {"encoding": "binary"},
    "binary, two layers, all": {
        "encoding": "binary",
        "hidden": (48, 20),
        "hindsight_bound": True,
        "advantage_gap": 0.5,
        "dueling": True,
    },
    "rates": {"learning_rate": 1e-2, "learning_rate_end": 1e-4, "learning_rate_decay_updates": 5},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (7, 7), (21, 100), (63, 512), (65, 129), (130, 7)])
def test_updates_equal_the_reference(n, batch_size, options):
    """Compare loss, weights, moments and target network after each of 7 updates.

    Before each update, the reference is set to the numbers of the network.
    """
    rng = np.random.default_rng(n)
    config = Config(**{"hidden": (40,), "target_update": 3, "gamma": 0.95, **options})
    network = QNetwork(n, config=config, seed=1)
    randomise_parameters(network, rng)
    for step in range(1, 8):
        batches = random_minibatches(rng, 1, batch_size, n, n, n)
        parts = [copy_parameters(network, which) for which in ("online", "target", "moment1", "moment2")]
        expected, _ = reference.update(
            *parts,
            dense_minibatch(network, batches, 0),
            dataclasses.asdict(config),
            config.learning_rate_at(step - 1),
            step,
        )
        (loss,) = network.fit(batches)
        assert loss == pytest.approx(expected, rel=1e-4, abs=1e-7)
        for which, part in zip(("online", "target", "moment1", "moment2"), parts, strict=True):
            for name, computed in network.parameters(which).items():
                # Adam's first steps divide a small gradient by its size; rounding can change its sign.
                atol = {"online": 2e-2, "target": 2e-2}.get(which, 1e-4) * config.learning_rate_at(step - 1)
                np.testing.assert_allclose(
                    computed, part[name], rtol=2e-3, atol=atol, err_msg=f"{which} {name} {step}"
                )


@pytest.mark.parametrize("encoding", ["signed", "binary"])
def test_numbers_of_state_bits_goal_bits_and_actions_may_differ(encoding):
    """70 state bits, 9 goal bits, 5 actions. Next states differ in up to 6 bits."""
    rng = np.random.default_rng(0)
    config = Config(hidden=(40,), advantage_gap=0.5, gamma=0.9, encoding=encoding)
    network = QNetwork(70, 9, 5, config=config, seed=0)
    randomise_parameters(network, rng)
    batches = random_minibatches(rng, 1, 50, 70, 9, 5, flips=6)
    online = copy_parameters(network, "online")
    batch = dense_minibatch(network, batches, 0)
    target = copy_parameters(network, "target")
    y = reference.targets(online, target, batch, dataclasses.asdict(config))
    expected = reference.gradient(online, batch["x"], batch["actions"], y)
    network.fit(batches)
    for name, computed in network.parameters("gradient").items():
        np.testing.assert_allclose(computed, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)
