"""The packed network against its dense twin: values, gradients, updates; and what QNetwork refuses."""

import dataclasses

import numpy as np
import pytest
from reference import network as twin

from herfast import Config, Minibatches, QNetwork, pack_bits
from herfast.networks.kernels import entry_points

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129, 130]
EXACT_SIZES = [1, 2, 7, 8, 63, 64, 65, 128, 130]


def random_words(rng, *shape, n_bits):
    return pack_bits(rng.integers(0, 2, (*shape, n_bits)))


def random_batches(rng, n_updates, batch_size, n_state_bits, n_goal_bits, n_actions, flips=1):
    """Minibatches whose next states differ from the states in up to `flips` random bits."""
    shape = (n_updates, batch_size)
    bits = rng.integers(0, 2, (*shape, n_state_bits))
    next_bits = bits.copy()
    for _ in range(flips):
        index = rng.integers(0, n_state_bits, shape)[..., None]
        np.put_along_axis(next_bits, index, 1 - np.take_along_axis(next_bits, index, -1), -1)
    terminated = rng.random(shape) < 0.2
    return Minibatches(
        states=pack_bits(bits),
        next_states=pack_bits(next_bits),
        goals=random_words(rng, *shape, n_bits=n_goal_bits),
        actions=rng.integers(0, n_actions, shape).astype(np.uint16),
        rewards=np.where(terminated, 0, -1).astype(np.float32),
        terminated=terminated,
        steps_to_goal=rng.integers(0, 9, shape).astype(np.int32),
    )


def dense_batch(network, batches, u, dtype=np.float64):
    """Minibatch `u` with dense inputs, for the twin."""
    sizes = (network.n_state_bits, network.n_goal_bits)
    one = {name: array[u] for name, array in batches._asdict().items()}
    x = twin.inputs(one["states"], one["goals"], *sizes, dtype)
    x_next = twin.inputs(one["next_states"], one["goals"], *sizes, dtype)
    return {**one, "actions": one["actions"].astype(int), "x": x, "x_next": x_next}


def copy_of(network, which, dtype=np.float64):
    return {name: array.astype(dtype) for name, array in network.parameters(which).items()}


def randomise(network, rng, scale=0.5):
    """Random parameters for both networks, so that online, target and all biases differ."""
    for which in ("online", "target"):
        for array in network.parameters(which).values():
            array[...] = rng.normal(0, scale / np.sqrt(max(1, array.shape[0] if array.ndim else 1)), array.shape)
    network.refresh()


def q_values(network, states, goals, which="online"):
    x = twin.inputs(states, goals, network.n_state_bits, network.n_goal_bits, np.float64)
    return twin.forward(copy_of(network, which), x)[1]


def positions(n, dueling, hidden, numbers_of_rows):
    """A random network with states, goals and which of its parts is asked: batches of several sizes, both parts."""
    rng = np.random.default_rng(n)
    network = QNetwork(n, config=Config(hidden=hidden, dueling=dueling), seed=n)
    randomise(network, rng)
    for rows in numbers_of_rows:
        states, goals = random_words(rng, rows, n_bits=n), random_words(rng, rows, n_bits=n)
        for which in ("online", "target"):
            yield network, states, goals, which


