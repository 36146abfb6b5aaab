"""Tests of the agent: history, limits, prediction, files and invalid arguments."""

import copy
import pickle

import gymnasium
import numpy as np
import pytest
from support.small_agents import small_agent

from herfast import Agent
from herfast.common import tensor_file
from herfast.common.history import HISTORY_SCHEMA


def weights(agent, which="online"):
    return np.concatenate([array.ravel() for array in agent.network.parameters(which).values()])


def test_history_has_one_row_per_cycle():
    agent = small_agent().learn(epochs=3)
    assert list(agent.history) == list(HISTORY_SCHEMA)
    assert agent.history["epoch"].tolist() == [1, 1, 2, 2, 3, 3]
    assert agent.history["episodes"].tolist() == [4, 8, 12, 16, 20, 24]
    assert agent.history["updates"].tolist() == [3, 6, 9, 12, 15, 18]
    assert (np.diff(agent.history["env_steps"]) >= 4).all()
    assert agent.history["env_steps"][-1] == agent.env_steps == agent.replay.cursor[1] - agent.episodes
    assert np.isnan(agent.history["greedy_success"]).tolist() == [True, False] * 3
    assert (np.diff(agent.history["seconds"]) > 0).all()
    assert (-agent.history["return"] <= 6).all()
    assert ((agent.history["success"] * 4) % 1 == 0).all()


def test_agents_with_equal_seeds_are_equal_after_training():
    agents = [small_agent(seed=7).learn(epochs=3) for _ in range(2)]
    for which in ("online", "target", "moment1", "moment2"):
        assert (weights(agents[0], which) == weights(agents[1], which)).all()
    assert (agents[0].replay.records == agents[1].replay.records).all()
    assert agents[0].history["loss"].tolist() == agents[1].history["loss"].tolist()
    assert (weights(agents[0]) != weights(small_agent(seed=8).learn(epochs=3))).any()


def test_a_drawn_seed_reproduces_training():
    first = small_agent(seed=None).learn(epochs=1)
    second = small_agent(seed=first.seed).learn(epochs=1)
    assert (weights(first) == weights(second)).all()
    assert small_agent(seed=None).seed != first.seed


def test_two_calls_of_learn_train_as_one_longer_call():
    parts = small_agent().learn(epochs=1)
    parts.predict(gymnasium.make("herfast/BitFlip-v0", n_bits=6).reset(seed=0)[0])
    parts.evaluate(5, seed=3)
    parts.learn(epochs=2)
    whole = small_agent().learn(epochs=3)
    assert (weights(parts) == weights(whole)).all()
    assert parts.history["greedy_success"].tolist()[1::2] == whole.history["greedy_success"].tolist()[1::2]


def test_evaluation_does_not_change_training():
    parts = small_agent().learn(epochs=1)
    parts.evaluate(20)
    parts.learn(epochs=1)
    assert (weights(parts) == weights(small_agent().learn(epochs=2))).all()


def test_learn_stops_at_its_limits():
    agent = small_agent()
    agent.learn(epochs=2)
    assert agent.cycles == 4
    before = agent.env_steps
    agent.learn(total_timesteps=1)
    assert agent.cycles == 5
    agent.learn(total_timesteps=60)
    assert agent.env_steps >= before + 60
    cycles = agent.cycles
    agent.learn(epochs=5, callback=lambda a: a.cycles < cycles + 3)
    assert agent.cycles == cycles + 3
    assert small_agent(epochs=4).learn().cycles == 8  # the limit of Config
    assert small_agent(epochs=4).learn(epochs=1, total_timesteps=10**6).cycles == 2


def test_until_is_checked_after_each_epoch_and_confirmed(monkeypatch):
    sizes = []

    def evaluate(self, n_episodes, seed=None):
        sizes.append(n_episodes)
        rate = {1: 0.5, 2: 0.9, 3: 0.7, 4: 0.9, 5: 0.8}[len(sizes)]
        return type("Evaluation", (), {"success_rate": rate})

    monkeypatch.setattr(Agent, "evaluate", evaluate)
    agent = small_agent(epochs=50, until=0.8).learn()
    # Rates 0.5; 0.9, which 0.7 does not confirm; 0.9, which 0.8 confirms.
    assert sizes == [100, 100, 1000, 100, 1000]
    assert agent.history["greedy_success"][1::2].tolist() == [0.5, 0.7, 0.8]
    assert agent.cycles == 6


