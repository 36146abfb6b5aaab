"""Tests of the environments of DQN: wrappers, check, replay buffer, errors."""

import copy

import gymnasium
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import support.gym_tasks  # noqa: F401 (registers its environments)
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import BitFlippingEnv, IdentityEnv
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnvWrapper,
    VecMonitor,
    VecNormalize,
)
from support.sb3_models import bit_flipping, small_model

import herfast  # noqa: F401 (registers its environments)
from herfast.replay.outcomes import sample_with_origins
from herfast.sb3 import DQN


@pytest.mark.filterwarnings("ignore:.*render_mode='rgb_array' that is not in")
def test_an_environment_is_wrapped_as_by_stable_baselines3(capsys):
    env = BitFlippingEnv(4)
    model = small_model(env, verbose=1)
    assert isinstance(model.get_env(), DummyVecEnv)
    assert isinstance(model.get_env().envs[0], Monitor)
    assert model.get_env().envs[0].env is env
    assert "Wrapping the env with a `Monitor` wrapper" in capsys.readouterr().out
    assert isinstance(small_model("tests/Maze-v0").get_env().envs[0], Monitor)


@pytest.mark.parametrize("n_envs", [1, 3])
def test_the_check_leaves_no_traces(tmp_path, n_envs):
    env = make_vec_env(lambda: BitFlippingEnv(5), n_envs, seed=3, monitor_dir=str(tmp_path))
    same = make_vec_env(lambda: BitFlippingEnv(5), n_envs, seed=3)
    model = small_model(env, seed=None)
    assert [monitor.total_steps for monitor in env.envs] == [0] * n_envs
    assert env.envs[0].episode_lengths == []
    assert len((tmp_path / "0.monitor.csv").read_text().splitlines()) == 2
    assert model.ep_info_buffer is None
    assert (env.reset()["observation"] == same.reset()["observation"]).all()  # the seeds are kept
    env.step(np.zeros(n_envs, int))
    env.close()


def test_the_check_keeps_the_random_stream_of_an_environment():
    env = BitFlippingEnv(30)
    env.reset(seed=5)
    same = copy.deepcopy(env)
    model = small_model(env, seed=None)
    assert (model.env.reset()["observation"][0] == same.reset()[0]["observation"]).all()


class Uncopied(BitFlippingEnv):
    """Environment that cannot be copied, as one with a connection."""

    def __deepcopy__(self, memo):
        raise TypeError("cannot be copied")


def test_what_cannot_be_copied_is_checked_in_place():
    """The seeds of the next reset are kept. Without them there are random ones."""
    starts = []
    for seed in (3, 3, None, None):
        env = DummyVecEnv([lambda: Uncopied(40)] * 2)
        if seed is not None:
            env.seed(seed)
        env.set_options({"a": 1})
        small_model(env, seed=None)
        assert env._options == [{"a": 1}] * 2
        env.set_options()
        starts.append(env.reset()["observation"].tolist())
    assert starts[0] == starts[1]
    assert starts[2] != starts[3]


def test_a_seed_reaches_the_environment():
    starts = [
        small_model(BitFlippingEnv(40), seed=seed).learn(1).env.envs[0].unwrapped.state.tolist()
        for seed in (1, 1, 2)
    ]
    assert starts[0] == starts[1] != starts[2]


def test_environments_in_other_processes():
    env = make_vec_env(BitFlippingEnv, 2, env_kwargs={"n_bits": 4}, vec_env_cls=SubprocVecEnv)
    try:
        model = small_model(env).learn(200)
        assert len(model.replay_buffer) > 150
        assert len(model.ep_info_buffer) > 0
    finally:
        env.close()


class Renamed(VecEnvWrapper):
    """Wrapper that only passes calls on."""

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        return self.venv.step_wait()


@pytest.mark.filterwarnings("ignore:The environment is already wrapped with a `Monitor`")
@pytest.mark.parametrize("wrapper", [VecMonitor, Renamed])
def test_wrappers_of_vectorised_environments(wrapper):
    model = small_model(wrapper(bit_flipping(2))).learn(100)
    assert len(model.ep_info_buffer) > 5


class Shorter(VecEnvWrapper):
    """Wrapper that removes the last bit of `observation`."""

    def __init__(self, venv):
        parts = {**venv.observation_space.spaces, "observation": spaces.MultiBinary(4)}
        super().__init__(venv, observation_space=spaces.Dict(parts))

    def shortened(self, observations):
        return {**observations, "observation": observations["observation"][..., :4]}

    def reset(self):
        return self.shortened(self.venv.reset())

    def step_wait(self):
        observations, rewards, dones, infos = self.venv.step_wait()
        for e in np.flatnonzero(dones):
            infos[e]["terminal_observation"] = self.shortened(infos[e]["terminal_observation"])
        return self.shortened(observations), rewards, dones, infos


def test_wrappers_may_change_the_observations():
    model = small_model(Shorter(bit_flipping(2))).learn(100)
    assert model._task.n_state_bits == 9
    assert len(model.replay_buffer) > 80


