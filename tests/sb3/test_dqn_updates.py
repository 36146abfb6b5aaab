"""Tests of the updates and the exploration rate against the real DQN."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import stable_baselines3.dqn.dqn as their_module
from stable_baselines3.common.callbacks import BaseCallback
from support.sb3_models import SMALL, bit_flipping, small_model

from herfast.sb3 import DQN, due_updates

CASES = {
    "each step": {"train_freq": 1, "gradient_steps": 1, "target_update_interval": 7},
    "every fourth": {"train_freq": 4, "gradient_steps": 3, "target_update_interval": 10},
    "as many as steps": {"train_freq": 3, "gradient_steps": -1, "target_update_interval": 5},
    "no updates": {"train_freq": 1, "gradient_steps": 0, "target_update_interval": 9},
    "target each step": {"train_freq": 2, "gradient_steps": 1, "target_update_interval": 1},
    "late start": {"learning_starts": 100, "target_update_interval": 30},
    "early start": {"learning_starts": 0, "target_update_interval": 30, "tau": 0.5},
}


def events_of_stable_baselines3(monkeypatch, n_envs, n_steps, arguments):
    """Return the updates of their DQN as "u", of its target network as "t"."""
    events = []

    class Counted(their_module.DQN):
        def train(self, gradient_steps, batch_size):
            events.extend("u" * gradient_steps)

    def polyak_update(params, target_params, tau):
        if list(target_params):  # otherwise those of batch normalization
            events.append("t")

    monkeypatch.setattr(their_module, "polyak_update", polyak_update)
    settings = {**SMALL, **arguments}
    Counted("MultiInputPolicy", bit_flipping(n_envs), device="cpu", **settings).learn(n_steps)
    return "".join(events)


def events_of(monkeypatch, model, n_steps):
    """Return the events of a model."""
    events = []
    fit = model.network.fit

    def counted_fit(batches):
        events.extend("u" * len(batches.actions))
        return fit(batches)

    def update_target(network, tau):
        assert network is model.network
        assert tau == model.tau
        events.append("t")

    monkeypatch.setattr(model.network, "fit", counted_fit)
    monkeypatch.setattr(due_updates, "update_target", update_target)
    model.learn(n_steps)
    return "".join(events)


class EpisodeEnds(BaseCallback):
    """Steps that ended an episode."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def _on_step(self):
        if self.locals["dones"].any():
            self.steps.append(self.num_timesteps)
        return True


@pytest.mark.filterwarnings("ignore:The number of environments used is greater")
@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_the_updates_are_those_of_stable_baselines3(monkeypatch, case, n_envs):
    """Only the last ones, after an episode has ended, are still due."""
    theirs = events_of_stable_baselines3(monkeypatch, n_envs, 300, CASES[case])
    model = small_model(bit_flipping(n_envs), **CASES[case])
    events = events_of(monkeypatch, model, 300)
    counts = model._due.counts
    assert events + "t".join("u" * count for count in counts) == theirs
    assert len(counts) <= 1 + 5 * 3
    assert model.network.updates == model._n_updates == events.count("u")
    assert ("u" in theirs) == (case != "no updates")


@pytest.mark.parametrize("n_envs", [1, 3])
def test_updates_are_made_when_an_episode_ends(monkeypatch, n_envs):
    model = small_model(bit_flipping(n_envs), target_update_interval=10_000, gradient_steps=n_envs)
    ends = EpisodeEnds()
    steps = []
    fit = model.network.fit

    def counted_fit(batches):
        steps.append((model.num_timesteps, len(batches.actions)))
        return fit(batches)

    monkeypatch.setattr(model.network, "fit", counted_fit)
    model.learn(300, callback=ends)
    first = 21  # the number of steps after which the first updates are due
    made = [step for step in ends.steps if step > first]
    assert [step for step, _ in steps] == made
    assert [count for _, count in steps] == np.diff([first, *made]).tolist()


