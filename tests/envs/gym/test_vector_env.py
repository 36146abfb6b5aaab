"""Tests of the vector environment, compared with a SyncVectorEnv of single ones."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.gym_results import OBSERVATION_KEYS, assert_equal_nested
from support.toy_env import Lamps

from herfast import BitFlip
from herfast.envs.gym.vector_env import GymGoalVectorEnv
from herfast.envs.rendering import render_rgb_array


def with_stream(envs: Any, seed: int) -> Any:
    """Make all environments draw from one stream, as GymGoalVectorEnv does."""
    rng = np.random.default_rng(seed)
    if isinstance(envs, SyncVectorEnv):
        for env in envs.envs:
            env.unwrapped.np_random = rng
    else:
        envs.np_random = rng
    return envs


class LampsInTurn(Lamps):
    """Lamps whose episodes are drawn one after the other, as in single environments."""

    def reset(self, rng: Any, out_states: Any, out_goals: Any) -> None:
        for row in range(len(out_states)):
            super().reset(rng, out_states[row : row + 1], out_goals[row : row + 1])


def make_pair(
    num_envs: int, mode: AutoresetMode, id: str = "herfast/BitFlip-v0", **kwargs: Any
) -> tuple[GymGoalVectorEnv, SyncVectorEnv]:
    """Return a vector environment of herfast and one of Gymnasium with equal streams."""
    ours = gymnasium.make_vec(id, num_envs=num_envs, autoreset_mode=mode, **kwargs)
    theirs = gymnasium.make_vec(
        id,
        num_envs=num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        **kwargs,
    )
    return with_stream(ours, 11), with_stream(theirs, 11)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize(
    ("num_envs", "n_bits", "limits"),
    [
        (1, 2, {}),
        (7, 3, {"max_steps": 5}),
        (16, 65, {"max_steps": 4}),
        (5, 4, {"max_steps": 1}),
        (7, 3, {"max_episode_steps": 2}),
        (7, 3, {"max_episode_steps": 3}),
        (7, 3, {"max_steps": 5, "max_episode_steps": 4}),
        (7, 3, {"max_steps": 4, "max_episode_steps": 70_000}),
        (7, 3, {"max_episode_steps": -1}),
    ],
)
def test_results_equal_those_of_sync_vector_env(
    mode: Any, num_envs: int, n_bits: int, limits: dict[str, int]
) -> None:
    ours, theirs = make_pair(num_envs, mode, n_bits=n_bits, **limits)
    assert_equal_nested(ours.reset(), theirs.reset())
    theirs.action_space.seed(5)
    n_terminated = n_truncated = 0
    for _ in range(60):
        actions = theirs.action_space.sample()
        result = ours.step(actions)
        assert_equal_nested(result, theirs.step(actions))
        n_terminated += result[2].sum()
        n_truncated += result[3].sum()
    assert n_truncated > 0
    assert n_terminated > 0 or n_bits == 65
    assert_partial_resets_are_equal(ours, theirs)


def assert_partial_resets_are_equal(ours: Any, theirs: Any) -> None:
    """Assert that a reset of every other environment gives equal results."""
    mask = np.zeros(ours.num_envs, np.bool_)
    mask[::2] = True
    assert_equal_nested(ours.reset(options={"reset_mask": mask}), theirs.reset(options={"reset_mask": mask}))
    actions = theirs.action_space.sample()
    assert_equal_nested(ours.step(actions), theirs.step(actions))


KINDS: list[dict[str, Any]] = [
    {"n_bits": 3, "max_steps": 5, "discrete_obs_space": True},
    {"n_bits": 3, "max_steps": 5, "image_obs_space": True},
    {"n_bits": 2, "max_steps": 3, "continuous": True},
    {"n_bits": 2, "max_steps": 3, "continuous": True, "discrete_obs_space": True},
    {"n_bits": 2, "max_steps": 3, "continuous": True, "image_obs_space": True},
    {"id": "herfast/GoalEnv-v0", "goal_env": LampsInTurn(4)},
    {"id": "herfast/GoalEnv-v0", "goal_env": LampsInTurn(4), "max_episode_steps": 3},
    {"id": "herfast/GoalEnv-v0", "goal_env": LampsInTurn(4), "discrete_obs_space": True},
    {"id": "herfast/GoalEnv-v0", "goal_env": LampsInTurn(4), "image_obs_space": True},
    {"id": "herfast/GridWorld-v0", "map": "..#\n...", "max_steps": 4},
    {"id": "herfast/LightsOut-v0", "width": 2, "height": 2, "presses": 1},
]


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_results_of_every_kind_equal_those_of_sync_vector_env(mode: Any, kind: dict[str, Any]) -> None:
    ours, theirs = make_pair(7, mode, **kind)
    assert type(ours) is GymGoalVectorEnv
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert_equal_nested(ours.reset(), theirs.reset())
    theirs.action_space.seed(5)
    ends = np.zeros(2, np.int64)
    for _ in range(40):
        actions = theirs.action_space.sample()
        result = ours.step(actions)
        assert_equal_nested(result, theirs.step(actions))
        assert result[0] in ours.observation_space
        ends += result[2].sum(), result[3].sum()
        done = result[2] | result[3]
        if mode is AutoresetMode.DISABLED and done.any():
            assert_equal_nested(
                ours.reset(options={"reset_mask": done}), theirs.reset(options={"reset_mask": done})
            )
    assert (ends > 0).all(), "some episodes must be terminated, and some truncated"
    assert_partial_resets_are_equal(ours, theirs)


def test_with_autoreset_disabled_the_caller_resets_finished_episodes() -> None:
    ours, theirs = make_pair(6, AutoresetMode.DISABLED, n_bits=3, max_steps=4)
    assert_equal_nested(ours.reset(), theirs.reset())
    theirs.action_space.seed(5)
    for _ in range(40):
        actions = theirs.action_space.sample()
        result = ours.step(actions)
        assert_equal_nested(result, theirs.step(actions))
        done = result[2] | result[3]
        if done.any():
            with pytest.raises(ResetNeeded, match=f"episode {np.flatnonzero(done)[0]} has ended"):
                ours.step(actions)
            assert_equal_nested(
                ours.reset(options={"reset_mask": done}), theirs.reset(options={"reset_mask": done})
            )


def test_attributes_and_spaces_equal_those_of_sync_vector_env() -> None:
    ours, theirs = make_pair(3, AutoresetMode.SAME_STEP, n_bits=4)
    assert isinstance(ours, GymGoalVectorEnv)
    assert ours.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert GymGoalVectorEnv(2, goal_env=BitFlip(3)).metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert ours.num_envs == theirs.num_envs
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(ours, name) == getattr(theirs, name), name
    observations, _ = ours.reset(seed=0)
    assert observations in ours.observation_space


def test_make_vec_accepts_the_autoreset_mode_as_a_string() -> None:
    envs = gymnasium.make_vec(
        "herfast/BitFlip-v0",
        num_envs=2,
        vectorization_mode="vector_entry_point",
        n_bits=5,
        max_steps=6,
        autoreset_mode="SameStep",
    )
    assert envs.unwrapped.autoreset_mode is AutoresetMode.SAME_STEP
    assert (envs.unwrapped.goal_env.n_bits, envs.unwrapped.goal_env.max_steps) == (5, 6)


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_make_vec_accepts_any_goal_env(mode: str) -> None:
    envs = gymnasium.make_vec(
        "herfast/GoalEnv-v0", num_envs=2, vectorization_mode=mode, goal_env=Lamps(max_steps=3)
    )
    observations, _ = envs.reset(seed=0)
    assert [observations[name].shape for name in OBSERVATION_KEYS] == [(2, 3), (2, 2), (2, 2)]
    again = gymnasium.make_vec(envs.spec)
    assert_equal_nested(again.reset(seed=0), (observations, envs.reset(seed=0)[1]))


def test_a_time_limit_truncates_also_the_step_that_reaches_the_goal() -> None:
    """TimeLimit of Gymnasium does so, while `max_steps` never does."""
    envs = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=20, n_bits=2, max_episode_steps=1)
    envs.reset(seed=0)
    _, _, terminated, truncated, _ = envs.step(np.zeros(20, np.int64))
    assert 0 < terminated.sum() < 20
    assert truncated.all()


def test_the_spec_of_a_vector_environment_makes_an_equal_one() -> None:
    envs = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=3, n_bits=4, max_episode_steps=2)
    again = gymnasium.make_vec(envs.spec)
    assert_equal_nested(again.reset(seed=0), envs.reset(seed=0))
    for _ in range(5):
        assert_equal_nested(again.step(np.zeros(3, np.int64)), envs.step(np.zeros(3, np.int64)))


def test_the_time_limit_of_a_registered_id_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    spec = gymnasium.spec("herfast/BitFlip-v0")
    gymnasium.register(
        "Short-v0",
        spec.entry_point,
        vector_entry_point=spec.vector_entry_point,
        max_episode_steps=2,
        kwargs=spec.kwargs,
    )
    envs = gymnasium.make_vec("Short-v0", num_envs=2, n_bits=40)
    envs.reset(seed=0)
    assert [envs.step(np.zeros(2, np.int64))[3].all() for _ in range(2)] == [False, True]


def test_the_same_seed_gives_the_same_episodes() -> None:
    def results(seed: int) -> list[Any]:
        envs = GymGoalVectorEnv(9, goal_env=BitFlip(3), autoreset_mode="SameStep")
        envs.action_space.seed(0)
        return [envs.reset(seed=seed), *(envs.step(envs.action_space.sample()) for _ in range(20))]

    assert_equal_nested(results(4), results(4))
    assert not np.array_equal(results(4)[0][0]["observation"], results(5)[0][0]["observation"])


def test_returned_arrays_belong_to_the_caller() -> None:
    envs = GymGoalVectorEnv(8, goal_env=BitFlip(3), autoreset_mode="SameStep")
    others = GymGoalVectorEnv(8, goal_env=BitFlip(3), autoreset_mode="SameStep")
    assert_equal_nested(envs.reset(seed=0), others.reset(seed=0))
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = rng.integers(0, 3, 8)
        observations, rewards, terminated, truncated, infos = result = envs.step(actions)
        assert_equal_nested(result, others.step(actions))
        finals = [value for value in infos.pop("final_obs", []) if value is not None]
        infos.update(infos.pop("final_info", {}))
        arrays = [*observations.values(), rewards, terminated, truncated, *infos.values()]
        for array in arrays + [bits for final in finals for bits in final.values()]:
            array[...] = 1  # if the environment still read it, later results would differ


def test_arrays_of_infos_do_not_share_memory() -> None:
    envs = GymGoalVectorEnv(8, goal_env=BitFlip(1), autoreset_mode="SameStep")
    envs.reset(seed=0)
    _, rewards, terminated, truncated, infos = envs.step(np.zeros(8, np.int64))
    arrays = [rewards, terminated, truncated, infos["_final_obs"], infos["_final_info"]]
    for group in (infos, infos["final_info"]):
        arrays += [group[name] for name in ("is_success", "_is_success", "elapsed_steps", "_elapsed_steps")]
    for i, one in enumerate(arrays):
        assert not any(np.shares_memory(one, other) for other in arrays[:i]), i


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        (np.array([0, 4, 1]), ValueError, "from 0 to 3, got 4"),
        (np.array([0, -2, 1]), ValueError, "from 0 to 3, got -2"),
        (np.array([0, 2**16, 1]), ValueError, "from 0 to 3, got 65536"),
        (np.array([0, 2**63, 1], np.uint64), ValueError, "from 0 to 3, got 9223372036854775808"),
        (np.array([0.0, 1.0, 2.0]), TypeError, "from 0 to 3, got an array of float64"),
        (np.array([True, False, True]), TypeError, "from 0 to 3, got an array of bool"),
        (np.array([0, 1]), ValueError, r"shape \[3\], got shape \[2\]"),
        (np.array([[0, 1, 2]]), ValueError, r"shape \[3\], got shape \[1, 3\]"),
        (1, ValueError, r"shape \[3\], got shape \[\]"),
    ],
)
def test_invalid_actions_raise_and_change_nothing(actions: Any, error: type[Exception], message: str) -> None:
    envs, others = GymGoalVectorEnv(3, goal_env=BitFlip(4)), GymGoalVectorEnv(3, goal_env=BitFlip(4))
    envs.reset(seed=0)
    others.reset(seed=0)
    with pytest.raises(error, match=message):
        envs.step(actions)
    for kind in (np.uint8, np.uint16, np.int32, np.int64):
        assert_equal_nested(envs.step(np.array([3, 0, 1], kind)), others.step(np.array([3, 0, 1])))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([True, False], "got \\[True, False\\]"),
        (np.array([1, 0]), r"got int64 array of shape \[2\]"),
        (np.array([True]), r"shape \[2\], got bool array of shape \[1\]"),
        (np.zeros(2, np.bool_), "at least one environment"),
    ],
)
def test_an_invalid_reset_mask_is_rejected(mask: Any, message: str) -> None:
    envs = GymGoalVectorEnv(2, goal_env=BitFlip(4))
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        envs.reset(options={"reset_mask": mask})


def test_step_and_partial_reset_raise_before_the_first_full_reset() -> None:
    envs = GymGoalVectorEnv(2, goal_env=BitFlip(4))
    with pytest.raises(ResetNeeded, match="have not begun"):
        envs.step(np.zeros(2, np.int64))
    with pytest.raises(ResetNeeded, match="all of them before"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    options = {"reset_mask": np.array([True, True])}
    envs.reset(options=options)
    assert list(options) == ["reset_mask"], "the caller's options are not changed"


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 0, "n_bits": 4}, "num_envs must be from 1"),
        ({"num_envs": 2.5, "n_bits": 4}, "num_envs must be an integer"),
        ({"num_envs": 2, "n_bits": 0}, "n_bits must be from 1"),
        ({"num_envs": 2, "n_bits": 4, "max_steps": 0}, "max_steps must be from 1"),
        ({"num_envs": 2, "n_bits": 4, "max_episode_steps": 0}, "max_episode_steps must be -1, .*, got 0$"),
        ({"num_envs": 2, "n_bits": 4, "max_episode_steps": -2}, "max_episode_steps must be from -1 .* -2$"),
        ({"num_envs": 2, "n_bits": 4, "max_episode_steps": 2.0}, "max_episode_steps must be an integer"),
        (
            {"num_envs": 2, "n_bits": 4, "autoreset_mode": "never"},
            "'NextStep', 'SameStep', 'Disabled', got 'never'",
        ),
        ({"num_envs": 2, "n_bits": 4, "render_mode": "human"}, "None, 'ansi' or 'rgb_array', got 'human'"),
    ],
)
def test_invalid_arguments_are_rejected(kwargs: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        GymGoalVectorEnv(goal_env="BitFlip", **kwargs)


def test_ansi_mode_renders_one_line_per_environment() -> None:
    envs = GymGoalVectorEnv(3, goal_env=BitFlip(4), render_mode="ansi")
    observations, _ = envs.reset(seed=0)
    lines = envs.render()
    assert lines is not None
    for i, line in enumerate(lines):
        state, goal = ("".join(map(str, observations[name][i])) for name in OBSERVATION_KEYS[1:])
        assert line == f"state {state} goal {goal}"
    assert len(lines) == 3
    assert GymGoalVectorEnv(3, goal_env=BitFlip(4)).render() is None


def test_rgb_array_mode_renders_one_image_per_environment() -> None:
    envs = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=3, n_bits=40, render_mode="rgb_array")
    assert envs.metadata["render_modes"] == ["ansi", "rgb_array"]
    observations, _ = envs.reset(seed=0)
    frames = envs.render()
    assert isinstance(frames, tuple)
    assert_equal_nested(
        frames, tuple(map(render_rgb_array, observations["achieved_goal"], observations["desired_goal"]))
    )
    assert not np.array_equal(frames[0], frames[1])


def test_rewards_of_goals_are_those_of_a_single_environment() -> None:
    envs = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=2, n_bits=2)
    single = gymnasium.make("herfast/BitFlip-v0", n_bits=2).unwrapped
    goals = np.array([[0, 1], [1, 1], [0, 0]])
    for name, expected in (("compute_reward", [-1, 0, -1]), ("compute_terminated", [False, True, False])):
        found = getattr(envs, name)(goals, goals[[1, 1, 0]], {})
        assert found.tolist() == expected
        np.testing.assert_array_equal(found, getattr(single, name)(goals, goals[[1, 1, 0]], {}))
