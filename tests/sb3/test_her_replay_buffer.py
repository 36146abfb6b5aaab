"""Tests of attributes, spaces, seeds and invalid arguments."""

import inspect

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from gymnasium import spaces
from stable_baselines3 import HerReplayBuffer as TheirBuffer
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.her.goal_selection_strategy import GoalSelectionStrategy
from support.sb3_buffers import (
    KEYS,
    NO_GOAL,
    SHORT,
    GoalEnv,
    add_numbered,
    assert_same_arrays,
    episode_ends,
    filled_pair,
    make,
    numbers,
    vector_env,
)

from herfast.sb3 import HerReplayBuffer

SPACES = {
    "float": spaces.Box(-1, 1, (3,), np.float32),
    "float64": spaces.Box(-1, 1, (2, 2), np.float64),
    "scalar": spaces.Box(-1, 1, (), np.float32),
    "binary": spaces.MultiBinary(9),
    "discrete": spaces.Discrete(7),
    "image": spaces.Box(0, 255, (1, 36, 36), np.uint8),
}
ACTIONS = {
    "discrete": spaces.Discrete(5),
    "box": spaces.Box(-1, 1, (2,), np.float32),
    "box64": spaces.Box(-1, 1, (2, 3), np.float64),
    "multi": spaces.MultiDiscrete([2, 3]),
}


def add_random(buffers, env, n_steps, seed=0):
    """Add the same random transitions, in episodes of 4 steps, to each buffer."""
    for space in (env.observation_space, env.action_space):
        space.seed(seed)
    draw = [env.observation_space.sample() for _ in range(2 * n_steps * env.num_envs)]
    for step in range(n_steps):
        rows = [draw.pop() for _ in range(2 * env.num_envs)]
        obs, next_obs = (
            {key: np.stack([np.asarray(row[key]) for row in part]) for key in KEYS}
            for part in (rows[::2], rows[1::2])
        )
        action = np.stack([np.asarray(env.action_space.sample()) for _ in range(env.num_envs)])
        done = np.full(env.num_envs, step % 4 == 3)
        for buffer in buffers:
            infos = [{} for _ in range(env.num_envs)]
            buffer.add(dict(obs), dict(next_obs), action, np.ones(env.num_envs), done, infos)


def test_the_constructor_has_the_same_arguments_in_the_same_order():
    theirs, ours = (inspect.signature(cls.__init__).parameters for cls in (TheirBuffer, HerReplayBuffer))
    assert [*ours][: len(theirs)] == [*theirs]
    assert [*ours][len(theirs) :] == ["seed", "terminated_from_goal"]
    assert [ours[name].default for name in theirs] == [theirs[name].default for name in theirs]


