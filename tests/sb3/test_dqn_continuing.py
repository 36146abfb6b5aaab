"""Tests that training in parts, or from files, gives the same bits."""

import copy

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.vec_env import SubprocVecEnv
from support.sb3_models import bit_flipping, small_model, state_of

from herfast.sb3 import DQN

CASES = {
    "steps": {},
    "several steps": {"train_freq": 3, "gradient_steps": 2},
    "as many as steps": {"train_freq": 2, "gradient_steps": -1},
    "episodes": {"train_freq": (2, "episode"), "gradient_steps": 5},
    "no hindsight": {"replay_buffer_class": None, "replay_buffer_kwargs": None},
    "infos": {"replay_buffer_kwargs": {"copy_info_dict": True}},
    "fast": {"preset": "fast", "deterministic_env": True},
}


def stop_at(n_calls, action=None):
    """Return a callback that stops at its n-th call, after `action(model)`."""
    calls = 0

    def callback(values, _):
        nonlocal calls
        calls += 1
        if calls == n_calls and action is not None:
            action(values["self"])
        return calls < n_calls

    return callback


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_a_stopped_call_can_be_continued(case, n_envs):
    """The steps of both calls differ in none of their results from those of one call."""
    whole = small_model(bit_flipping(n_envs), **CASES[case]).learn(240)
    for n_calls in (1, 17, 43, 60):
        parts = small_model(bit_flipping(n_envs), **CASES[case])
        parts.learn(240, callback=stop_at(n_calls))
        assert parts.num_timesteps == n_calls * n_envs
        parts.learn(240 - n_calls * n_envs, reset_num_timesteps=False)
        assert state_of(parts) == state_of(whole)


def test_two_calls_equal_one():
    """A rate that is not constant would depend on the length of each call."""
    constant = {"exploration_initial_eps": 0.2, "exploration_final_eps": 0.2}
    whole = small_model(**constant).learn(300)
    parts = small_model(**constant).learn(130).learn(170, reset_num_timesteps=False)
    assert parts._due.counts == whole._due.counts
    assert state_of(parts) == state_of(whole)


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_a_model_continues_from_its_file(tmp_path, case, n_envs):
    """The file is written by a callback, also within an episode and between updates."""
    for n_calls in (1, 17, 43, 60):
        env = bit_flipping(n_envs)
        copies = []

        def save(model, copies=copies):
            model.save(tmp_path / "model")
            copies.append(copy.deepcopy(model.env))

        model = small_model(env, **CASES[case])
        model.learn(240, callback=stop_at(n_calls, save))
        loaded = DQN.load(tmp_path / "model", env=copies[0], force_reset=False)
        assert state_of(loaded) == state_of(model)
        n_left = 240 - n_calls * n_envs
        model.learn(n_left, reset_num_timesteps=False)
        loaded.learn(n_left, reset_num_timesteps=False)
        assert state_of(loaded) == state_of(model)


def test_a_forced_reset_drops_running_episodes(tmp_path):
    model = small_model().learn(103)
    n_running = int(model._episodes.state_dict()["lengths"].sum())
    assert n_running > 0
    model.save(tmp_path / "model")
    loaded = DQN.load(tmp_path / "model", env=bit_flipping())
    assert loaded._last_obs is None
    loaded.learn(1, reset_num_timesteps=False)
    assert loaded._episodes.state_dict()["lengths"].tolist() == [1]
    assert len(loaded.replay_buffer) == 103 - n_running
    assert loaded.num_timesteps == 104


def test_a_reset_drops_running_episodes():
    model = small_model().learn(103)
    n_stored = len(model.replay_buffer)
    model.learn(1)
    assert model.num_timesteps == 1
    assert len(model.replay_buffer) == n_stored
    assert model._episodes.state_dict()["lengths"].tolist() == [1]


def test_the_number_of_environments_may_change_in_a_file(tmp_path):
    model = small_model(bit_flipping(2)).learn(100)
    model.save(tmp_path / "model")
    loaded = DQN.load(tmp_path / "model", env=bit_flipping(3), force_reset=False)
    assert loaded.n_envs == 3
    assert len(loaded.replay_buffer) == len(model.replay_buffer)
    loaded.learn(99, reset_num_timesteps=False)
    assert loaded.num_timesteps == 199


def test_set_env_continues_in_a_copy():
    model = small_model().learn(103)
    other = small_model().learn(103)
    other.set_env(copy.deepcopy(other.env), force_reset=False)
    assert state_of(model.learn(80, reset_num_timesteps=False)) == state_of(
        other.learn(80, reset_num_timesteps=False)
    )


def test_the_seed_fixes_all_but_the_environment():
    env = bit_flipping()
    states = [state_of(small_model(copy.deepcopy(env), seed=seed).learn(100)) for seed in (3, 3, 4)]
    assert states[0] == states[1]
    assert states[0] != states[2]


def test_no_global_state_is_used_or_changed():
    env = bit_flipping()
    legacy = np.random.get_state()  # noqa: NPY002
    model = small_model(env)
    model.set_random_seed(5)
    model.learn(60)
    model.predict(model.env.reset())
    assert all(np.array_equal(a, b) for a, b in zip(legacy, np.random.get_state(), strict=True))  # noqa: NPY002


def test_an_exception_in_a_step_ends_the_running_episodes():
    """The environment has moved, so the next call begins with a reset."""
    model = small_model().learn(50)
    step = model.env.step

    def failing(actions):
        step(actions)
        raise KeyboardInterrupt

    model.env.step = failing
    with pytest.raises(KeyboardInterrupt):
        model.learn(20, reset_num_timesteps=False)
    assert model._last_obs is None
    del model.env.step
    model.learn(20, reset_num_timesteps=False)
    lengths = model._episodes.state_dict()["lengths"]
    assert lengths.max() < 5


def test_a_callback_that_fails_at_the_start_ends_the_running_episodes():
    class Failing(BaseCallback):
        def _init_callback(self):
            raise RuntimeError("no file")

        def _on_step(self):
            return True

    model = small_model()
    with pytest.raises(RuntimeError, match="no file"):
        model.learn(50, callback=Failing())
    assert model._last_obs is None
    model.learn(50, reset_num_timesteps=False)
    assert model.num_timesteps == 50


def test_interrupted_updates_are_not_made_again(monkeypatch):
    model = small_model().learn(50)
    fit = model.network.fit

    def interrupted(batches):
        fit(batches)
        raise KeyboardInterrupt

    model._due.add(3)
    monkeypatch.setattr(type(model.network), "fit", lambda self, batches: interrupted(batches))
    updates = model.network.updates
    with pytest.raises(KeyboardInterrupt):
        model.train(0)
    assert sum(model._due.counts) == 0
    assert model.network.updates > updates


def test_an_environment_that_cannot_be_copied_is_not_moved_without_a_reset():
    env = make_vec_env(BitFlippingEnv, 1, env_kwargs={"n_bits": 5}, vec_env_cls=SubprocVecEnv)
    try:
        model = small_model(env).learn(51)
        before = env.get_attr("state")[0].copy()
        model.set_env(env, force_reset=False)
        assert (env.get_attr("state")[0] == before).all()
    finally:
        env.close()
