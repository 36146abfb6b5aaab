"""The Gymnasium faces: the single game by hand and by Gymnasium's checker, the batch against a SyncVectorEnv of it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RenderCollection

import herfast  # noqa: F401  (registers the ids)
from herfast.envs.gym_env import BitFlipEnv
from herfast.envs.gym_vector_env import BitFlipVectorEnv
from herfast.envs.rendering import render_rgb_array

NAMES = ("observation", "achieved_goal", "desired_goal")


def wrong_bits(observation: dict[str, np.ndarray]) -> list[int]:
    return np.flatnonzero(observation["achieved_goal"] != observation["desired_goal"]).tolist()


def same(ours: Any, theirs: Any, where: str = "") -> None:
    """Equal in keys, types, dtypes, shapes and values, through nested dicts and object arrays."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), where
        assert ours.keys() == theirs.keys(), where
        for key in theirs:
            same(ours[key], theirs[key], f"{where}[{key!r}]")
    elif isinstance(theirs, (tuple, list)):
        for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            same(our, their, f"{where}[{i}]")
    elif isinstance(theirs, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), where
        if theirs.dtype == object:
            for our, their in zip(ours.flat, theirs.flat, strict=True):
                same(our, their, where)
        else:
            np.testing.assert_array_equal(ours, theirs, where)
    else:
        assert type(ours) is type(theirs), where
        assert ours == theirs, where


# ---- one game


@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
@pytest.mark.parametrize("n_bits", [2, 8, 64, 65])
def test_gymnasiums_checker_accepts_the_game_without_a_warning(n_bits: int, render_mode: str | None) -> None:
    env = gymnasium.make("herfast/BitFlip-v0", n_bits=n_bits, render_mode=render_mode)
    assert env.metadata["render_modes"] == ["ansi", "rgb_array"], "all of which it checks"
    check_env(env.unwrapped)


def test_the_id_is_found_through_the_module_prefix() -> None:
    env = gymnasium.make("herfast:herfast/BitFlip-v0", n_bits=5, max_steps=9)
    assert (env.unwrapped.goal_env.n_bits, env.unwrapped.goal_env.max_steps) == (5, 9)


def test_spaces_are_int8_bits_and_one_action_per_bit() -> None:
    env = BitFlipEnv(70)
    assert env.observation_space == gymnasium.spaces.Dict({name: gymnasium.spaces.MultiBinary(70) for name in NAMES})
    assert env.action_space == gymnasium.spaces.Discrete(70)
    observation, _ = env.reset(seed=0)
    assert {bits.dtype for bits in observation.values()} == {np.dtype(np.int8)}


@pytest.mark.parametrize("n_bits", [1, 2, 8, 63, 64, 65, 130])
def test_flipping_the_wrong_bits_wins_in_as_many_steps(n_bits: int) -> None:
    env = BitFlipEnv(n_bits)
    observation, info = env.reset(seed=n_bits)
    assert info == {"is_success": False, "elapsed_steps": 0}
    todo = wrong_bits(observation)
    assert todo, "start and goal must differ"
    for step, bit in enumerate(todo, 1):
        before = observation
        observation, reward, terminated, truncated, info = env.step(np.int64(bit))
        assert np.flatnonzero(observation["observation"] != before["observation"]).tolist() == [bit]
        np.testing.assert_array_equal(observation["achieved_goal"], observation["observation"])
        np.testing.assert_array_equal(observation["desired_goal"], before["desired_goal"])
        won = step == len(todo)
        assert (reward, terminated, truncated) == (0.0 if won else -1.0, won, False)
        assert info == {"is_success": won, "elapsed_steps": step}
        assert type(terminated) is bool
        assert type(info["is_success"]) is bool


def test_the_step_limit_truncates_and_the_goal_comes_first() -> None:
    env = BitFlipEnv(8, max_steps=3)
    ends = set()
    for seed in range(200):
        observation, _ = env.reset(seed=seed)
        todo = wrong_bits(observation)
        for step in range(1, 4):
            bit = todo[step - 1] if step <= len(todo) else 0
            _, reward, terminated, truncated, _ = env.step(bit)
            assert terminated == (step == len(todo))
            assert truncated == (step == 3 and not terminated)
            assert reward == (0.0 if terminated else -1.0)
            if terminated or truncated:
                ends.add((step, terminated))
                break
    assert {(3, True), (3, False)} <= ends, "both ends must occur at the limit itself"