def test_solved_is_true_after_a_confirmed_until(monkeypatch, tmp_path):
    rates = iter([0.5, 0.9, 0.7, 0.9, 0.8, 0.9])
    monkeypatch.setattr(
        Agent, "evaluate", lambda self, n, seed=None: type("Evaluation", (), {"success_rate": next(rates)})
    )
    agent = small_agent()
    seen = []
    agent.learn(epochs=3, until=0.8, callback=lambda a: seen.append(a.solved))
    assert seen == [False, False, False, False, False, True]
    assert agent.solved is True
    agent.save(tmp_path / "all", replay=True)
    agent.save(tmp_path / "agent")
    assert Agent.load(tmp_path / "all").solved is True
    assert Agent.load(tmp_path / "agent").solved is False
    with pytest.raises(ValueError, match="epochs"):
        agent.learn(epochs=0)
    assert agent.solved
    agent.learn(epochs=1)  # without `until`
    assert not agent.solved


def test_limits_of_learn_replace_those_of_config():
    agent = small_agent(n_bits=2, epochs=3, until=0.01)
    assert agent.learn(epochs=5).cycles == 10
    assert small_agent(n_bits=2, epochs=60).learn(until=0.9).cycles < 120


def test_until_alone_is_limited_by_the_epochs_of_config():
    assert small_agent(n_bits=30, epochs=2).learn(until=1.0).cycles == 4


@pytest.mark.parametrize(
    ("limits", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be from 1 to .*, got 0"),
        ({"epochs": 1.5}, TypeError, r"epochs must be an integer from 1 to .*, got 1\.5"),
        ({"epochs": True}, TypeError, "epochs"),
        ({"total_timesteps": -3}, ValueError, "total_timesteps must be from 1 to .*, got -3"),
        ({"until": 1.5}, ValueError, r"until must be in \(0, 1\], got 1.5"),
        ({"until": "0.9"}, TypeError, "until"),
    ],
)
def test_invalid_limits_raise(limits, error, message):
    agent = small_agent()
    with pytest.raises(error, match=message):
        agent.learn(**limits)
    assert agent.cycles == 0


def test_evaluate_with_selects_the_network_that_plays_and_predicts():
    agent = small_agent(preset="paper").learn(epochs=2)
    assert agent.config.evaluate_with == "target"
    observation = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=40, n_bits=6).reset(seed=0)[0]
    actions = agent.predict(observation)[0]
    for array in agent.network.parameters("online").values():
        array[...] = 0
    assert (agent.predict(observation)[0] == actions).all()
    assert len(set(actions.tolist())) > 1
    before = agent.evaluate(30, seed=0)
    for array in agent.network.parameters("target").values():
        array[...] *= -1
    agent.network.refresh()
    assert agent.evaluate(30, seed=0) != before


def test_predict_takes_single_and_batched_observations():
    agent = small_agent()
    batch, _ = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=5, n_bits=6).reset(seed=0)
    actions, state = agent.predict(batch)
    assert state is None
    assert actions.shape == (5,)
    assert actions.dtype == np.int64
    for e in range(5):
        action, _ = agent.predict({name: array[e] for name, array in batch.items()})
        assert isinstance(action, np.int64)
        assert action == actions[e]


GOOD = {"observation": np.zeros(6, np.int8), "desired_goal": np.ones(6, np.int8)}


@pytest.mark.parametrize(
    ("observation", "error", "message"),
    [
        ({"observation": GOOD["observation"]}, TypeError, "desired_goal, got .'observation'."),
        (
            {**GOOD, "observation": np.zeros(7, np.int8)},
            ValueError,
            r"observation must have shape \(6,\).*\(7,\)",
        ),
        ({**GOOD, "desired_goal": np.zeros((2, 6), np.int8)}, ValueError, "desired_goal"),
        ({**GOOD, "observation": np.full(6, 2, np.int8)}, ValueError, "2"),
        ({**GOOD, "observation": np.full(6, 0.5)}, ValueError, "^observation must be 0 or 1, got 0.5$"),
        (np.zeros(6), TypeError, "must be a dict.*got ndarray"),
    ],
)
def test_invalid_observations_raise(observation, error, message):
    with pytest.raises(error, match=message):
        small_agent().predict(observation)


def test_a_capacity_below_one_episode_raises():
    with pytest.raises(ValueError, match="capacity must be at least max_steps \\+ 1 = 7, got 6"):
        small_agent(capacity=6)
    small_agent(capacity=7).learn(epochs=1)


