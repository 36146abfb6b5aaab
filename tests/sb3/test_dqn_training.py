"""Tests that DQN learns, predicts, and logs as Stable-Baselines3 does."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import stable_baselines3
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from support.sb3_models import HINDSIGHT, SMALL, bit_flipping, small_model

from herfast.sb3 import DQN


@pytest.mark.parametrize("n_envs", [1, 4])
def test_bit_flipping_is_learned(n_envs):
    """The greedy policy solves all of 100 episodes, with the shortest paths."""
    model = DQN(
        "MultiInputPolicy",
        bit_flipping(n_envs, 8),
        train_freq=1,
        gradient_steps=-1,
        learning_rate=1e-3,
        target_update_interval=200,
        exploration_fraction=0.5,
        seed=0,
        **HINDSIGHT,
    )
    model.learn(4_000)
    assert np.mean(model.ep_success_buffer) >= 0.9
    mean_reward, _ = evaluate_policy(model, bit_flipping(n_envs, 8), 100)
    assert mean_reward > -4  # -3 on average is optimal


def test_the_preset_fast_learns():
    model = DQN("MultiInputPolicy", bit_flipping(1, 12), preset="fast", deterministic_env=True, seed=0)
    model.learn(8_000)
    mean_reward, _ = evaluate_policy(model, bit_flipping(1, 12), 100)
    assert mean_reward > -6.5  # -5 on average is optimal


def test_it_is_an_algorithm_of_stable_baselines3():
    model = small_model()
    assert isinstance(model, OffPolicyAlgorithm)
    assert model.learn(10) is model
    assert model.num_timesteps == 10
    assert model.logger.name_to_value["rollout/exploration_rate"] == model.exploration_rate


def test_callbacks_get_the_local_variables_of_stable_baselines3():
    names = []
    for model in (
        stable_baselines3.DQN("MultiInputPolicy", bit_flipping(), device="cpu", **SMALL),
        small_model(),
    ):
        seen = {}

        def callback(values, _, seen=seen):
            seen.update(values)
            return True

        model.learn(30, callback=callback)
        names.append(seen.keys())
        assert seen["self"] is model
        assert seen["new_obs"]["observation"].shape == (1, 5)
        assert seen["actions"].dtype == np.int64
        assert (seen["num_collected_steps"], seen["infos"][0].keys() >= {"is_success"}) == (1, True)
    assert names[1] >= names[0] - {"idx", "done"}


def test_the_log_has_the_entries_of_stable_baselines3(capsys):
    keys = []
    for model in (
        stable_baselines3.DQN("MultiInputPolicy", bit_flipping(), device="cpu", verbose=1, **SMALL),
        small_model(verbose=1),
    ):
        capsys.readouterr()
        model.learn(200, log_interval=1)
        last = capsys.readouterr().out.split("---\n")[-2]
        keys.append([line.split("|")[1].strip() for line in last.splitlines() if line.startswith("|")])
    assert keys[1] == keys[0]
    assert "n_updates" in keys[1]


def test_predictions_explore_unless_they_are_deterministic():
    model = small_model(bit_flipping(2))
    observation = {key: np.repeat(part[:1], 1_000, axis=0) for key, part in model.env.reset().items()}
    greedy, state = model.predict(observation, deterministic=True)
    assert greedy.shape == (1_000,)
    assert state is None
    assert (greedy == greedy[0]).all()
    assert (model.predict(observation)[0] == greedy).all()  # the exploration rate is 0 before training
    model.exploration_rate = 0.5
    actions = model.predict(observation)[0]
    assert 0.35 < (actions != greedy).mean() < 0.45  # a random action is the greedy one in a fifth of cases
    model.set_random_seed(4)
    first = model.predict(observation)[0]
    model.set_random_seed(4)
    assert (model.predict(observation)[0] == first).all()
    assert (model.predict(observation)[0] != first).any()


def test_single_observations():
    model = small_model(BitFlippingEnv(5))
    batch = model.env.reset()
    single = {key: part[0] for key, part in batch.items()}
    action, state = model.predict(single, state=("a",), episode_start=np.array([True]), deterministic=True)
    assert action.shape == ()
    assert action == model.predict(batch, deterministic=True)[0][0]
    assert state == ("a",)
    with pytest.raises(TypeError, match=r"^the observation must be a dict with observation, achieved_goal"):
        model.predict(single["observation"])
    with pytest.raises(ValueError, match=r"^achieved_goal must be in its space"):
        model.predict({**single, "achieved_goal": np.zeros(6, np.int8)})


def test_predictions_do_not_change_training():
    states = []
    for predicts in (False, True):
        model = small_model()

        def callback(values, _, model=model, predicts=predicts):
            if predicts:
                model.predict(values["new_obs"])
            return True

        model.learn(120, callback=callback)
        states.append(model.network.parameters()["output.weight"].tobytes())
    assert states[0] == states[1]


def test_an_error_of_the_environment_keeps_what_is_stored():
    class Failing(BitFlippingEnv):
        fails = False

        def step(self, action):
            if self.fails:
                raise OSError("no connection")
            return super().step(action)

    env = Failing(5)
    model = small_model(env).learn(63)
    n_stored = len(model.replay_buffer)
    env.fails = True
    with pytest.raises(OSError, match="no connection"):
        model.learn(30, reset_num_timesteps=False)
    assert (model.num_timesteps, len(model.replay_buffer)) == (63, n_stored)
    env.fails = False
    model.learn(30, reset_num_timesteps=False)
    assert model.num_timesteps == 93