def test_a_finished_game_and_one_not_begun_refuse_a_step() -> None:
    env = BitFlipEnv(4, max_steps=1)
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
def test_a_bad_action_is_refused_and_changes_nothing(action: Any, error: type[Exception], message: str) -> None:
    env, twin = BitFlipEnv(5), BitFlipEnv(5)
    env.reset(seed=3)
    twin.reset(seed=3)
    with pytest.raises(error, match=message):
        env.step(action)
    same(env.step(2), twin.step(2))


def test_same_seed_same_games_and_only_the_first_reset_needs_it() -> None:
    env, twin = BitFlipEnv(40), BitFlipEnv(40)
    first = [env.reset(seed=7), env.reset(), env.reset()]
    same([twin.reset(seed=7), twin.reset(), twin.reset()], first)
    assert wrong_bits(first[0][0]) != wrong_bits(first[1][0])


def test_returned_arrays_belong_to_the_caller() -> None:
    env = BitFlipEnv(6)
    observation, _ = env.reset(seed=1)
    kept = {name: bits.copy() for name, bits in observation.items()}
    assert not np.shares_memory(observation["observation"], observation["achieved_goal"])
    for action in range(5):
        env.step(action)
    same(observation, kept)
    observation["desired_goal"][:] = 0
    same(env.step(5)[0]["desired_goal"], kept["desired_goal"])


def test_ansi_renders_one_line() -> None:
    env = BitFlipEnv(4, render_mode="ansi")
    observation, _ = env.reset(seed=2)
    state, goal = ("".join(map(str, observation[name])) for name in NAMES[1:])
    assert env.render() == f"state {state} goal {goal}"
    assert BitFlipEnv(4).render() is None
    with pytest.raises(ValueError, match="None, 'ansi' or 'rgb_array', got 'human'"):
        BitFlipEnv(4, render_mode="human")


def test_the_pictures_of_a_game_can_be_collected() -> None:
    env = RenderCollection(gymnasium.make("herfast/BitFlip-v0", n_bits=40, render_mode="rgb_array"))
    observation, _ = env.reset(seed=1)
    seen = [observation]
    for bit in wrong_bits(observation):
        seen.append(env.step(np.int64(bit))[0])
    frames = env.render()
    same(frames, [render_rgb_array(observation["achieved_goal"], observation["desired_goal"]) for observation in seen])
    assert {frame.shape for frame in frames} == {frames[0].shape}


# ---- the goal rules, single and batched


@pytest.fixture(scope="module")
def batch() -> tuple[BitFlipEnv, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    achieved = rng.integers(0, 2, (64, 3), dtype=np.int8)
    desired = rng.integers(0, 2, (64, 3), dtype=np.int8)
    return BitFlipEnv(3, max_steps=7), achieved, desired, rng.integers(1, 9, 64)


def test_rules_batched_equal_rules_single(batch: Any) -> None:
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
            won = achieved[i].tolist() == desired[i].tolist()
            single = (
                env.compute_reward(achieved[i], desired[i], info),
                env.compute_terminated(achieved[i], desired[i], info),
                env.compute_truncated(achieved[i], desired[i], info),
            )
            assert single == (0.0 if won else -1.0, won, elapsed[i] >= 7 and not won)
            assert [type(value) for value in single] == [float, bool, bool]
            assert (rewards[i], terminated[i], truncated[i]) == single
    assert terminated.any()
    assert env.compute_truncated(achieved, desired, dicts).any()


def test_rules_agree_with_what_step_returned() -> None:
    env = gymnasium.make("herfast/BitFlip-v0", n_bits=3, max_steps=4)
    env.action_space.seed(0)
    for seed in range(50):
        env.reset(seed=seed)
        over = False
        while not over:
            observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
            goals = observation["achieved_goal"], observation["desired_goal"]
            assert env.unwrapped.compute_reward(*goals, info) == reward
            assert env.unwrapped.compute_terminated(*goals, info) == terminated
            assert env.unwrapped.compute_truncated(*goals, info) == truncated
            over = terminated or truncated


def test_rules_need_no_info_where_they_read_none(batch: Any) -> None:
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
def test_rules_refuse_what_they_cannot_read(shapes: Any, info: Any, message: str) -> None:
    achieved, desired = (np.zeros(shape, np.int8) for shape in shapes)
    with pytest.raises((ValueError, TypeError), match=message):
        BitFlipEnv(3).compute_truncated(achieved, desired, info)


# ---- games in lockstep


def with_stream(envs: Any, seed: int) -> Any:
    """Let all games be drawn from one stream, as BitFlipVectorEnv does."""
    rng = np.random.default_rng(seed)
    if isinstance(envs, SyncVectorEnv):
        for env in envs.envs:
            env.unwrapped.np_random = rng
    else:
        envs.np_random = rng
    return envs


def pair(num_envs: int, mode: AutoresetMode, **kwargs: Any) -> tuple[BitFlipVectorEnv, SyncVectorEnv]:
    ours = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=num_envs, autoreset_mode=mode, **kwargs)
    theirs = gymnasium.make_vec(
        "herfast/BitFlip-v0",
        num_envs=num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        **kwargs,
    )
    return with_stream(ours, 11), with_stream(theirs, 11)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize(("num_envs", "n_bits", "max_steps"), [(1, 2, None), (7, 3, 5), (16, 65, 4), (5, 4, 1)])
