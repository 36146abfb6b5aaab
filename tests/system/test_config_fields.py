"""Effect and help text of each field of Config; test_<field> tests the field."""

import ast
import dataclasses
import inspect
import itertools
import re

import numpy as np
import pytest
from support.known_networks import set_greedy_action
from support.trajectories import decode_numbered, numbered_episodes

from herfast import Agent, BitFlip, Config, Minibatches, QNetwork, pack_bits
from herfast.cli import main
from herfast.common.seeding import Role, stream

SMALL = {
    "hidden": (16,),
    "episodes_per_cycle": 4,
    "updates_per_cycle": 3,
    "cycles_per_epoch": 2,
    "batch_size": 8,
}


def small_agent(n_bits=6, **fields):
    return Agent(BitFlip(n_bits), "notebook", 0, **{**SMALL, **fields})


def field_docstrings():
    """Return the docstrings of Config's fields by name, from its source code."""
    (config,) = ast.parse(inspect.getsource(Config)).body
    pairs = itertools.pairwise(config.body)
    return {a.target.id: " ".join(b.value.value.split()) for a, b in pairs if isinstance(a, ast.AnnAssign)}


def test_every_field_has_a_test_and_a_help_text(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main.main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert list(field_docstrings()) == [field.name for field in dataclasses.fields(Config)]
    for field, docstring in field_docstrings().items():
        assert callable(globals()[f"test_{field}"])
        # The help of another flag may name it first.
        *_, flag = re.split(rf" --{field.replace('_', '-')}[ ,]", text)
        assert docstring in flag.partition("(default: ")[0], field


# --- minibatches ---


def sample_goals(**fields):
    """Sample 2,000 transitions from three episodes of ten steps.

    Returns for the relabelled transitions their step, the step of their goal, and whether both are of one
    episode. The last value is the share of relabelled transitions.
    """
    agent = small_agent(50, **fields)
    agent.replay.add(numbered_episodes(3, 10))
    batch = agent.replay.sample(1, 2_000)
    hindsight = batch.goals.ravel() != 2**50 - 1
    (episode, t), (goal_episode, goal_t) = decode_numbered(batch.states), decode_numbered(batch.goals)
    return t[hindsight], goal_t[hindsight], (episode == goal_episode)[hindsight], hindsight.mean()


def test_strategy():
    t, goal_t, same, _ = sample_goals(strategy="future")
    assert same.all()
    assert (goal_t > t).all()
    assert set(goal_t) == set(range(1, 11))
    _, goal_t, same, _ = sample_goals(strategy="final")
    assert same.all()
    assert (goal_t == 10).all()
    t, goal_t, same, _ = sample_goals(strategy="episode")
    assert same.all()
    assert (goal_t < t).any()
    assert (goal_t > t).any()
    _, _, same, _ = sample_goals(strategy="random")
    assert 0.2 < same.mean() < 0.5  # one of three episodes


def test_k():
    assert [round(sample_goals(k=k)[3], 1) for k in (0, 1, 4, 1_000_000)] == [0.0, 0.5, 0.8, 1.0]


def test_batch_size():
    assert minibatches_of_first_cycle(batch_size=5).actions.shape == (3, 5)
    assert minibatches_of_first_cycle(batch_size=64).actions.shape == (3, 64)


def minibatches_of_first_cycle(**fields):
    """Return the minibatches of an agent's first cycle."""
    agent, seen = small_agent(**fields), []
    fit = agent.network.fit
    agent.network.fit = lambda batches: seen.append(batches) or fit(batches)
    agent.learn(total_timesteps=1)
    return seen[0]


# --- the network ---


def test_hidden():
    shapes = {name: array.shape for name, array in small_agent(hidden=(24, 40)).network.parameters().items()}
    assert shapes == {
        "hidden1.weight": (12, 24),
        "hidden1.bias": (24,),
        "hidden2.weight": (24, 40),
        "hidden2.bias": (40,),
        "output.weight": (6, 40),
        "output.bias": (6,),
    }


def test_dueling():
    """Q = V + A - mean A (Wang et al. 2016, equation 9)."""
    network = constant_network({"advantage": [1.0, 4.0, 1.0], "value": -3.0}, None, dueling=True)
    state = pack_bits([[0, 0, 0]])
    np.testing.assert_allclose(network.q_values(state, state), [[-4, -1, -4]], rtol=1e-6)
    assert "output.bias" not in network.parameters()


def test_init():
    weights = small_agent(init="dense").network.parameters()["hidden1.weight"]
    assert weights.all()
    weights = small_agent(init="sparse").network.parameters()["hidden1.weight"]
    assert (np.abs(weights).sum(axis=0) == 1).all()
    assert ((weights != 0).sum(axis=0) == 1).all()


def test_encoding():
    """The inputs of a bit string of zeros are -1 with "signed" and 0 with "binary"."""
    state = pack_bits(np.zeros((1, 6), np.uint8))
    for encoding, inputs in (("signed", -1), ("binary", 0)):
        network = small_agent(encoding=encoding).network
        weights = network.parameters()
        hidden = np.maximum(0, inputs * weights["hidden1.weight"].sum(axis=0) + weights["hidden1.bias"])
        expected = weights["output.weight"] @ hidden + weights["output.bias"]
        np.testing.assert_allclose(network.q_values(state, state)[0], expected, atol=1e-5)


# --- targets ---
# A network whose weights are 0 has its biases as Q values. The loss of one transition is (Q - target)^2.

# Q values of the actions 0, 1 and 2 in every state.
ONLINE = [10.0, 20.0, 0.0]
TARGET = [-3.0, -2.0, -1.0]


def constant_network(online, target, **fields):
    """Return a network of three bits with all weights 0 and these biases."""
    network = QNetwork(3, config=Config(**{"hidden": (4,), "gamma": 0.9, **fields}), seed=0)
    for which, values in (("online", online), ("target", target or online)):
        for array in network.parameters(which).values():
            array[...] = 0
        for name, bias in (values if isinstance(values, dict) else {"output": values}).items():
            network.parameters(which)[f"{name}.bias"][...] = bias
    network.refresh()
    return network


def transition(reward=-1.0, terminated=False, steps_to_goal=0):
    """Return a minibatch of one transition with action 0."""
    words = pack_bits([[[0, 0, 0]]])
    numbers = [np.zeros((1, 1), dtype) for dtype in (np.uint16, np.float32, np.bool_, np.int32)]
    batch = Minibatches(words, words, words, *numbers)
    batch.rewards[...], batch.terminated[...], batch.steps_to_goal[...] = reward, terminated, steps_to_goal
    return batch


def td_target(target=TARGET, reward=-1.0, terminated=False, steps_to_goal=0, **fields):
    """Return the target of action 0, whose online value is 10."""
    (loss,) = constant_network(ONLINE, target, **fields).fit(transition(reward, terminated, steps_to_goal))
    return pytest.approx(10 - np.sqrt(loss), abs=1e-4)


def test_gamma():
    assert td_target(gamma=0.9) == -1 + 0.9 * -2
    assert td_target(gamma=0.5) == -1 + 0.5 * -2
    assert td_target(gamma=0.0) == -1


def test_double_q():
    assert td_target(double_q=True) == -1 + 0.9 * -2  # the online network prefers action 1
    assert td_target(double_q=False) == -1 + 0.9 * -1  # the target network prefers action 2


def test_clip_targets():
    assert td_target([0.0, -50.0, 0.0]) == -1 + 0.9 * -50
    assert td_target([0.0, -50.0, 0.0], clip_targets=True) == -10
    assert td_target([0.0, 5.0, 0.0]) == -1 + 0.9 * 5
    assert td_target([0.0, 5.0, 0.0], clip_targets=True) == 0


def test_mask_terminal():
    assert td_target(reward=0.0, terminated=True) == 0
    assert td_target(reward=0.0, terminated=True, mask_terminal=False) == 0.9 * -2
    assert td_target(terminated=False) == td_target(terminated=False, mask_terminal=False).expected


def test_hindsight_bound():
    """Three steps before the goal the target is at least -1 - 0.9."""
    low = [0.0, -50.0, 0.0]
    assert td_target(low, steps_to_goal=3) == -1 + 0.9 * -50
    assert td_target(low, steps_to_goal=3, hindsight_bound=True) == -1 - 0.9
    assert td_target(low, reward=0.0, steps_to_goal=1, hindsight_bound=True) == 0
    assert td_target(low, steps_to_goal=0, hindsight_bound=True) == -1 + 0.9 * -50
    assert td_target([0.0, -0.5, 0.0], steps_to_goal=3, hindsight_bound=True) == -1 + 0.9 * -0.5


def test_advantage_gap():
    """The target network values action 0 at 2 less than the best action."""
    assert td_target(advantage_gap=0.0) == -1 + 0.9 * -2
    assert td_target(advantage_gap=0.25) == -1 + 0.9 * -2 - 0.25 * 2


# --- exploration ---


def explore(cycles=1, **fields):
    """Train an agent whose greedy action is always 1, and measure its exploration.

    Returns the share of random actions and epsilon of each cycle. The third value is the number of steps
    before each cycle and after the last one.
    """
    fields = {"episodes_per_cycle": 200, "learning_rate": 5e-324, "cycles_per_epoch": 1, **fields}
    agent, shares = small_agent(8, **fields), []
    set_greedy_action(agent.network, 1)
    add = agent.replay.add

    def add_and_measure(episodes):
        taken = episodes.actions[np.arange(8)[:, None] < episodes.lengths]
        shares.append(np.mean(taken != 1) * 8 / 7)
        add(episodes)

    agent.replay.add = add_and_measure
    agent.learn(epochs=cycles)
    steps = [0, *agent.history["env_steps"]]
    return np.array(shares), agent.history["epsilon"], steps


def test_epsilon():
    """Epsilon at the start of each cycle follows the schedule.

    A cycle has about 1,600 steps, and epsilon changes within it. The share of random actions is therefore
    about the mean of epsilon at both ends of the cycle.
    """
    settings = {"epsilon_start": 0.8, "epsilon_end": 0.1, "epsilon_decay_steps": 4_000}
    for schedule, at in (
        ("constant", lambda steps: 0.8),
        ("hyperbola", lambda steps: max(0.1, 0.8 / (steps / 4_000 + 1))),
        ("linear", lambda steps: max(0.1, 0.8 - 0.7 * steps / 4_000)),
    ):
        shares, epsilons, steps = explore(4, epsilon=schedule, **settings)
        assert epsilons.tolist() == pytest.approx([at(before) for before in steps[:-1]])
        for share, before, after in zip(shares, steps[:-1], steps[1:], strict=True):
            assert share == pytest.approx((at(before) + at(after)) / 2, abs=0.05), schedule


def test_epsilon_start():
    assert explore(epsilon="constant", epsilon_start=0.0)[0] == 0
    assert explore(epsilon="constant", epsilon_start=0.3)[0] == pytest.approx(0.3, abs=0.05)
    assert explore(epsilon="constant", epsilon_start=1.0)[0] == pytest.approx(1.0, abs=0.05)


def test_epsilon_end():
    for schedule in ("hyperbola", "linear"):
        shares, epsilons, _ = explore(2, epsilon=schedule, epsilon_end=0.4, epsilon_decay_steps=1)
        assert epsilons[1] == 0.4
        assert shares[1] == pytest.approx(0.4, abs=0.05)
    assert explore(epsilon="constant", epsilon_start=0.2, epsilon_end=0.4)[1] == 0.2


def test_epsilon_decay_steps():
    for over in (1_000, 100_000):
        _, epsilons, steps = explore(2, epsilon="linear", epsilon_end=0.0, epsilon_decay_steps=over)
        assert epsilons[1] == pytest.approx(max(0.0, 1 - steps[1] / over))
        _, epsilons, steps = explore(2, epsilon="hyperbola", epsilon_end=0.0, epsilon_decay_steps=over)
        assert epsilons[1] == pytest.approx(over / (steps[1] + over))


# --- training ---


def update_sizes(updates, **fields):
    """Return how far each update moves the bias of the action taken.

    Adam's first step is as large as the learning rate.
    """
    network, bias = constant_network(ONLINE, TARGET, **fields), [10.0]
    for _ in range(updates):
        network.fit(transition())
        bias.append(float(network.parameters()["output.bias"][0]))
    return -np.diff(bias)


def test_learning_rate():
    assert update_sizes(1, learning_rate=1e-3) == pytest.approx(1e-3, rel=1e-3)
    assert update_sizes(1, learning_rate=1e-2) == pytest.approx(1e-2, rel=1e-3)


def test_learning_rate_end():
    """The gradient hardly changes, so each step is about as large as its rate."""
    assert update_sizes(3, learning_rate=1e-2, learning_rate_end=None) == pytest.approx([1e-2] * 3, rel=1e-2)
    falling = update_sizes(3, learning_rate=1e-2, learning_rate_end=1e-4, learning_rate_decay_updates=2)
    assert falling == pytest.approx([1e-2, 1e-3, 1e-4], rel=2e-2)


def test_learning_rate_decay_updates():
    agent = small_agent(learning_rate=1e-2, learning_rate_end=1e-4, learning_rate_decay_updates=6).learn(
        epochs=2
    )
    assert agent.history["learning_rate"] == pytest.approx([1e-2, 1e-3, 1e-4, 1e-4])  # three updates a cycle


def test_target_update():
    network, target_changed = constant_network(ONLINE, TARGET, target_update=3), []
    for _ in range(7):
        before = network.parameters("target")["output.bias"].copy()
        network.fit(transition())
        after = network.parameters("target")["output.bias"]
        target_changed.append(bool((after != before).any()))
        assert (after == network.parameters()["output.bias"]).all() == target_changed[-1]
    assert target_changed == [False, False, True, False, False, True, False]


def test_polyak():
    network = constant_network(ONLINE, TARGET, target_update=1, polyak=0.75)
    network.fit(transition())
    online, target = (network.parameters(which)["output.bias"] for which in ("online", "target"))
    np.testing.assert_allclose(target, 0.75 * np.array(TARGET) + 0.25 * online, rtol=1e-6)


def test_capacity():
    agent = small_agent(capacity=30).learn(epochs=3)
    assert agent.env_steps + agent.episodes > 60
    assert (len(agent.replay.records), agent.replay.cursor[1]) == (30, 30)


def test_episodes_per_cycle():
    assert small_agent(episodes_per_cycle=7).learn(epochs=1).history["episodes"].tolist() == [7, 14]


def test_updates_per_cycle():
    assert small_agent(updates_per_cycle=5).learn(epochs=1).history["updates"].tolist() == [5, 10]


def test_cycles_per_epoch():
    history = small_agent(cycles_per_epoch=3).learn(epochs=2).history
    assert history["epoch"].tolist() == [1, 1, 1, 2, 2, 2]
    assert np.isnan(history["greedy_success"]).tolist() == [True, True, False] * 2


def test_epochs():
    assert small_agent(epochs=4).learn().cycles == 8


def test_until():
    """With one bit the only action always reaches the goal in the first epoch."""
    assert small_agent(1, epochs=4, until=None).learn().cycles == 8
    agent = small_agent(1, epochs=4, until=1.0).learn()
    assert agent.solved
    assert agent.cycles == 2


def test_evaluate_with():
    """The online network prefers action 4, the target network action 2."""
    observation = {"observation": np.zeros(6, np.int8), "desired_goal": np.ones(6, np.int8)}
    for which, action in (("online", 4), ("target", 2)):
        agent = small_agent(evaluate_with=which)
        for network, best in (("online", 4), ("target", 2)):
            set_greedy_action(agent.network, best, network)
        assert agent.predict(observation)[0] == action
        goal = observation["observation"].copy()
        goal[action] = 1  # only this action reaches it
        assert agent.predict({**observation, "desired_goal": goal})[0] == action


def test_evaluation_uses_the_network_of_evaluate_with():
    """An episode of one step succeeds if exactly the flipped bit is wrong."""
    states, goals = np.empty((2, 200, 1), np.uint64)
    BitFlip(2).reset(stream(1, Role.TEST), states, goals)
    for which, action in (("online", 1), ("target", 0)):
        agent = Agent(BitFlip(2, max_steps=1), "notebook", 0, **SMALL, evaluate_with=which)
        set_greedy_action(agent.network, 1, "online")
        set_greedy_action(agent.network, 0, "target")
        expected = (states ^ goals == 1 << action).mean()
        assert agent.evaluate(200, seed=1).success_rate == expected
