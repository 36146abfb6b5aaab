"""Tests of encoded observations, and of the functions that compare goals."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from support.gym_results import OBSERVATION_KEYS, assert_equal_nested
from support.toy_env import Lamps

from herfast import Agent, BitFlip
from herfast.envs.gym.env import GymGoalEnv
from herfast.envs.gym.observations import ImageEncoding
from herfast.envs.gym.vector_env import GymGoalVectorEnv

SIZES = (1, 2, 9, 61, 62)


def as_integer(bits: np.ndarray) -> int:
    return sum(int(bit) << i for i, bit in enumerate(bits))


def as_image(bits: np.ndarray, side: int) -> np.ndarray:
    image = np.zeros((1, side, side), np.uint8)
    for i, bit in enumerate(bits):
        image[0, i // side, i % side] = 255 * int(bit)
    return image


@pytest.mark.parametrize("goal_env", [*map(BitFlip, SIZES), Lamps()], ids=str)
def test_discrete_observations_are_integers(goal_env: Any) -> None:
    bits, integers = GymGoalEnv(goal_env), GymGoalEnv(goal_env, discrete_obs_space=True)
    sizes = (goal_env.n_state_bits, goal_env.n_goal_bits, goal_env.n_goal_bits)
    assert integers.observation_space == gymnasium.spaces.Dict(
        {name: gymnasium.spaces.Discrete(2**n) for name, n in zip(OBSERVATION_KEYS, sizes, strict=True)}
    )
    for seed in range(20):
        expected, _ = bits.reset(seed=seed)
        observation, _ = integers.reset(seed=seed)
        assert_equal_nested(observation, {name: np.int64(as_integer(expected[name])) for name in expected})
        assert observation in integers.observation_space


@pytest.mark.parametrize(
    ("goal_env", "side"), [(Lamps(), 36), (BitFlip(36**2), 36), (BitFlip(36**2 + 1), 37), (BitFlip(5000), 71)]
)
def test_image_observations_have_a_pixel_for_each_bit(goal_env: Any, side: int) -> None:
    bits, images = GymGoalEnv(goal_env), GymGoalEnv(goal_env, image_obs_space=True)
    box = gymnasium.spaces.Box(0, 255, (1, side, side), np.uint8)
    assert images.observation_space == gymnasium.spaces.Dict(dict.fromkeys(OBSERVATION_KEYS, box))
    expected, _ = bits.reset(seed=1)
    observation, _ = images.reset(seed=1)
    assert_equal_nested(observation, {name: as_image(expected[name], side) for name in expected})
    assert ImageEncoding(65_535).shape == (1, 256, 256)


@pytest.mark.parametrize("option", ["discrete_obs_space", "image_obs_space"])
def test_an_agent_trains_on_the_bits_of_encoded_observations(option: str) -> None:
    env = gymnasium.make("herfast/BitFlip-v0", n_bits=6, max_steps=4, **{option: True})
    assert Agent(env, seed=0).env == BitFlip(6, 4)
    envs = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=2, n_bits=6, **{option: True})
    assert Agent(envs, seed=0).env == BitFlip(6)


def vector_of_two(goal_env: Any, **options: Any) -> GymGoalVectorEnv:
    return GymGoalVectorEnv(2, goal_env=goal_env, **options)


@pytest.mark.parametrize("create", [GymGoalEnv, vector_of_two])
def test_encodings_exclude_each_other_and_integers_have_at_most_62_bits(create: Any) -> None:
    both = r"^image_obs_space must be False if discrete_obs_space is True, got True$"
    with pytest.raises(ValueError, match=both):
        create(BitFlip(3), discrete_obs_space=True, image_obs_space=True)
    many = r"^discrete_obs_space must be False for more than 62 bits, got 1,000$"
    with pytest.raises(ValueError, match=many):
        create(BitFlip(1000), discrete_obs_space=True)
    for option in ("discrete_obs_space", "image_obs_space", "continuous"):
        with pytest.raises(TypeError, match=f"^{option} must be True or False, got 1$"):
            create(BitFlip(3), **{option: 1})


def test_parts_of_an_observation_do_not_share_memory() -> None:
    for option in ("image_obs_space", "discrete_obs_space"):
        envs = GymGoalVectorEnv(3, goal_env=BitFlip(5), **{option: True})
        state, achieved, desired = envs.reset(seed=0)[0].values()
        assert not np.shares_memory(state, achieved)
        assert not np.shares_memory(achieved, desired)


# --- compute_reward, compute_terminated and compute_truncated ---


@pytest.mark.parametrize("option", [None, "discrete_obs_space", "image_obs_space"])
def test_goal_functions_compare_encoded_goals(option: str | None) -> None:
    options = {option: True} if option else {}
    env = GymGoalEnv(BitFlip(2, 3), **options)
    space = env.observation_space["desired_goal"]
    all_bits = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.int8)
    goals = env._observations._goal.encode(all_bits)
    assert all(goal in space for goal in goals)
    first, second = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    infos = [{"elapsed_steps": steps} for steps in [2, 3, 4, 5] * 4]
    rewards = env.compute_reward(goals[first], goals[second], infos)
    terminated = env.compute_terminated(goals[first], goals[second], infos)
    truncated = env.compute_truncated(goals[first], goals[second], infos)
    assert_equal_nested(rewards, np.where(first == second, 0.0, -1.0))
    assert_equal_nested(terminated, first == second)
    assert_equal_nested(truncated, (first != second) & (np.tile(np.arange(2, 6), 4) >= 3))
    for i, info in enumerate(infos):
        pair = goals[first[i]], goals[second[i]]
        single = env.compute_reward(*pair, info), env.compute_terminated(*pair, info)
        assert_equal_nested(single, (float(rewards[i]), bool(terminated[i])))
        assert env.compute_truncated(*pair, info) is bool(truncated[i])
    assert env.compute_reward(goals[:0], goals[:0], []).shape == (0,)


def test_integers_may_have_an_axis_of_length_one() -> None:
    env = GymGoalEnv(BitFlip(3), discrete_obs_space=True)
    rewards = env.compute_reward(np.array([[1], [7], [0]]), np.array([[1], [3], [0]]), {})
    assert_equal_nested(rewards, np.array([0.0, -1.0, 0.0]))
    assert env.compute_reward(5, np.uint8(5), {}) == 0.0


@pytest.mark.parametrize(
    ("option", "goal", "error", "message"),
    [
        ("discrete_obs_space", 8, ValueError, "^desired_goal must be integers from 0 to 7, got 8$"),
        ("discrete_obs_space", -1, ValueError, "^desired_goal must be integers from 0 to 7, got -1$"),
        (
            "discrete_obs_space",
            2.0,
            TypeError,
            "^desired_goal must be integers .*, got dtype float64$",
        ),
        ("discrete_obs_space", [1, 2], ValueError, r"shape \[\] or \[B\], both goals the same, got \[\] for"),
        ("image_obs_space", 1, ValueError, "^desired_goal must be 0 or 255, got 1$"),
        ("image_obs_space", np.nan, ValueError, "^desired_goal must be 0 or 255, got nan$"),
        ("image_obs_space", True, TypeError, "^desired_goal must be numbers, 0 or 255, got dtype bool$"),
        (
            "image_obs_space",
            [[0]],
            ValueError,
            r"shape \[1, 36, 36\] or \[B, 1, 36, 36\], both",
        ),
    ],
)
def test_encoded_goals_are_validated(option: str, goal: Any, error: type[Exception], message: str) -> None:
    env = GymGoalEnv(BitFlip(3), **{option: True})
    achieved = env.reset(seed=0)[0]["achieved_goal"]
    if option == "image_obs_space" and not isinstance(goal, list):
        goal = np.full((1, 36, 36), goal)
    with pytest.raises(error, match=message):
        env.compute_reward(achieved, goal, {})


@pytest.fixture(scope="module")
def batch() -> tuple[GymGoalEnv, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    achieved = rng.integers(0, 2, (64, 3), dtype=np.int8)
    desired = rng.integers(0, 2, (64, 3), dtype=np.int8)
    return GymGoalEnv(BitFlip(3, 7)), achieved, desired, rng.integers(1, 9, 64)


def test_goal_functions_return_the_same_for_a_batch_and_for_single_goals(batch: Any) -> None:
    env, achieved, desired, elapsed = batch
    dicts = [{"elapsed_steps": int(steps), "is_success": False} for steps in elapsed]
    objects = np.array(dicts, dtype=object)
    rewards = env.compute_reward(achieved, desired, objects)
    terminated = env.compute_terminated(achieved, desired, objects)
    assert (rewards.dtype, terminated.dtype) == (np.float64, np.bool_)
    for infos in (dicts, tuple(dicts), objects, {"elapsed_steps": elapsed}):
        truncated = env.compute_truncated(achieved, desired, infos)
        assert truncated.dtype == np.bool_
        for i, info in enumerate(dicts):
            success = achieved[i].tolist() == desired[i].tolist()
            single = (
                env.compute_reward(achieved[i], desired[i], info),
                env.compute_terminated(achieved[i], desired[i], info),
                env.compute_truncated(achieved[i], desired[i], info),
            )
            assert single == (0.0 if success else -1.0, success, elapsed[i] >= 7 and not success)
            assert [type(value) for value in single] == [float, bool, bool]
            assert (rewards[i], terminated[i], truncated[i]) == single
    assert terminated.any()
    assert env.compute_truncated(achieved, desired, dicts).any()


def test_goal_functions_agree_with_step() -> None:
    env = gymnasium.make("herfast/BitFlip-v0", n_bits=3, max_steps=4)
    env.action_space.seed(0)
    for seed in range(50):
        env.reset(seed=seed)
        done = False
        while not done:
            observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
            goals = observation["achieved_goal"], observation["desired_goal"]
            assert env.unwrapped.compute_reward(*goals, info) == reward
            assert env.unwrapped.compute_terminated(*goals, info) == terminated
            assert env.unwrapped.compute_truncated(*goals, info) == truncated
            done = terminated or truncated


def test_compute_reward_accepts_any_info(batch: Any) -> None:
    env, achieved, desired, _ = batch
    for info in (None, {}, [{}] * 64):
        assert env.compute_reward(achieved, desired, info).shape == (64,)


@pytest.mark.parametrize(
    ("shapes", "info", "message"),
    [
        (((64, 3), (3,)), {}, r"got \[64, 3\] for achieved_goal and \[3\] for desired_goal"),
        (((4,), (4,)), {}, r"must have shape \[3\] or \[B, 3\]"),
        (((2, 2, 3), (2, 2, 3)), {}, r"must have shape \[3\] or \[B, 3\]"),
        (((3,), (3,)), {}, "needs elapsed_steps"),
        (((2, 3), (2, 3)), [{"elapsed_steps": 1}, {}], "needs elapsed_steps"),
        (((2, 3), (2, 3)), [{"elapsed_steps": 1}], r"batch's shape \[2\], got \[1\]"),
        (((2, 3), (2, 3)), {"elapsed_steps": 1}, r"batch's shape \[2\], got \[\]"),
        (((3,), (3,)), None, "info must be a dict"),
    ],
)
def test_compute_truncated_rejects_wrong_shapes_and_infos(shapes: Any, info: Any, message: str) -> None:
    achieved, desired = (np.zeros(shape, np.int8) for shape in shapes)
    with pytest.raises((ValueError, TypeError), match=message):
        GymGoalEnv(BitFlip(3)).compute_truncated(achieved, desired, info)