def test_a_batch_is_gymnasiums_sync_vector_env(mode: Any, num_envs: int, n_bits: int, max_steps: int | None) -> None:
    ours, theirs = pair(num_envs, mode, n_bits=n_bits, max_steps=max_steps)
    same(ours.reset(), theirs.reset())
    theirs.action_space.seed(5)
    won = lost = 0
    for _ in range(60):
        actions = theirs.action_space.sample()
        result = ours.step(actions)
        same(result, theirs.step(actions))
        won, lost = won + result[2].sum(), lost + result[3].sum()
    assert lost > 0
    assert won > 0 or n_bits == 65
    mask = np.zeros(num_envs, np.bool_)
    mask[::2] = True
    same(ours.reset(options={"reset_mask": mask}), theirs.reset(options={"reset_mask": mask}))
    actions = theirs.action_space.sample()
    same(ours.step(actions), theirs.step(actions))


def test_disabled_autoreset_leaves_the_reset_to_the_caller() -> None:
    ours, theirs = pair(6, AutoresetMode.DISABLED, n_bits=3, max_steps=4)
    same(ours.reset(), theirs.reset())
    theirs.action_space.seed(5)
    for _ in range(40):
        actions = theirs.action_space.sample()
        result = ours.step(actions)
        same(result, theirs.step(actions))
        over = result[2] | result[3]
        if over.any():
            with pytest.raises(ResetNeeded, match=f"game {np.flatnonzero(over)[0]} has ended"):
                ours.step(actions)
            same(ours.reset(options={"reset_mask": over}), theirs.reset(options={"reset_mask": over}))


def test_a_batch_has_the_attributes_and_spaces_of_gymnasiums() -> None:
    ours, theirs = pair(3, AutoresetMode.SAME_STEP, n_bits=4)
    assert isinstance(ours, BitFlipVectorEnv)
    assert ours.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert BitFlipVectorEnv(2, n_bits=3).metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert ours.num_envs == theirs.num_envs
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(ours, name) == getattr(theirs, name), name
    observations, _ = ours.reset(seed=0)
    assert observations in ours.observation_space


def test_make_vec_by_name_of_the_mode() -> None:
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


def test_batch_same_seed_same_games() -> None:
    def play(seed: int) -> list[Any]:
        envs = BitFlipVectorEnv(9, n_bits=3, autoreset_mode="SameStep")
        envs.action_space.seed(0)
        return [envs.reset(seed=seed), *(envs.step(envs.action_space.sample()) for _ in range(20))]

    same(play(4), play(4))
    assert not np.array_equal(play(4)[0][0]["observation"], play(5)[0][0]["observation"])


