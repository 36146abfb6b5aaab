"""Tests of QNetwork: values, actions, updates, state dicts and validation."""

import numpy as np
import pytest
from support.kernel_calls import after_each_call
from support.network_reference import (
    copy_parameters,
    random_minibatches,
    random_packed,
    randomise_parameters,
    reference_q_values,
)

from herfast import Config, Minibatches, QNetwork
from herfast.networks.compiled import entry_points

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129, 130]


def random_networks(n, dueling, hidden, numbers_of_rows, encoding="signed"):
    """Yield a random network with random states, goals and the name of a network.

    There is one item per number of rows and name.
    """
    rng = np.random.default_rng(n)
    config = Config(hidden=hidden, dueling=dueling, encoding=encoding)
    network = QNetwork(n, config=config, seed=n)
    randomise_parameters(network, rng)
    for rows in numbers_of_rows:
        states = random_packed(rng, rows, n_bits=n)
        goals = random_packed(rng, rows, n_bits=n)
        for which in ("online", "target"):
            yield network, states, goals, which


@pytest.mark.parametrize("hidden", [(16,), (40, 24), (24, 40)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_greedy_actions_equal_the_reference(n, dueling, hidden):
    for network, *arguments in random_networks(n, dueling, hidden, (1, 2, 5, 33)):
        q = reference_q_values(network, *arguments)
        actions = network.act(*arguments)
        assert actions.dtype == np.int64
        np.testing.assert_allclose(q[np.arange(len(q)), actions], q.max(axis=1), atol=1e-4, err_msg=f"{n=}")


@pytest.mark.parametrize("encoding", ["signed", "binary"])
@pytest.mark.parametrize("hidden", [(16,), (40, 24)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_q_values_equal_the_reference(n, dueling, hidden, encoding):
    for network, *arguments in random_networks(n, dueling, hidden, (0, 1, 2, 5, 33), encoding):
        q = network.q_values(*arguments)
        assert (q.dtype, q.shape) == (np.float32, (len(arguments[0]), n))
        np.testing.assert_allclose(q, reference_q_values(network, *arguments), rtol=1e-4, atol=1e-5)
        assert (q.argmax(axis=1) == network.act(*arguments)).all()


@pytest.mark.parametrize(("updates_per_call", "n_calls"), [(6, 1), (4, 2), (1, 6), (0.1, 6)])
def test_one_call_of_many_updates_equals_many_calls(updates_per_call, n_calls, monkeypatch):
    """Long calls become several calls of the kernel, so that signals are handled."""
    rng = np.random.default_rng(0)
    calls = []
    after_each_call(monkeypatch, entry_points.fit, calls.append)
    batches = random_minibatches(rng, 6, 20, 10, 10, 10)
    rates = {"learning_rate": 1e-2, "learning_rate_end": 1e-4, "learning_rate_decay_updates": 5}
    config = Config(hidden=(40,), target_update=4, dueling=True, **rates)
    one, many = (QNetwork(10, config=config, seed=0) for _ in range(2))
    n_parameters = sum(array.nbytes for array in one._flats().values()) // 4 // 5
    max_operations = int(updates_per_call * 20 * n_parameters)
    monkeypatch.setattr("herfast.networks.q_network.MAX_CALL_OPERATIONS", max_operations)
    losses = one.fit(batches)
    assert len(calls) == n_calls
    single = [many.fit(Minibatches(*(array[u : u + 1] for array in batches)))[0] for u in range(6)]
    assert losses.tolist() == single
    for which in ("online", "target", "moment2"):
        for name, array in one.parameters(which).items():
            assert (array == many.parameters(which)[name]).all(), (which, name)


def test_an_interrupted_first_update_leaves_the_network_usable(monkeypatch):
    """The kernel was not bound to the memory for another batch size."""
    rng = np.random.default_rng(0)
    large, small = random_minibatches(rng, 1, 64, 8, 8, 8), random_minibatches(rng, 1, 4, 8, 8, 8)
    networks = [QNetwork(8, config=Config(hidden=(40,)), seed=0) for _ in range(2)]
    for network in networks:
        network.fit(large)

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(entry_points.fit, "bind", interrupt)
        with pytest.raises(KeyboardInterrupt):
            networks[0].fit(small)
    assert networks[0].fit(small).tolist() == networks[1].fit(small).tolist()


def test_target_network_is_copied_every_target_update():
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


def test_padding_of_layer_widths_stays_zero():
    network = QNetwork(5, config=Config(hidden=(33, 7)), seed=0)
    network.fit(random_minibatches(np.random.default_rng(0), 20, 16, 5, 5, 5))
    flat = network._online.params.copy()
    for name, array in network.parameters().items():
        assert array.any(), name
        array[...] = 0
    assert not network._online.params.any()
    assert flat.any()


def test_nan_in_a_weight_gives_a_nan_loss():
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
def test_invalid_sizes_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        QNetwork(*arguments)
    with pytest.raises(TypeError, match=message):
        QNetwork(*arguments[:-1], True)


def test_unknown_network_names_raise():
    network = QNetwork(5, config=Config(hidden=(33,)), seed=0)
    with pytest.raises(ValueError, match="which"):
        network.parameters("offline")
    with pytest.raises(ValueError, match="which"):
        network.greedy_policy(3, "offline")


# --- state_dict and load_state_dict ---

ARCHITECTURES = {
    "one layer": {"hidden": (40,)},
    "two layers": {"hidden": (33, 7)},
    "dueling": {"hidden": (40,), "dueling": True},
    "dueling, two layers": {"hidden": (24, 40), "dueling": True},
}
PARTS = ["online", "target", "moment1", "moment2"]


def fitted_network(name, seed):
    """Return a network after some updates.

    It has 9 state bits, 5 goal bits and 7 actions. Parameters, moments and the number of updates depend on
    the seed.
    """
    network = QNetwork(9, 5, 7, config=Config(target_update=2, polyak=0.5, **ARCHITECTURES[name]), seed=seed)
    network.fit(random_minibatches(np.random.default_rng(seed), 2 + seed, 20, 9, 5, 7))
    return network


def copied_state(network, learning=True):
    return {name: array.copy() for name, array in network.state_dict(learning).items()}


def values(network):
    """Return Q of both networks, which with dueling also depends on the derived head."""
    rng = np.random.default_rng(0)
    states = random_packed(rng, 30, n_bits=9)
    goals = random_packed(rng, 30, n_bits=5)
    return [network.q_values(states, goals, which).tolist() for which in ("online", "target")]


@pytest.mark.parametrize("learning", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_state_dict_returns_named_views_of_the_parameters(name, learning):
    network = fitted_network(name, seed=1)
    state = network.state_dict(learning=learning)
    parts = PARTS if learning else PARTS[:2]
    assert list(state) == [f"{part}.{parameter}" for part in parts for parameter in network.parameters()]
    for part in parts:
        for parameter, array in network.parameters(part).items():
            assert np.shares_memory(state[f"{part}.{parameter}"], array)
            np.testing.assert_array_equal(state[f"{part}.{parameter}"], array)
    assert network.state_dict().keys() == network.state_dict(learning=True).keys()


@pytest.mark.parametrize("learning", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_load_state_dict_restores_parameters_and_values(name, learning):
    saved = fitted_network(name, seed=1)
    loaded = fitted_network(name, seed=2)
    state = copied_state(saved, learning)
    before = copied_state(loaded)
    updates = loaded.updates
    assert all((before[key] != array).any() for key, array in state.items())
    loaded.load_state_dict(state)
    for array in state.values():
        array[...] = -1  # the network has its own copy
    expected = copied_state(saved, learning)
    for key, array in loaded.state_dict().items():
        np.testing.assert_array_equal(array, expected.get(key, before[key]), err_msg=key)
    assert values(loaded) == values(saved)
    assert values(loaded)[0] != values(loaded)[1]
    assert loaded.updates == updates != saved.updates


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_loaded_network_trains_as_the_saved_one(name):
    saved = fitted_network(name, seed=1)
    loaded = QNetwork(9, 5, 7, config=saved.config, seed=2)
    loaded.load_state_dict(saved.state_dict())
    loaded.updates = saved.updates
    batches = random_minibatches(np.random.default_rng(3), 4, 20, 9, 5, 7)
    assert loaded.fit(batches).tolist() == saved.fit(batches).tolist()
    for key, array in loaded.state_dict().items():
        np.testing.assert_array_equal(array, saved.state_dict()[key], err_msg=key)
    assert values(loaded) == values(saved)


# name: a change of the last entry, the exception and a pattern of its message
INVALID_STATES = {
    "missing": (lambda state, last: state.pop(last), ValueError, r"\.bias is missing$"),
    "unknown": (lambda state, last: state.update(more=state[last]), ValueError, "^'more' is unknown$"),
    "no array": (
        lambda state, last: state.update({last: 1.0}),
        TypeError,
        "must be a NumPy array of float32, got float",
    ),
    "dtype": (lambda state, last: state.update({last: state[last].astype(float)}), ValueError, "is float64"),
    "shape": (lambda state, last: state.update({last: state[last][None]}), ValueError, "should be float32"),
    "NaN": (lambda state, last: state[last].fill(np.nan), ValueError, r"\.bias is not finite$"),
    "infinite": (lambda state, last: state[last].fill(np.inf), ValueError, r"\.bias is not finite$"),
    "negative": (
        lambda state, last: state[last].fill(-0.5),
        ValueError,
        r"\.bias has a negative number, -0\.5$",
    ),
}


@pytest.mark.parametrize("invalid", INVALID_STATES)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_invalid_state_raises_and_changes_nothing(name, invalid):
    """Only the last entry is invalid, so a partial load would be detected."""
    change, error, message = INVALID_STATES[invalid]
    network = fitted_network(name, seed=2)
    state = copied_state(fitted_network(name, seed=1))
    last = list(state)[-1]
    assert last.startswith("moment2.")
    change(state, last)
    before = copied_state(network)
    q = values(network)
    updates = network.updates
    with pytest.raises(error, match=message):
        network.load_state_dict(state)
    for key, array in network.state_dict().items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)
    assert values(network) == q
    assert network.updates == updates


def test_a_state_of_another_architecture_or_type_raises():
    network = fitted_network("one layer", seed=2)
    before = copied_state(network)
    for state, error, message in (
        (fitted_network("two layers", seed=1).state_dict(), ValueError, "is unknown$"),
        (fitted_network("dueling", seed=1).state_dict(), ValueError, "output.bias is missing"),
        ([*before], TypeError, "^state must be a dict, got "),
        (None, TypeError, "^state must be a dict, got None$"),
    ):
        with pytest.raises(error, match=message):
            network.load_state_dict(state)
    for key, array in network.state_dict().items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)
    with pytest.raises(TypeError, match=r"^learning must be True or False, got 1$"):
        network.state_dict(1)
