"""Tests of the single Gymnasium environment and its goal functions."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RenderCollection
from support.gym_results import OBSERVATION_KEYS, assert_equal_nested

from herfast import BitFlip
from herfast.envs.gym.env import GymGoalEnv
from herfast.envs.rendering import render_rgb_array


def wrong_bits(observation: dict[str, np.ndarray]) -> list[int]:
    """Return the bits in which the achieved goal differs from the desired one."""
    return np.flatnonzero(observation["achieved_goal"] != observation["desired_goal"]).tolist()


@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
@pytest.mark.parametrize("n_bits", [2, 8, 64, 65])
def test_check_env_of_gymnasium_passes_without_a_warning(n_bits: int, render_mode: str | None) -> None:
    env = gymnasium.make("herfast/BitFlip-v0", n_bits=n_bits, render_mode=render_mode)
    assert env.metadata["render_modes"] == ["ansi", "rgb_array"], "check_env checks all of them"
    check_env(env.unwrapped)


def test_make_imports_herfast_by_the_module_prefix_of_the_id() -> None:
    env = gymnasium.make("herfast:herfast/BitFlip-v0", n_bits=5, max_steps=9)
    assert (env.unwrapped.goal_env.n_bits, env.unwrapped.goal_env.max_steps) == (5, 9)


def test_spaces_have_int8_bits_and_one_action_per_bit() -> None:
    env = GymGoalEnv(BitFlip(70))
    assert env.observation_space == gymnasium.spaces.Dict(
        {name: gymnasium.spaces.MultiBinary(70) for name in OBSERVATION_KEYS}
    )
    assert env.action_space == gymnasium.spaces.Discrete(70)
    observation, _ = env.reset(seed=0)
    assert {bits.dtype for bits in observation.values()} == {np.dtype(np.int8)}


@pytest.mark.parametrize("n_bits", [1, 2, 8, 63, 64, 65, 130])
def test_flipping_each_wrong_bit_once_reaches_the_goal(n_bits: int) -> None:
    env = GymGoalEnv(BitFlip(n_bits))
    observation, info = env.reset(seed=n_bits)
    assert info == {"is_success": False, "elapsed_steps": 0}
    bits = wrong_bits(observation)
    assert bits, "start and goal must differ"
    for step, bit in enumerate(bits, 1):
        before = observation
        observation, reward, terminated, truncated, info = env.step(np.int64(bit))
        assert np.flatnonzero(observation["observation"] != before["observation"]).tolist() == [bit]
        np.testing.assert_array_equal(observation["achieved_goal"], observation["observation"])
        np.testing.assert_array_equal(observation["desired_goal"], before["desired_goal"])
        success = step == len(bits)
        assert (reward, terminated, truncated) == (0.0 if success else -1.0, success, False)
        assert info == {"is_success": success, "elapsed_steps": step}
        assert type(terminated) is bool
        assert type(info["is_success"]) is bool


def test_an_episode_is_truncated_at_the_step_limit_unless_it_reaches_the_goal() -> None:
    env = GymGoalEnv(BitFlip(8, 3))
    ends = set()
    for seed in range(200):
        observation, _ = env.reset(seed=seed)
        bits = wrong_bits(observation)
        for step in range(1, 4):
            bit = bits[step - 1] if step <= len(bits) else 0
            _, reward, terminated, truncated, _ = env.step(bit)
            assert terminated == (step == len(bits))
            assert truncated == (step == 3 and not terminated)
            assert reward == (0.0 if terminated else -1.0)
            if terminated or truncated:
                ends.add((step, terminated))
                break
    assert {(3, True), (3, False)} <= ends, "both must occur at the limit"


def test_step_raises_before_the_first_reset_and_after_the_end_of_an_episode() -> None:
    env = GymGoalEnv(BitFlip(4, 1))
    with pytest.raises(ResetNeeded, match=r"has not begun: call reset\(\)"):
        env.step(0)
    env.reset(seed=0)
    env.step(0)
    with pytest.raises(ResetNeeded, match="ended after 1 steps"):
        env.step(0)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (5, ValueError, "from 0 to 4, got 5"),
        (-1, ValueError, "from 0 to 4, got -1"),
        (70_000, ValueError, "from 0 to 4, got 70000"),
        (1.0, TypeError, "from 0 to 4, got 1.0"),
        (True, TypeError, "from 0 to 4, got True"),
        (None, TypeError, "from 0 to 4, got None"),
        ("1", TypeError, "from 0 to 4, got '1'"),
        ([1], ValueError, r"one integer, got shape \[1\]"),
    ],
)
def test_an_invalid_action_raises_and_changes_nothing(
    action: Any, error: type[Exception], message: str
) -> None:
    env, other = GymGoalEnv(BitFlip(5)), GymGoalEnv(BitFlip(5))
    env.reset(seed=3)
    other.reset(seed=3)
    with pytest.raises(error, match=message):
        env.step(action)
    assert_equal_nested(env.step(2), other.step(2))


def test_the_seed_of_the_first_reset_determines_all_episodes() -> None:
    env, other = GymGoalEnv(BitFlip(40)), GymGoalEnv(BitFlip(40))
    first = [env.reset(seed=7), env.reset(), env.reset()]
    assert_equal_nested([other.reset(seed=7), other.reset(), other.reset()], first)
    assert wrong_bits(first[0][0]) != wrong_bits(first[1][0])


def test_returned_arrays_belong_to_the_caller() -> None:
    env = GymGoalEnv(BitFlip(6))
    observation, _ = env.reset(seed=1)
    kept = {name: bits.copy() for name, bits in observation.items()}
    assert not np.shares_memory(observation["observation"], observation["achieved_goal"])
    for action in range(5):
        env.step(action)
    assert_equal_nested(observation, kept)
    observation["desired_goal"][:] = 0
    assert_equal_nested(env.step(5)[0]["desired_goal"], kept["desired_goal"])


def test_ansi_mode_renders_one_line() -> None:
    env = GymGoalEnv(BitFlip(4), render_mode="ansi")
    observation, _ = env.reset(seed=2)
    state, goal = ("".join(map(str, observation[name])) for name in OBSERVATION_KEYS[1:])
    assert env.render() == f"state {state} goal {goal}"
    assert GymGoalEnv(BitFlip(4)).render() is None
    with pytest.raises(ValueError, match="None, 'ansi' or 'rgb_array', got 'human'"):
        GymGoalEnv(BitFlip(4), render_mode="human")


def test_images_of_an_episode_can_be_collected() -> None:
    env = RenderCollection(gymnasium.make("herfast/BitFlip-v0", n_bits=40, render_mode="rgb_array"))
    observation, _ = env.reset(seed=1)
    observations = [observation]
    for bit in wrong_bits(observation):
        observations.append(env.step(np.int64(bit))[0])
    frames = env.render()
    assert_equal_nested(
        frames,
        [render_rgb_array(item["achieved_goal"], item["desired_goal"]) for item in observations],
    )
    assert {frame.shape for frame in frames} == {frames[0].shape}


# --- compute_reward, compute_terminated and compute_truncated ---


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