@pytest.mark.parametrize("copy_info_dict", [False, True])
def test_attributes_are_the_same_except_infos(copy_info_dict):
    theirs, ours = filled_pair(40, 2, 95, SHORT, copy_info_dict=copy_info_dict)
    own = {"rng", "terminated_from_goal", "_n_transitions"}
    missing = set() if copy_info_dict else {"infos"}
    assert vars(ours).keys() == (vars(theirs).keys() | own) - missing
    for name in vars(theirs).keys() - missing - {"observations", "next_observations"}:
        value, expected = getattr(ours, name), getattr(theirs, name)
        assert type(value) is type(expected)
        assert np.array_equal(value, expected), name
    assert_same_arrays(ours, theirs)
    assert isinstance(ours, TheirBuffer)


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("action_space", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_all_spaces_are_stored_and_sampled_with_the_same_types(space, action_space, n_envs):
    env = vector_env(n_envs, space, action_space)
    pair = [make(cls, env, 10) for cls in (TheirBuffer, HerReplayBuffer)]
    add_random(pair, env, 17)
    theirs, ours = pair
    assert_same_arrays(ours, theirs)
    batch = ours.sample(30)
    if space is not SPACES["scalar"]:  # which Stable-Baselines3 stores, but cannot sample
        expected = theirs.sample(30)
        for part in ("observations", "next_observations"):
            for key in KEYS:
                one, other = getattr(batch, part)[key], getattr(expected, part)[key]
                assert (one.dtype, one.shape) == (other.dtype, other.shape)
        for name in ("actions", "rewards", "dones"):
            one, other = getattr(batch, name), getattr(expected, name)
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
    if space is not SPACES["discrete"]:  # whose observations are not unique
        rows = ours.observations["observation"].reshape(10 * n_envs, -1)
        sampled = batch.observations["observation"].numpy().reshape(30, -1)
        index = np.array([np.flatnonzero((rows == row).all(axis=1))[0] for row in sampled])
        actions = ours.actions.reshape(10 * n_envs, -1)
        np.testing.assert_array_equal(batch.actions.numpy(), actions[index])


def test_goals_of_another_type_are_promoted():
    env = vector_env(1)
    env.observation_space["desired_goal"] = spaces.Box(-1, 10**6, (1,), np.int32)
    pair = [make(cls, env, 40) for cls in (TheirBuffer, HerReplayBuffer)]
    add_numbered(pair, *episode_ends(30, 1, SHORT))
    dtypes = [buffer.sample(10).observations["desired_goal"].dtype for buffer in pair]
    assert dtypes == [torch.int64, torch.int64]


@pytest.mark.parametrize("norm_reward", [True, False])
def test_vec_normalize_normalizes_observations_and_rewards(norm_reward):
    env = VecNormalize(vector_env(2, SPACES["float"]), norm_reward=norm_reward)
    env.obs_rms["observation"].update(np.random.default_rng(0).normal(2, 3, (50, 3)))
    env.ret_rms.update(np.arange(50.0))
    ours = make(HerReplayBuffer, env, 10, seed=3)
    add_random([ours], env, 17)
    plain = ours.sample(40)
    ours.rng = HerReplayBuffer(1, env.observation_space, env.action_space, env, seed=3).rng
    normalized = ours.sample(40, env=env)
    for part in ("observations", "next_observations"):
        expected = env.normalize_obs({key: value.numpy() for key, value in getattr(plain, part).items()})
        for key in KEYS:
            np.testing.assert_array_equal(getattr(normalized, part)[key].numpy(), expected[key])
    expected = env.normalize_reward(plain.rewards.numpy()).astype(np.float32)
    np.testing.assert_array_equal(normalized.rewards.numpy(), expected)
    assert (expected != plain.rewards.numpy()).any() == norm_reward
    assert normalized.rewards.dtype == torch.float32


def test_infos_reach_compute_reward_as_copies():
    theirs, ours = filled_pair(40, 2, 95, SHORT, copy_info_dict=True)
    assert (ours.infos == theirs.infos).all()
    batch = ours.sample(100)
    env = ours.env.envs[0].unwrapped
    steps = (numbers(batch)[0] // 2 % 1000)[20:]  # 80 rows are relabelled
    assert [info["number"] for info in env.infos] == steps.tolist()
    env.infos[0].clear()
    assert all(info for info in ours.infos[ours.ep_length > 0])


def test_without_infos_compute_reward_gets_empty_dicts():
    _, ours = filled_pair(40, 1, 30, SHORT)
    ours.sample(10)
    assert list(ours.env.envs[0].unwrapped.infos) == [{}] * 8


def test_a_sample_shares_no_memory_with_the_buffer():
    _, ours = filled_pair(40, 1, 30, SHORT, seed=1)
    state = ours.rng.bit_generator.state
    before = numbers(ours.sample(50))
    ours.rng.bit_generator.state = state
    batch = ours.sample(50)
    for array in (*ours.observations.values(), *ours.next_observations.values(), ours.rewards, ours.dones):
        array[:] = 9
    for one, other in zip(before, numbers(batch), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_seed_fixes_all_draws():
    samples = []
    for seed in (5, 5, 6):
        env = vector_env(2)
        buffer = make(HerReplayBuffer, env, 40, seed=seed)
        add_numbered([buffer], *episode_ends(95, 2, SHORT))
        samples.append(np.concatenate(numbers(buffer.sample(50))))
    np.testing.assert_array_equal(samples[0], samples[1])
    assert (samples[0] != samples[2]).any()


def test_without_a_seed_numpys_global_state_decides_at_the_first_sample():
    samples = []
    for seed in (5, 5, 6):
        _, buffer = filled_pair(40, 2, 95, SHORT)
        assert buffer.rng is None
        set_random_seed(seed)
        samples.append(np.concatenate(numbers(buffer.sample(50))))
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        buffer.sample(50)
        np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(samples[0], samples[1])
    assert (samples[0] != samples[2]).any()


def test_reset_removes_all_transitions():
    _, ours = filled_pair(40, 2, 95, SHORT)
    ours.reset()
    assert (ours.pos, ours.full, ours.size()) == (0, False, 0)
    with pytest.raises(RuntimeError, match="no episode is finished"):
        ours.sample(1)
    add_numbered([ours], *episode_ends(30, 2, SHORT))
    assert (numbers(ours.sample(200))[0] // 2 % 1000 < 30).all()


def test_an_unfinished_episode_is_not_sampled():
    env = vector_env(1)
    ours = make(HerReplayBuffer, env, 10)
    none = np.zeros((3, 1), bool)
    add_numbered([ours], none, none)
    with pytest.raises(RuntimeError, match=r"^no episode is finished, .* raise learning_starts"):
        ours.sample(4)
    add_numbered([ours], np.ones((1, 1), bool), none[:1], first=3)
    add_numbered([ours], none, none, first=4)
    assert set(numbers(ours.sample(200))[0].tolist()) == {0, 2, 4, 6}


def test_wrong_observations_are_not_stored():
    _, ours = filled_pair(40, 2, 30, SHORT)
    before = (ours.pos, ours.ep_length.copy(), ours._n_transitions.copy())
    obs = {key: np.zeros((2, 1), np.int64) for key in KEYS}
    with pytest.raises(KeyError, match="desired_goal"):
        ours.add(obs, {key: obs[key] for key in KEYS[:2]}, np.zeros(2), np.zeros(2), np.zeros(2), [{}, {}])
    with pytest.raises(ValueError, match="reshape"):
        ours.add(obs, obs, np.zeros(3), np.zeros(2), np.zeros(2), [{}, {}])
    with pytest.raises(ValueError, match="broadcast"):
        ours.add(
            {**obs, "observation": np.zeros((3, 1))}, obs, np.zeros(2), np.zeros(2), np.zeros(2), [{}] * 2
        )
    assert ours.pos == before[0]
    np.testing.assert_array_equal(ours.ep_length, before[1])
    np.testing.assert_array_equal(ours._n_transitions, before[2])


@pytest.mark.parametrize("strategy", [*GoalSelectionStrategy, "future", "FINAL", "Episode", "random"])
def test_strategies_are_members_or_names(strategy):
    ours = make(HerReplayBuffer, vector_env(1), 10, goal_selection_strategy=strategy)
    expected = strategy
    if isinstance(strategy, str) and strategy != "random":
        expected = GoalSelectionStrategy[strategy.upper()]
    assert ours.goal_selection_strategy == expected


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"seed": -1}, ValueError, r"^seed must be None or an integer from 0 to 2\*\*128 - 1, got -1$"),
        ({"seed": 1.5}, TypeError, "^seed must be None or an integer .*, got 1.5$"),
        ({"terminated_from_goal": 1}, TypeError, "^terminated_from_goal must be True or False, got 1$"),
        ({"n_sampled_goal": -1}, ValueError, "^n_sampled_goal must be from 0 to 1,000,000, got -1$"),
        ({"n_sampled_goal": 1.5}, TypeError, "^n_sampled_goal must be an integer .*, got 1.5$"),
        (
            {"goal_selection_strategy": "last"},
            ValueError,
            "^goal_selection_strategy must be one of 'future', 'final', 'episode', 'random', got 'last'$",
        ),
        ({"goal_selection_strategy": 3}, ValueError, "^goal_selection_strategy must be one of .*, got 3$"),
        ({"optimize_memory_usage": True}, AssertionError, "optimize_memory_usage"),
    ],
)
def test_invalid_arguments(kwargs, error, message):
    with pytest.raises(error, match=message):
        make(HerReplayBuffer, vector_env(1), 10, **kwargs)