class Chain(gymnasium.Env):
    """Positions 3 to 12 in a row, with actions 1 to 3, and without is_success.

    The episode ends with a failure at 12.
    """

    def __init__(self):
        position = spaces.Discrete(10, start=3)
        parts = {
            "observation": spaces.MultiDiscrete([2, 3]),
            "achieved_goal": position,
            "desired_goal": position,
        }
        self.observation_space = spaces.Dict(parts)
        self.action_space = spaces.Discrete(3, start=1)
        self.position = 3

    def _observation(self):
        return {
            "observation": np.array([self.position % 2, self.position % 3]),
            "achieved_goal": self.position,
            "desired_goal": self.goal,
        }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = int(self.np_random.integers(3, 12))
        self.goal = int(self.np_random.integers(3, 12))
        return self._observation(), {}

    def step(self, action):
        assert action in (1, 2, 3)
        self.position = min(12, max(3, self.position + int(action) - 2))
        reward = float(self.compute_reward(self.position, self.goal, {}))
        return self._observation(), reward, reward == 0 or self.position == 12, False, {}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return np.where(np.asarray(achieved_goal) == desired_goal, 0.0, -2.0)


@pytest.mark.parametrize("terminated_from_goal", [False, True])
def test_what_a_replay_buffer_holds(terminated_from_goal):
    """Rewards and terminations are the environment's, also for hindsight goals."""
    env = make_vec_env(lambda: gymnasium.wrappers.TimeLimit(Chain(), 6), 2)
    kwargs = {"terminated_from_goal": terminated_from_goal}
    model = small_model(env, replay_buffer_kwargs=kwargs).learn(400)
    task = model._task
    batch, origins = sample_with_origins(model.replay_buffer, 1, 500)
    batch = task.judge(batch, origins)
    achieved = position_of(batch.next_states)
    goals = position_of(batch.goals)
    relabelled = origins.relabelled
    assert (batch.rewards == np.where(achieved == goals, 0, -2)).all()
    own = ~relabelled
    assert (batch.terminated[own] == ((achieved == goals) | (achieved == 9))[own]).all()
    if terminated_from_goal:
        assert (batch.terminated == ((achieved == goals) | (achieved == 9)))[relabelled].all()
    else:
        assert (batch.terminated[relabelled] == origins.terminated[relabelled]).all()
    assert batch.terminated.any()
    assert relabelled.mean() == pytest.approx(0.8, abs=0.1)


def position_of(words):
    """Return the number of the first bit that is 1, of the first 10."""
    return np.log2(words[..., 0] & np.uint64(0x3FF)).astype(int)


def test_own_action_numbers_and_integer_observations():
    model = small_model(gymnasium.wrappers.TimeLimit(Chain(), 8)).learn(300)
    observation = model.env.reset()
    actions, _ = model.predict(observation)
    assert actions.shape == (1,)
    assert {int(model.predict(observation)[0][0]) for _ in range(100)} <= {1, 2, 3}
    single = {key: part[0] for key, part in observation.items()}
    assert (
        model.predict(single, deterministic=True)[0] == model.predict(observation, deterministic=True)[0][0]
    )
    evaluate_policy(model, model.env, 5)


def test_environments_of_herfast_end_at_their_goals():
    """Their compute_terminated is used with terminated_from_goal=True."""
    for from_goal in (False, True):
        env = make_vec_env("herfast/BitFlip-v0", 1, env_kwargs={"n_bits": 6})
        model = small_model(env, replay_buffer_kwargs={"terminated_from_goal": from_goal}).learn(200)
        batch, origins = sample_with_origins(model.replay_buffer, 1, 300)
        reached = (batch.next_states == batch.goals).all(axis=2)
        expected = {True: reached, False: origins.terminated}[from_goal]
        assert (model._task.judge(batch, origins).terminated == expected)[origins.relabelled].all()


@pytest.mark.parametrize(
    ("env", "error", "message"),
    [
        (
            lambda: VecNormalize(bit_flipping(), norm_obs=False),
            ValueError,
            "^env must not be wrapped in VecNormalize, since .*got <",
        ),
        (
            lambda: None,
            ValueError,
            "^env must be a Gymnasium environment, the id of one, or a VecEnv, got None$",
        ),
        (
            lambda: IdentityEnv(3),
            TypeError,
            "^env must have Discrete actions, .* got the observation space Disc",
        ),
        (
            lambda: BitFlippingEnv(4, continuous=True),
            TypeError,
            "^env must have Discrete actions.*action space Box",
        ),
        (lambda: BitFlippingEnv(4, image_obs_space=True), TypeError, "^env must have .*MultiBinary.*got Box"),
    ],
    ids=["normalized", "none", "no goal", "continuous", "image"],
)
def test_other_environments_raise_errors(env, error, message):
    with pytest.raises(error, match=message):
        DQN("MultiInputPolicy", env())


def test_set_env_checks_the_environment():
    model = small_model(bit_flipping(2)).learn(50)
    kept = model.env
    for env, error, message in (
        (bit_flipping(3), ValueError, r"^env must be 2 environments, got 3$"),
        (
            bit_flipping(2, 6),
            ValueError,
            r"^observation of env must be MultiBinary\(5\), got MultiBinary\(6\)$",
        ),
        (
            VecNormalize(bit_flipping(2), norm_obs=False),
            ValueError,
            "^env must not be wrapped in VecNormalize",
        ),
    ):
        with pytest.raises(error, match=message):
            model.set_env(env)
        assert model.env is kept
        assert model._last_obs is not None
    other = bit_flipping(2)
    model.set_env(other)
    assert model.get_env() is other
    assert model._last_obs is None
    model.learn(50)