def test_updates_of_episodes_are_made_at_once(monkeypatch):
    model = small_model(train_freq=(2, "episode"), gradient_steps=5, learning_starts=0)
    events = events_of(monkeypatch, model, 200)
    n_cycles = model._episode_num // 2
    assert model._episode_num % 2 == 0
    assert events.count("u") == 5 * n_cycles
    assert sum(model._due.counts) == 0


def test_a_preset_updates_after_its_number_of_episodes():
    model = DQN("MultiInputPolicy", bit_flipping(2), preset="notebook", seed=0).learn(500)
    config = model.network.config
    n_cycles, n_left = divmod(model._episode_num, config.episodes_per_cycle)
    assert n_left < 2  # both environments may end an episode in the last step
    assert model.network.updates == n_cycles * config.updates_per_cycle
    assert n_cycles > 3


def test_many_due_updates_are_sampled_in_portions(monkeypatch):
    parts = small_model(gradient_steps=7)
    whole = small_model(gradient_steps=7)
    monkeypatch.setattr(due_updates, "MAX_SAMPLED", 3)
    parts.learn(100)
    monkeypatch.undo()
    whole.learn(100)
    assert parts.network.updates == whole.network.updates > 400
    assert (parts.network.parameters()["output.weight"] == whole.network.parameters()["output.weight"]).all()


def test_the_target_network_moves_by_tau():
    model = small_model()
    model.network.parameters()["output.weight"][...] = 1
    target = model.network.parameters("target")["output.weight"]
    target[...] = 3
    due_updates.update_target(model.network, 0.25)
    assert (target == 2.5).all()
    due_updates.update_target(model.network, 1)
    assert (target == 1).all()


def test_train_outside_of_learn_makes_updates_at_once():
    model = small_model(learning_starts=1_000).learn(100)
    assert model.network.updates == 0
    model.train(gradient_steps=9, batch_size=4)
    assert model.network.updates == model._n_updates == 9


class Rates(BaseCallback):
    """Exploration rates before and after each step."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def _on_rollout_start(self):
        self.rates.append(self.model.exploration_rate)

    def _on_step(self):
        return True


@pytest.mark.parametrize("n_envs", [1, 3])
def test_the_exploration_rate_is_that_of_stable_baselines3(n_envs):
    arguments = {
        **SMALL,
        "exploration_fraction": 0.4,
        "exploration_initial_eps": 0.9,
        "exploration_final_eps": 0.2,
        "gradient_steps": 0,
    }
    theirs = their_module.DQN("MultiInputPolicy", bit_flipping(n_envs), device="cpu", **arguments)
    ours = small_model(bit_flipping(n_envs), **arguments)
    rates = []
    for model in (theirs, ours):
        recorded = Rates()
        model.learn(150, callback=recorded)
        model.learn(60, callback=recorded, reset_num_timesteps=False)
        rates.append(recorded.rates)
    assert rates[1] == pytest.approx(rates[0])
    assert len(rates[0]) == 210 / n_envs


def test_actions_explore_with_that_rate():
    """A warm-up is random; then a rate of 0 is greedy."""
    model = small_model(bit_flipping(2), learning_starts=400, gradient_steps=0, exploration_initial_eps=0)
    model.set_parameters(preferring(model, action=2))
    actions = []

    def collect(values, _):
        actions.append(values["actions"].copy())

        return True

    model.exploration_final_eps = 0.0
    model.learn(1_000, callback=collect)
    warm_up = [int(action) for step in actions[:200] for action in step]
    assert set(warm_up) == set(range(5))
    assert 40 < warm_up.count(2) < 130
    assert {int(action) for step in actions[200:] for action in step} == {2}


def preferring(model, action):
    """Return parameters with which one action has the highest value."""
    parameters = model.get_parameters()
    for name, tensor in parameters["policy"].items():
        if name.startswith("online.output"):
            tensor.zero_()
    parameters["policy"]["online.output.bias"][action] = 1
    return parameters
