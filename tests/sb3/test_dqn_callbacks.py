"""Tests of DQN with the callbacks of Stable-Baselines3."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import stable_baselines3
import torch
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
    ProgressBarCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.evaluation import evaluate_policy
from support.sb3_models import HINDSIGHT, SMALL, bit_flipping, small_model, state_of

from herfast.sb3 import DQN

LEARNING = {  # solves 5 bits in 1,000 steps
    "learning_starts": 0,
    "exploration_fraction": 0.3,
    "learning_rate": 3e-3,
    "policy_kwargs": {"net_arch": [64]},
    "batch_size": 32,
    "buffer_size": 5_000,
    "gamma": 0.95,
}


def greedy_return(model, n_envs=1):
    """Return the mean return of 40 greedy episodes."""
    env = bit_flipping(n_envs)
    env.seed(7)
    mean, _ = evaluate_policy(model, env, 40)
    return mean


def test_evaluate_policy():
    model = small_model(**LEARNING)
    assert greedy_return(model) < -4
    model.learn(1_000)
    assert greedy_return(model) > -2
    assert greedy_return(model) == greedy_return(model)
    env = bit_flipping(3)
    returns, lengths = evaluate_policy(model, env, 10, deterministic=False, return_episode_rewards=True)
    assert len(returns) == len(lengths) == 10
    assert max(lengths) <= 5


def test_the_best_model_of_an_evaluation(tmp_path):
    """Its file gives the return that the callback measured."""
    env = bit_flipping(2)
    env.seed(7)
    callback = EvalCallback(
        env, eval_freq=50, n_eval_episodes=40, log_path=tmp_path, best_model_save_path=tmp_path, verbose=0
    )
    small_model(bit_flipping(2), **LEARNING, gradient_steps=2).learn(2_000, callback=callback)
    results = np.load(tmp_path / "evaluations.npz")
    assert results["timesteps"].tolist() == list(range(100, 2_001, 100))
    assert results["results"].shape == results["successes"].shape == (20, 40)
    assert results["results"].mean(axis=1).max() == callback.best_mean_reward > -2
    best = DQN.load(tmp_path / "best_model")
    assert best.num_timesteps == results["timesteps"][results["results"].mean(axis=1).argmax()]
    assert greedy_return(best, n_envs=2) == pytest.approx(callback.best_mean_reward, abs=0.7)


@pytest.mark.parametrize("deterministic", [False, True])
def test_an_evaluation_changes_no_training(deterministic):
    """Only the stream of random actions in evaluations moves."""
    callback = EvalCallback(bit_flipping(), eval_freq=20, deterministic=deterministic, verbose=0)
    plain = state_of(small_model().learn(300))
    evaluated = state_of(small_model().learn(300, callback=callback))
    streams = [state["streams"].pop("EVALUATION") for state in (plain, evaluated)]
    assert evaluated == plain
    assert (streams[0] == streams[1]) == deterministic


def test_an_evaluation_stops_at_a_threshold():
    stop = StopTrainingOnRewardThreshold(reward_threshold=-4.5)
    callback = EvalCallback(bit_flipping(), callback_on_new_best=stop, eval_freq=100, verbose=0)
    model = small_model().learn(10_000, callback=callback)
    assert callback.best_mean_reward >= -4.5
    assert model.num_timesteps % 100 == 0
    assert model.num_timesteps < 10_000


def test_an_evaluation_stops_without_improvement():
    stop = StopTrainingOnNoModelImprovement(max_no_improvement_evals=2, min_evals=1)
    env = bit_flipping(n_bits=30, max_steps=3)
    callback = EvalCallback(env, callback_after_eval=stop, eval_freq=10, verbose=0)
    model = small_model(bit_flipping(n_bits=30, max_steps=3)).learn(1_000, callback=callback)
    assert model.num_timesteps == 40


@pytest.mark.parametrize("n_envs", [1, 2])
def test_checkpoints(tmp_path, n_envs):
    """The files have the names that Stable-Baselines3 gives them, and can be loaded."""
    env = bit_flipping(n_envs)
    callback = CheckpointCallback(60 // n_envs, tmp_path, save_replay_buffer=True, save_vecnormalize=True)
    model = small_model(env).learn(130, callback=callback)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        f"rl_model_{name}{steps}_steps.{suffix}"
        for steps in (60, 120)
        for name, suffix in (("", "zip"), ("replay_buffer_", "pkl"))
    }
    loaded = DQN.load(tmp_path / "rl_model_60_steps.zip", env=bit_flipping(n_envs))
    assert loaded.num_timesteps == 60
    loaded.load_replay_buffer(tmp_path / "rl_model_replay_buffer_120_steps.pkl")
    assert 60 < len(loaded.replay_buffer) <= len(model.replay_buffer)


def test_a_list_of_callbacks(tmp_path):
    """They count the steps of the model, and get the same local variables."""
    checkpoint = CheckpointCallback(512, tmp_path)
    on_event = CheckpointCallback(1, tmp_path, name_prefix="event")
    event = EveryNTimesteps(50, on_event)
    episodes = StopTrainingOnMaxEpisodes(1_000)
    callback = CallbackList([checkpoint, event, episodes])
    model = small_model().learn(128, callback=callback)
    assert {path.name for path in tmp_path.iterdir()} == {"event_50_steps.zip", "event_100_steps.zip"}
    for one in (checkpoint, event, episodes):
        assert one.n_calls == one.num_timesteps == model.num_timesteps == 128
        assert one.model is model
    for one in (checkpoint, event, on_event, episodes):
        assert one.locals["new_obs"] is callback.locals["new_obs"]
    assert model.env.envs[0].observation_space.contains(
        {key: part[0] for key, part in callback.locals["new_obs"].items()}
    )
    counted = EveryNTimesteps(50, CheckpointCallback(1, tmp_path / "list"))
    model.learn(128, callback=[counted, StopTrainingOnMaxEpisodes(1_000)])
    assert len(list((tmp_path / "list").iterdir())) == 2


@pytest.mark.parametrize("n_envs", [1, 3])
def test_training_stops_at_a_number_of_episodes(n_envs):
    """It is a number for each environment."""
    stop = StopTrainingOnMaxEpisodes(4)
    model = small_model(bit_flipping(n_envs, n_bits=30, max_steps=6)).learn(1_000, callback=stop)
    assert stop.n_episodes == 4 * n_envs
    assert model.num_timesteps == 4 * 6 * n_envs


@pytest.mark.parametrize("result", [False, np.bool_(0), torch.tensor(0, dtype=torch.bool)])
def test_callbacks_can_stop_training(result):
    class Stop(BaseCallback):
        def _on_step(self):
            return result

    stop = Stop()
    model = small_model().learn(50, callback=stop)
    assert stop.n_calls == model.num_timesteps == 1


@pytest.mark.filterwarnings("ignore:rich is experimental")
@pytest.mark.parametrize("as_argument", [False, True])
def test_the_progress_bar(as_argument, capsys):
    pytest.importorskip("tqdm")
    pytest.importorskip("rich")
    model = small_model(bit_flipping(2)).learn(40)
    if as_argument:
        model.learn(60, progress_bar=True, reset_num_timesteps=False)
    else:
        model.learn(60, callback=ProgressBarCallback(), reset_num_timesteps=False)
    assert "60/60" in "".join(capsys.readouterr())


class Recorder(BaseCallback):
    """Names of local variables, and the order of calls."""

    def __init__(self):
        super().__init__()
        self.names = []
        self.calls = []

    def _on_training_start(self):
        self.calls.append(("training start", sorted(self.locals)))

    def _on_rollout_start(self):
        self.calls.append("rollout start")

    def _on_step(self):
        self.calls.append(("step", self.num_timesteps, self.model.num_timesteps))
        self.names.append(sorted(self.locals))
        values = self.locals
        assert values["self"] is self.model
        assert values["env"] is self.training_env is self.model.get_env()
        assert values["replay_buffer"] is self.model.replay_buffer
        n_envs = self.training_env.num_envs
        assert values["actions"].shape == values["buffer_actions"].shape == (n_envs,)
        assert values["rewards"].shape == values["dones"].shape == (n_envs,)
        assert len(values["infos"]) == n_envs
        return True

    def _on_rollout_end(self):
        self.calls.append("rollout end")

    def _on_training_end(self):
        self.calls.append("training end")


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize("train_freq", [1, 4, (2, "episode")], ids=str)
def test_callbacks_are_called_as_by_stable_baselines3(n_envs, train_freq):
    """No goal is reached, so that the episodes of both have the same lengths."""
    if n_envs > 1 and train_freq == (2, "episode"):
        pytest.skip("theirs needs one environment")
    recorders = []
    for cls in (stable_baselines3.DQN, DQN):
        env = bit_flipping(n_envs, n_bits=30, max_steps=5)
        model = cls("MultiInputPolicy", env, **{**SMALL, **HINDSIGHT, "train_freq": train_freq})
        recorder = Recorder()
        model.learn(60, callback=recorder)
        model.learn(20, callback=recorder, reset_num_timesteps=False)
        recorders.append(recorder)
    theirs, ours = recorders
    assert ours.calls == theirs.calls
    assert ours.names == theirs.names
    assert len(theirs.names) >= 80 // n_envs


def test_values_of_local_variables():
    """Collected episodes do not yet have that of the step."""
    values = []
    for cls in (stable_baselines3.DQN, DQN):
        rows = []

        def collect(local, _, rows=rows):
            names = ("num_collected_steps", "num_collected_episodes", "learning_starts", "log_interval")
            rows.append([local[name] for name in names] + [bool(local["dones"][0]), local["total_timesteps"]])
            return True

        env = bit_flipping(n_bits=30, max_steps=5)
        model = cls("MultiInputPolicy", env, **{**SMALL, **HINDSIGHT, "train_freq": (3, "episode")})
        model.learn(60, callback=collect, log_interval=7)
        values.append(rows)
    assert values[1] == values[0]