def test_divergence_raises():
    agent = small_agent(learning_rate=1.0, learning_rate_end=None)
    agent.learn(epochs=1)
    agent.network.parameters()["hidden1.weight"][0, 0] = np.inf
    with pytest.raises(FloatingPointError, match=r"epoch 2, cycle 3, with learning rate 1 and gamma 0.999"):
        agent.learn(epochs=1)


@pytest.mark.parametrize("preset", ["fast", "paper", "notebook"])
def test_a_loaded_agent_plays_the_same_episodes(tmp_path, preset):
    agent = small_agent(preset=preset).learn(epochs=2)
    agent.save(tmp_path / "agent.safetensors")
    loaded = Agent.load(tmp_path / "agent.safetensors")
    assert (loaded.env, loaded.config, loaded.preset, loaded.seed) == (agent.env, agent.config, preset, 0)
    assert loaded.evaluate(30, seed=4) == agent.evaluate(30, seed=4)
    for which in ("online", "target"):
        assert (weights(loaded, which) == weights(agent, which)).all()
    assert len(loaded.replay) == 0
    assert loaded.learn(epochs=1).cycles == 2


def test_a_numpy_seed_is_saved(tmp_path):
    agent = small_agent(seed=np.int64(5))
    agent.save(tmp_path / "agent", replay=True)
    assert Agent.load(tmp_path / "agent").seed == 5


@pytest.mark.parametrize("capacity", [40, 5000])
def test_training_resumes_from_a_full_file_bit_for_bit(tmp_path, capacity):
    fields = {
        "capacity": capacity,
        "epsilon": "linear",
        "learning_rate_end": 1e-4,
        "learning_rate_decay_updates": 20,
    }
    whole = small_agent(**fields).learn(epochs=4)
    half = small_agent(**fields).learn(epochs=2)
    half.save(tmp_path / "checkpoint.safetensors", replay=True)
    resumed = Agent.load(tmp_path / "checkpoint.safetensors").learn(epochs=2)
    for which in ("online", "target", "moment1", "moment2"):
        assert (weights(resumed, which) == weights(whole, which)).all(), which
    assert (resumed.replay.records == whole.replay.records).all()
    for name in HISTORY_SCHEMA:
        if name != "seconds":
            np.testing.assert_array_equal(resumed.history[name], whole.history[name], err_msg=name)
    assert resumed.evaluate(10) == whole.evaluate(10)


def test_a_file_without_an_agent_raises(tmp_path):
    tensor_file.write_tensors(
        tmp_path / "other.safetensors", {"x": np.zeros(3)}, {"environment": {"n_bits": 5}}
    )
    with pytest.raises(ValueError, match=r"other\.safetensors does not hold an agent"):
        Agent.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Agent.load(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize(
    "make_copy", [copy.deepcopy, lambda agent: pickle.loads(pickle.dumps(agent))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("preset", ["fast", "paper", "notebook"])
def test_a_copy_trains_as_the_original(preset, make_copy):
    agent = small_agent(preset=preset).learn(epochs=1)
    copied = make_copy(agent)
    agent.learn(epochs=2)
    copied.learn(epochs=2)
    for which in ("online", "target", "moment1", "moment2"):
        assert (weights(copied, which) == weights(agent, which)).all(), which
    assert copied.evaluate(20) == agent.evaluate(20)
    assert (copied.network.updates, copied.env_steps) == (agent.network.updates, agent.env_steps)


def test_an_interrupted_cycle_is_not_counted(monkeypatch):
    agent = small_agent().learn(epochs=1)
    fit = type(agent.network).fit

    def interrupted(network, batches):
        fit(network, batches)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(agent.network), "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            agent.learn(epochs=1)
    assert agent.cycles == len(agent.history["epoch"]) == 2
    assert (agent.env_steps, agent.episodes) == (
        agent.history["env_steps"][-1],
        agent.history["episodes"][-1],
    )
    agent.learn(epochs=1)
    assert agent.history["epoch"].tolist() == [1, 1, 2, 2]
    assert not np.isnan(agent.history["greedy_success"][-1])


def test_a_callback_that_is_not_callable_raises():
    agent = small_agent()
    with pytest.raises(TypeError, match="callback must be a callable or a list of callables, got 5"):
        agent.learn(callback=5)
    assert agent.cycles == 0