def test_batch_results_belong_to_the_caller() -> None:
    envs = BitFlipVectorEnv(8, n_bits=3, autoreset_mode="SameStep")
    twin = BitFlipVectorEnv(8, n_bits=3, autoreset_mode="SameStep")
    same(envs.reset(seed=0), twin.reset(seed=0))
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = rng.integers(0, 3, 8)
        observations, rewards, terminated, truncated, infos = result = envs.step(actions)
        same(result, twin.step(actions))
        finals = [value for value in infos.pop("final_obs", []) if value is not None]
        infos.update(infos.pop("final_info", {}))
        arrays = [*observations.values(), rewards, terminated, truncated, *infos.values()]
        for array in arrays + [bits for final in finals for bits in final.values()]:
            array[...] = 1  # if an environment still reads it, the twins part ways


def test_batch_infos_do_not_share_memory() -> None:
    envs = BitFlipVectorEnv(8, n_bits=1, autoreset_mode="SameStep")
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
def test_bad_batch_actions_are_refused_and_change_nothing(actions: Any, error: type[Exception], message: str) -> None:
    envs, twin = BitFlipVectorEnv(3, n_bits=4), BitFlipVectorEnv(3, n_bits=4)
    envs.reset(seed=0)
    twin.reset(seed=0)
    with pytest.raises(error, match=message):
        envs.step(actions)
    for kind in (np.uint8, np.uint16, np.int32, np.int64):
        same(envs.step(np.array([3, 0, 1], kind)), twin.step(np.array([3, 0, 1])))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([True, False], "got \\[True, False\\]"),
        (np.array([1, 0]), r"got int64 array of shape \[2\]"),
        (np.array([True]), r"shape \[2\], got bool array of shape \[1\]"),
        (np.zeros(2, np.bool_), "at least one game"),
    ],
)
def test_a_bad_reset_mask_is_refused(mask: Any, message: str) -> None:
    envs = BitFlipVectorEnv(2, n_bits=4)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        envs.reset(options={"reset_mask": mask})


def test_a_batch_not_begun_refuses_a_step_and_a_partial_reset() -> None:
    envs = BitFlipVectorEnv(2, n_bits=4)
    with pytest.raises(ResetNeeded, match="have not begun"):
        envs.step(np.zeros(2, np.int64))
    with pytest.raises(ResetNeeded, match="all of them before"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    options = {"reset_mask": np.array([True, True])}
    envs.reset(options=options)
    assert list(options) == ["reset_mask"], "the caller's options stay as they are"


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 0, "n_bits": 4}, "num_envs must be from 1"),
        ({"num_envs": 2.5, "n_bits": 4}, "num_envs must be an integer"),
        ({"num_envs": 2, "n_bits": 0}, "n_bits must be from 1"),
        ({"num_envs": 2, "n_bits": 4, "max_steps": 0}, "max_steps must be from 1"),
        ({"num_envs": 2, "n_bits": 4, "autoreset_mode": "never"}, "'NextStep', 'SameStep', 'Disabled', got 'never'"),
        ({"num_envs": 2, "n_bits": 4, "render_mode": "human"}, "None, 'ansi' or 'rgb_array', got 'human'"),
    ],
)
def test_bad_arguments_of_a_batch_are_refused(kwargs: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        BitFlipVectorEnv(**kwargs)


def test_a_batch_renders_one_line_per_game() -> None:
    envs = BitFlipVectorEnv(3, n_bits=4, render_mode="ansi")
    observations, _ = envs.reset(seed=0)
    lines = envs.render()
    assert lines is not None
    for i, line in enumerate(lines):
        state, goal = ("".join(map(str, observations[name][i])) for name in NAMES[1:])
        assert line == f"state {state} goal {goal}"
    assert len(lines) == 3
    assert BitFlipVectorEnv(3, n_bits=4).render() is None


def test_a_batch_renders_one_picture_per_game() -> None:
    envs = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=3, n_bits=40, render_mode="rgb_array")
    assert envs.metadata["render_modes"] == ["ansi", "rgb_array"]
    observations, _ = envs.reset(seed=0)
    frames = envs.render()
    assert isinstance(frames, tuple)
    same(frames, tuple(map(render_rgb_array, observations["achieved_goal"], observations["desired_goal"])))
    assert not np.array_equal(frames[0], frames[1])