@pytest.mark.parametrize("hidden", [(16,), (40, 24), (24, 40)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_greedy_actions_are_the_twins(n, dueling, hidden):
    for network, *games in positions(n, dueling, hidden, (1, 2, 5, 33)):
        q, actions = q_values(network, *games), network.act(*games)
        assert actions.dtype == np.int64
        np.testing.assert_allclose(q[np.arange(len(q)), actions], q.max(axis=1), atol=1e-4, err_msg=f"{n=}")


@pytest.mark.parametrize("hidden", [(16,), (40, 24)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_q_values_are_the_twins(n, dueling, hidden):
    for network, *games in positions(n, dueling, hidden, (0, 1, 2, 5, 33)):
        q = network.q_values(*games)
        assert (q.dtype, q.shape) == (np.float32, (len(games[0]), n))
        np.testing.assert_allclose(q, q_values(network, *games), rtol=1e-4, atol=1e-5)
        assert (q.argmax(axis=1) == network.act(*games)).all()


@pytest.mark.parametrize("hidden", [(33,), (40, 24), (8, 70, 32)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", EXACT_SIZES)
def test_gradient_equals_the_twins(n, dueling, hidden):
    rng = np.random.default_rng(n)
    config = Config(hidden=hidden, dueling=dueling, hindsight_bound=True, advantage_gap=0.3, gamma=0.9)
    network = QNetwork(n, config=config, seed=0)
    randomise(network, rng)
    batches = random_batches(rng, 1, 37, n, n, n)
    online, target = copy_of(network, "online"), copy_of(network, "target")
    batch = dense_batch(network, batches, 0)
    y = twin.targets(online, target, batch, dataclasses.asdict(config))
    expected = twin.gradient(online, batch["x"], batch["actions"], y)
    (loss,) = network.fit(batches)
    assert loss == pytest.approx(twin.loss(online, batch["x"], batch["actions"], y), rel=1e-4)
    for name, computed in network.parameters("gradient").items():
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(computed, expected[name], rtol=1e-4, atol=1e-5 * scale + 1e-7, err_msg=name)
        assert n == 1 or scale > 0, name


@pytest.mark.parametrize("hidden", [(6,), (6, 5)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", EXACT_SIZES)
def test_the_twins_gradient_is_that_of_finite_differences(n, dueling, hidden):
    rng = np.random.default_rng(n)
    network = QNetwork(n, config=Config(hidden=hidden, dueling=dueling), seed=0)
    randomise(network, rng)
    batch = dense_batch(network, random_batches(rng, 1, 5, n, n, n), 0)
    params, y = copy_of(network, "online"), rng.normal(size=5)
    d = twin.gradient(params, batch["x"], batch["actions"], y)
    step = 1e-6
    for name, array in params.items():
        flat = array.reshape(-1)
        for i in rng.choice(flat.size, size=min(flat.size, 12), replace=False):
            values = []
            for sign in (1, -1):
                moved = flat.copy()
                moved[i] += sign * step
                moved_params = {**params, name: moved.reshape(array.shape)}
                values.append(twin.loss(moved_params, batch["x"], batch["actions"], y))
            slope = (values[0] - values[1]) / (2 * step)
            assert d[name].reshape(-1)[i] == pytest.approx(slope, rel=1e-4, abs=1e-6), (name, i)


RULES = {
    "double": {},
    "plain DQN": {"double_q": False},
    "paper": {"double_q": False, "clip_targets": True, "mask_terminal": False, "polyak": 0.95},
    "bound": {"hindsight_bound": True},
    "gap": {"advantage_gap": 0.7},
    "gap without double": {"advantage_gap": 0.7, "double_q": False},
    "all": {"hindsight_bound": True, "advantage_gap": 0.5, "dueling": True, "clip_targets": True},
    "two layers": {"hidden": (48, 20), "dueling": True, "advantage_gap": 0.5},
    "rates": {"learning_rate": 1e-2, "learning_rate_end": 1e-4, "learning_rate_decay_updates": 5},
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (7, 7), (21, 100), (63, 512), (65, 129), (130, 7)])
def test_updates_equal_the_twins(n, batch_size, rules):
    """Loss, weights, moments and target network after each of 7 updates that start from the same numbers."""
    rng = np.random.default_rng(n)
    config = Config(**{"hidden": (40,), "target_update": 3, "gamma": 0.95, **rules})
    network = QNetwork(n, config=config, seed=1)
    randomise(network, rng)
    for step in range(1, 8):
        batches = random_batches(rng, 1, batch_size, n, n, n)
        parts = [copy_of(network, which) for which in ("online", "target", "moment1", "moment2")]
        expected, _ = twin.update(
            *parts,
            dense_batch(network, batches, 0),
            dataclasses.asdict(config),
            config.learning_rate_at(step - 1),
            step,
        )
        (loss,) = network.fit(batches)
        assert loss == pytest.approx(expected, rel=1e-4, abs=1e-7)
        for which, part in zip(("online", "target", "moment1", "moment2"), parts, strict=True):
            for name, computed in network.parameters(which).items():
                # Adam's first steps divide a small gradient by its own size, which rounding can turn
                atol = {"online": 2e-2, "target": 2e-2}.get(which, 1e-4) * config.learning_rate_at(step - 1)
                np.testing.assert_allclose(computed, part[name], rtol=2e-3, atol=atol, err_msg=f"{which} {name} {step}")


def test_state_goal_and_actions_may_differ_in_number():
    """70 state bits, 9 goal bits, 5 actions; next states differ in up to 6 bits."""
    rng = np.random.default_rng(0)
    config = Config(hidden=(40,), advantage_gap=0.5, gamma=0.9)
    network = QNetwork(70, 9, 5, config=config, seed=0)
    randomise(network, rng)
    batches = random_batches(rng, 1, 50, 70, 9, 5, flips=6)
    online, batch = copy_of(network, "online"), dense_batch(network, batches, 0)
    y = twin.targets(online, copy_of(network, "target"), batch, dataclasses.asdict(config))
    expected = twin.gradient(online, batch["x"], batch["actions"], y)
    network.fit(batches)
    for name, computed in network.parameters("gradient").items():
        np.testing.assert_allclose(computed, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("at_once", "calls"), [(6, 1), (4, 2), (1, 6), (0.1, 6)])
def test_one_call_of_many_updates_equals_many_calls(at_once, calls, monkeypatch):
    """Long ones are several calls of the kernel, between which a signal is heard."""
    rng, made, fit = np.random.default_rng(0), [], entry_points.fit
    monkeypatch.setattr(entry_points, "fit", lambda *args: made.append(fit(*args)))
    batches = random_batches(rng, 6, 20, 10, 10, 10)
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


@pytest.mark.parametrize("n", [1, 8, 63, 64, 65, 130])
@pytest.mark.parametrize("integer_weights", [True, False])
def test_changed_bits_give_the_preactivations_of_all_bits(n, integer_weights):
    """After up to 1,000 flips: exactly with integer weights, within 1e-4 with random ones."""
    rng = np.random.default_rng(n)
    network = QNetwork(n, config=Config(hidden=(40,)), seed=0)
    for array in network.parameters().values():
        array[...] = rng.integers(-3, 4, array.shape) if integer_weights else rng.uniform(-1, 1, array.shape)
        if not integer_weights:
            array /= np.sqrt(2 * n)
    bits, goals = rng.integers(0, 2, (5, n)), random_words(rng, 5, n_bits=n)
    policy, active = network.greedy_policy(5), np.arange(5)
    rebuilt, actions = network.greedy_policy(5), np.zeros(5, np.uint16)
    policy.act(pack_bits(bits), goals, active, actions)
    for flips in range(1, 1001):
        bits[active, rng.integers(0, n, 5)] ^= 1
        policy._steps = 1  # never rebuilds, as in a rollout it would be after 64 steps
        policy.act(pack_bits(bits), goals, active, actions)
        if flips in (1, 2, 10, 100, 1000):
            rebuilt._steps = 0
            rebuilt.act(pack_bits(bits), goals, active, actions)
            x = twin.inputs(pack_bits(bits), goals, n, n, np.float64)
            (expected,), _ = twin.forward(copy_of(network, "online"), x)
            atol = 0 if integer_weights else 1e-4
            np.testing.assert_allclose(policy._z[:, :40], rebuilt._z[:, :40], rtol=0, atol=atol)
            np.testing.assert_allclose(policy._z[:, :40], expected, rtol=0, atol=atol)


def test_preactivations_are_built_anew_every_64_steps():
    network, rng = QNetwork(9, config=Config(hidden=(40,)), seed=0), np.random.default_rng(0)
    states, goals = random_words(rng, 5, n_bits=9), random_words(rng, 5, n_bits=9)
    policy, active, actions, rebuilt = network.greedy_policy(5), np.arange(5), np.zeros(5, np.uint16), []
    policy.act(states, goals, active, actions)
    right = policy._z.copy()
    for step in range(1, 200):
        policy._z[...] = 77
        policy.act(states, goals, active, actions)
        if (policy._z == right).all():
            rebuilt.append(step)
    assert rebuilt == [64, 128, 192]


def test_only_active_games_are_played():
    network = QNetwork(10, config=Config(hidden=(40,)), seed=0)
    rng = np.random.default_rng(0)
    states, goals = random_words(rng, 6, n_bits=10), random_words(rng, 6, n_bits=10)
    actions = np.full(6, 99, np.uint16)
    network.greedy_policy(6).act(states, goals, np.array([1, 4]), actions)
    assert actions[[0, 2, 3, 5]].tolist() == [99] * 4
    assert actions[[1, 4]].tolist() == network.act(states, goals)[[1, 4]].tolist()


@pytest.mark.parametrize("hidden", [(256,), (100,)])
def test_initial_weights(hidden):
    n = 50
    dense = QNetwork(n, config=Config(hidden=hidden), seed=0).parameters()
    for name, fan_in in (("hidden1.weight", 2 * n), ("hidden1.bias", 2 * n), ("output.weight", hidden[0])):
        bound = 1 / np.sqrt(fan_in)
        assert np.abs(dense[name]).max() <= bound
        assert dense[name].std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
    pairs = QNetwork(n, config=Config(hidden=hidden, init="sparse_pairs"), seed=0).parameters()["hidden1.weight"]
    assert (pairs[:n] == -pairs[n:]).all()
    assert ((pairs[:n] != 0).sum(axis=0) == 3).all()
    np.testing.assert_allclose(np.unique(np.abs(pairs)), [0, 1 / np.sqrt(6)], rtol=1e-6)
    assert len(np.unique(np.sign(pairs[:n]), axis=1).T) > hidden[0] // 2  # not all units alike
    assert (QNetwork(2, config=Config(init="sparse_pairs"), seed=0).parameters()["hidden1.weight"][:2] != 0).all()


def test_target_starts_equal_and_follows():
    network = QNetwork(8, config=Config(hidden=(40,), target_update=2), seed=0)
    rng = np.random.default_rng(0)
    first = copy_of(network, "online")
    assert all((network.parameters("target")[name] == first[name]).all() for name in first)
    network.fit(random_batches(rng, 1, 8, 8, 8, 8))
    assert all((network.parameters("target")[name] == first[name]).all() for name in first)
    assert not (network.parameters("online")["output.weight"] == first["output.weight"]).all()
    network.fit(random_batches(rng, 1, 8, 8, 8, 8))
    second = network.parameters("online")
    assert all((network.parameters("target")[name] == second[name]).all() for name in second)


def test_ties_go_to_the_lowest_action():
    rng = np.random.default_rng(0)
    network = QNetwork(7, config=Config(hidden=(40,)), seed=0)
    for array in network.parameters().values():
        array[...] = 0
    network.parameters()["output.bias"][...] = [0, 1, 0, 1, 1, 0, 1]
    assert network.act(random_words(rng, 5, n_bits=7), random_words(rng, 5, n_bits=7)).tolist() == [1] * 5


def test_padding_of_odd_widths_stays_zero():
    network = QNetwork(5, config=Config(hidden=(33, 7)), seed=0)
    network.fit(random_batches(np.random.default_rng(0), 20, 16, 5, 5, 5))
    flat = network._online.params.copy()
    for name, array in network.parameters().items():
        assert array.any(), name
        array[...] = 0
    assert not network._online.params.any()
    assert flat.any()


def test_nan_stays_visible():
    network = QNetwork(5, config=Config(hidden=(33,)), seed=0)
    network.parameters()["hidden1.weight"][0, 0] = np.nan
    losses = network.fit(random_batches(np.random.default_rng(0), 1, 16, 5, 5, 5))
    assert np.isnan(losses).all()
    assert not network.is_finite()


GOOD = random_batches(np.random.default_rng(0), 2, 3, 5, 5, 5)
BAD_BATCHES = {
    "dtype of states": (GOOD._replace(states=GOOD.states.astype(np.int64)), TypeError, "states.*got dtype int64"),
    "not an array": (GOOD._replace(states=[[1]]), TypeError, "states.*list"),
    "dimensions": (GOOD._replace(goals=GOOD.goals[0]), ValueError, "goals must have 3 axes"),
    "bits past the end": (GOOD._replace(next_states=GOOD.next_states | np.uint64(32)), ValueError, "past bit 4"),
    "action out of range": (GOOD._replace(actions=GOOD.actions + np.uint16(5)), ValueError, "below 5"),
    "dtype of actions": (
        GOOD._replace(actions=GOOD.actions.astype(np.int64)),
        TypeError,
        "actions must be a NumPy array of uint16",
    ),
    "shape of rewards": (GOOD._replace(rewards=GOOD.rewards[:1]), ValueError, "rewards must have"),
    "empty": (Minibatches(*(array[:, :0] for array in GOOD)), ValueError, "at least one"),
}


@pytest.mark.parametrize(("batches", "error", "message"), BAD_BATCHES.values(), ids=BAD_BATCHES.keys())
def test_bad_minibatches_are_refused_and_change_nothing(batches, error, message):
    network = QNetwork(5, config=Config(hidden=(33,)), seed=0)
    before = network._online.params.copy()
    with pytest.raises(error, match=message):
        network.fit(batches)
    assert (network._online.params == before).all()
    assert network.updates == 0


def test_read_only_and_strided_minibatches_are_accepted():
    expected = QNetwork(5, config=Config(hidden=(33,)), seed=0).fit(GOOD)
    awkward = []
    for array in GOOD:
        wide = np.repeat(array, 2, axis=1)
        wide.flags.writeable = False
        awkward.append(wide[:, ::2])
    assert QNetwork(5, config=Config(hidden=(33,)), seed=0).fit(Minibatches(*awkward)).tolist() == expected.tolist()


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
