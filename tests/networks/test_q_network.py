"""The Q-network: values and actions against its dense twin, how it calls the kernels, and what it refuses."""

import numpy as np
import pytest
from support.network_twin import (
    copy_parameters,
    random_minibatches,
    random_packed,
    randomise_parameters,
    twin_q_values,
)

from herfast import Config, Minibatches, QNetwork
from herfast.networks.kernels import entry_points

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129, 130]


def random_networks(n, dueling, hidden, numbers_of_rows):
    """A random network with states, goals and which of its parts is asked: batches of several sizes, both parts."""
    rng = np.random.default_rng(n)
    network = QNetwork(n, config=Config(hidden=hidden, dueling=dueling), seed=n)
    randomise_parameters(network, rng)
    for rows in numbers_of_rows:
        states, goals = random_packed(rng, rows, n_bits=n), random_packed(rng, rows, n_bits=n)
        for which in ("online", "target"):
            yield network, states, goals, which


@pytest.mark.parametrize("hidden", [(16,), (40, 24), (24, 40)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_greedy_actions_are_the_twins(n, dueling, hidden):
    for network, *games in random_networks(n, dueling, hidden, (1, 2, 5, 33)):
        q, actions = twin_q_values(network, *games), network.act(*games)
        assert actions.dtype == np.int64
        np.testing.assert_allclose(q[np.arange(len(q)), actions], q.max(axis=1), atol=1e-4, err_msg=f"{n=}")


@pytest.mark.parametrize("hidden", [(16,), (40, 24)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_q_values_are_the_twins(n, dueling, hidden):
    for network, *games in random_networks(n, dueling, hidden, (0, 1, 2, 5, 33)):
        q = network.q_values(*games)
        assert (q.dtype, q.shape) == (np.float32, (len(games[0]), n))
        np.testing.assert_allclose(q, twin_q_values(network, *games), rtol=1e-4, atol=1e-5)
        assert (q.argmax(axis=1) == network.act(*games)).all()


@pytest.mark.parametrize(("at_once", "calls"), [(6, 1), (4, 2), (1, 6), (0.1, 6)])
def test_one_call_of_many_updates_equals_many_calls(at_once, calls, monkeypatch):
    """Long ones are several calls of the kernel, between which a signal is heard."""
    rng, made, fit = np.random.default_rng(0), [], entry_points.fit
    monkeypatch.setattr(entry_points, "fit", lambda *args: made.append(fit(*args)))
    batches = random_minibatches(rng, 6, 20, 10, 10, 10)
    rates = {"learning_rate": 1e-2, "learning_rate_end": 1e-4, "learning_rate_decay_updates": 5}
    config = Config(hidden=(40,), target_update=4, dueling=True, **rates)
    one, many = (QNetwork(10, config=config, seed=0) for _ in range(2))
    n_parameters = sum(array.nbytes for array in one._flats().values()) // 4 // 5
    monkeypatch.setattr("herfast.networks.q_network.MAX_CALL_OPERATIONS", int(at_once * 20 * n_parameters))
    losses = one.fit(batches)
    assert len(made) == calls
    single = [many.fit(Minibatches(*(array[u : u + 1] for array in batches)))[0] for u in range(6)]
    assert losses.tolist() == single
    for which in ("online", "target", "moment2"):
        for name, array in one.parameters(which).items():
            assert (array == many.parameters(which)[name]).all(), (which, name)


def test_target_starts_equal_and_follows():
    network = QNetwork(8, config=Config(hidden=(40,), target_update=2), seed=0)
    rng = np.random.default_rng(0)
    first = copy_parameters(network, "online")
    assert all((network.parameters("target")[name] == first[name]).all() for name in first)
    network.fit(random_minibatches(rng, 1, 8, 8, 8, 8))
    assert all((network.parameters("target")[name] == first[name]).all() for name in first)
    assert not (network.parameters("online")["output.weight"] == first["output.weight"]).all()
    network.fit(random_minibatches(rng, 1, 8, 8, 8, 8))
    second = network.parameters("online")
    assert all((network.parameters("target")[name] == second[name]).all() for name in second)


def test_ties_go_to_the_lowest_action():
    rng = np.random.default_rng(0)
    network = QNetwork(7, config=Config(hidden=(40,)), seed=0)
    for array in network.parameters().values():
        array[...] = 0
    network.parameters()["output.bias"][...] = [0, 1, 0, 1, 1, 0, 1]
    assert network.act(random_packed(rng, 5, n_bits=7), random_packed(rng, 5, n_bits=7)).tolist() == [1] * 5


def test_padding_of_odd_widths_stays_zero():
    network = QNetwork(5, config=Config(hidden=(33, 7)), seed=0)
    network.fit(random_minibatches(np.random.default_rng(0), 20, 16, 5, 5, 5))
    flat = network._online.params.copy()
    for name, array in network.parameters().items():
        assert array.any(), name
        array[...] = 0
    assert not network._online.params.any()
    assert flat.any()


def test_nan_stays_visible():
    network = QNetwork(5, config=Config(hidden=(33,)), seed=0)
    network.parameters()["hidden1.weight"][0, 0] = np.nan
    losses = network.fit(random_minibatches(np.random.default_rng(0), 1, 16, 5, 5, 5))
    assert np.isnan(losses).all()
    assert not network.is_finite()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "n_state_bits"),
        ((70_000,), "n_state_bits"),
        ((5, 6), "n_goal_bits"),
        ((5, 5, 0), "n_actions"),
    ],
)
def test_bad_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        QNetwork(*arguments)
    with pytest.raises(TypeError, match=message):
        QNetwork(*arguments[:-1], True)


def test_bad_names_are_refused():
    network = QNetwork(5, config=Config(hidden=(33,)), seed=0)
    with pytest.raises(ValueError, match="which"):
        network.parameters("offline")
    with pytest.raises(ValueError, match="which"):
        network.greedy_policy(3, "offline")
