"""Tests of the single Gymnasium environment and its goal functions."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RenderCollection
from support.gym_results import OBSERVATION_KEYS, assert_equal_nested
from support.toy_env import Lamps

from herfast import BitFlip
from herfast.envs import registry
from herfast.envs.gym.env import GymGoalEnv
from herfast.envs.gym.vector_env import GymGoalVectorEnv
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


KINDS: list[dict[str, Any]] = [
    {"id": "herfast/GoalEnv-v0", "goal_env": Lamps()},
    {"id": "herfast/GoalEnv-v0", "goal_env": BitFlip(5)},
    {"id": "herfast/GoalEnv-v0", "goal_env": "BitFlip", "n_bits": 5},
]
KINDS += [
    {"id": "herfast/GridWorld-v0", "map": "four_rooms"},
    {"id": "herfast/GridWorld-v0", "map": "...\n#..", "max_steps": 4, "discrete_obs_space": True},
    {"id": "herfast/LightsOut-v0", "width": 3, "height": 2},
    {"id": "herfast/LightsOut-v0", "width": 3, "height": 3, "presses": 2, "image_obs_space": True},
    {"id": "herfast/BitFlip-v0", "n_bits": 9, "goal": "1" * 9},
]
for options in ({}, {"discrete_obs_space": True}, {"image_obs_space": True}):
    KINDS.append({"id": "herfast/GoalEnv-v0", "goal_env": Lamps(), **options})
    for continuous in (False, True):
        KINDS.append({"id": "herfast/BitFlip-v0", "n_bits": 9, "continuous": continuous, **options})


@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_check_env_passes_for_every_kind_of_environment(
    kind: dict[str, Any], render_mode: str | None
) -> None:
    env = gymnasium.make(**kind, render_mode=render_mode)
    check_env(env.unwrapped)
    env.reset(seed=0)
    env.step(env.action_space.sample())  # with the checks of the wrapper that make adds


def test_the_other_environments_of_herfast_have_ids() -> None:
    for id in ("GridWorld", "LightsOut"):
        spec = gymnasium.spec(f"herfast/{id}-v0")
        assert spec.kwargs == {"goal_env": id}
        assert spec.vector_entry_point


def test_goal_env_may_be_the_id_of_a_registered_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._REGISTRY, "Lamps", Lamps)
    env = gymnasium.make("herfast/GoalEnv-v0", goal_env="Lamps", max_steps=4)
    assert env.unwrapped.goal_env == Lamps(4)
    assert gymnasium.make(EnvSpec.from_json(env.spec.to_json())).unwrapped.goal_env == Lamps(4)


def test_goal_env_may_be_an_environment_in_gymnasiums_wrappers() -> None:
    inner = gymnasium.make("herfast/BitFlip-v0", n_bits=5, max_steps=4)
    env = gymnasium.make("herfast/GoalEnv-v0", goal_env=inner, discrete_obs_space=True)
    assert env.unwrapped.goal_env == BitFlip(5, 4)


def test_the_achieved_goal_is_the_first_bits_of_the_state() -> None:
    env = GymGoalEnv(Lamps(max_steps=4))
    assert env.observation_space == gymnasium.spaces.Dict(
        {name: gymnasium.spaces.MultiBinary(n) for name, n in zip(OBSERVATION_KEYS, (3, 2, 2), strict=True)}
    )
    assert env.action_space == gymnasium.spaces.Discrete(2)
    ends = set()
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        lamps = observation["observation"].tolist()
        for step in range(1, 5):
            action = (seed >> step) & 1
            observation, reward, terminated, truncated, info = env.step(action)
            if action == 0:
                lamps[lamps[2]] ^= 1
            else:
                lamps[2] ^= 1
            assert observation["observation"].tolist() == lamps
            assert observation["achieved_goal"].tolist() == lamps[:2]
            assert terminated == (lamps[:2] == observation["desired_goal"].tolist())
            assert truncated == (step == 4 and not terminated)
            assert reward == float(terminated) - 1
            goals = observation["achieved_goal"], observation["desired_goal"]
            assert env.compute_reward(*goals, info) == reward
            assert env.compute_terminated(*goals, info) == terminated
            assert env.compute_truncated(*goals, info) == truncated
            if terminated or truncated:
                ends.add(terminated)
                break
    assert ends == {False, True}


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


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_an_environment_may_draw_itself(mode: str) -> None:
    class Drawn(Lamps):
        def render_ansi(self, state: Any, goal: Any) -> str:
            return f"{state.tolist()} -> {goal.tolist()}"

        def render_rgb_array(self, state: Any, goal: Any) -> Any:
            return np.full((2, 2, 3), [*state], np.uint8)

    env = GymGoalEnv(Drawn(), render_mode=mode)
    observation, _ = env.reset(seed=1)
    state, goal = (observation[name].tolist() for name in ("observation", "desired_goal"))
    expected: Any = f"{state} -> {goal}"
    if mode == "rgb_array":
        expected = np.full((2, 2, 3), state, np.uint8)
    assert_equal_nested(env.render(), expected)
    envs = GymGoalVectorEnv(2, goal_env=Drawn(), render_mode=mode)
    observations, _ = envs.reset(seed=1)
    renderer = getattr(Drawn(), f"render_{mode}")
    expected_frames = tuple(map(renderer, observations["observation"], observations["desired_goal"]))
    assert_equal_nested(envs.render(), expected_frames)


def test_bits_are_drawn_for_an_environment_that_does_not_draw_itself() -> None:
    env = GymGoalEnv(Lamps(), render_mode="ansi")
    observation, _ = env.reset(seed=2)
    state, goal = ("".join(map(str, observation[name])) for name in ("observation", "desired_goal"))
    assert env.render() == f"state {state} goal {goal}"
    images = GymGoalEnv(Lamps(), render_mode="rgb_array")
    images.reset(seed=2)
    expected = render_rgb_array(observation["observation"], observation["desired_goal"])
    assert_equal_nested(images.render(), expected)


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