def test_both_goals_must_be_observed():
    space = spaces.Dict({"observation": SPACES["float"], "achieved_goal": SPACES["float"]})
    with pytest.raises(
        ValueError, match=r"^observation_space must have desired_goal, got achieved_goal, observation$"
    ):
        HerReplayBuffer(10, space, ACTIONS["discrete"], vector_env(1))


@pytest.mark.parametrize(
    ("batch_size", "error", "message"),
    [
        (0, ValueError, "^batch_size must be from 1 to 16,777,216, got 0$"),
        (2.0, TypeError, "^batch_size must be an integer .*, got 2.0$"),
    ],
)
def test_invalid_batch_sizes(batch_size, error, message):
    _, ours = filled_pair(40, 1, 30, SHORT)
    with pytest.raises(error, match=message):
        ours.sample(batch_size)


class SingleReward(GoalEnv):
    def compute_reward(self, achieved_goal, desired_goal, infos):
        return -1.0


def test_an_environment_without_batches_of_rewards_is_rejected():
    ours = make(HerReplayBuffer, vector_env(1, cls=SingleReward), 40)
    add_numbered([ours], *episode_ends(30, 1, SHORT))
    message = "^compute_reward must return 8 rewards for as many goals, got -1.0$"
    with pytest.raises(ValueError, match=message):
        ours.sample(10)


def test_relabelling_needs_an_environment():
    _, ours = filled_pair(40, 1, 30, SHORT)
    ours.env = None
    with pytest.raises(
        RuntimeError, match=r"^the environment, which computes rewards, is not set: call set_env$"
    ):
        ours.sample(10)
    assert (numbers(ours.sample(1))[2] == NO_GOAL).all()  # nothing is relabelled
