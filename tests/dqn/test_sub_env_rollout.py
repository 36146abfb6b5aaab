"""Tests of episodes in sub-environments, compared with what each of them records."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from reference.space_bits import bits_of, state_bits
from support.gym_tasks import KINDS, make

from herfast import Config, GymnasiumTask, QNetwork, unpack_bits
from herfast.common.seeding import Role, stream
from herfast.dqn.rollout import play_episodes

SAME = {
    "Maze": True,
    "Climb": False,
    "Pit": True,
    "Lock": False,
    "Toll": True,
}  # observation and achieved goal


class Recorder(gymnasium.Wrapper):
    """Wrapper that records the seeds of all resets and the steps of all episodes."""

    def __init__(self, env):
        super().__init__(env)
        self.seeds, self.episodes = [], []

    def reset(self, *, seed=None, options=None):
        parts, info = self.env.reset(seed=seed, options=options)
        self.seeds.append(seed)
        self.episodes.append([(None, parts, 0.0, False, {})])
        return parts, info

    def step(self, action):
        parts, reward, terminated, truncated, info = self.env.step(action)
        self.episodes[-1].append((int(action), parts, reward, terminated, info))
        return parts, reward, terminated, truncated, info


def recorded(name, n_envs, mode):
    """Return a task and the recorders of its sub-environments."""
    recorders = [Recorder(make(name)) for _ in range(n_envs)]
    env = recorders[0]
    if mode is not None:
        env = SyncVectorEnv([functools.partial(lambda r: r, r) for r in recorders], autoreset_mode=mode)
    task = GymnasiumTask(env, copy_info_dict=name == "Toll")
    for recorder in recorders:
        recorder.seeds.clear()
        recorder.episodes.clear()
    return task, recorders


def play(task, n_episodes, seed=3, **options):
    sizes = (task.n_state_bits, task.n_goal_bits, task.n_actions)
    network = QNetwork(*sizes, config=Config(hidden=(16,)), seed=0)
    exploration = {"exploration": stream(seed, Role.EXPLORATION), "epsilon_at": lambda steps: 0.5}
    return play_episodes(task, network, n_episodes, stream(seed, Role.ENVIRONMENT), **exploration, **options)


@pytest.mark.parametrize("mode", [None, *AutoresetMode])
@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("name", KINDS)
def test_episodes_are_those_that_the_sub_environments_played(name, n_envs, mode):
    """Each plays its share from its seeded reset on, all of them to their ends."""
    if mode is None and n_envs > 1:
        pytest.skip("a single environment has no sub-environments")
    task, recorders = recorded(name, n_envs, mode)
    space, start = recorders[0].observation_space, recorders[0].action_space.start
    played = play(task, 4 * n_envs)
    states = unpack_bits(played.trajectories.states, task.n_state_bits)
    goals = unpack_bits(played.trajectories.goals, task.n_goal_bits)
    seeds = stream(3, Role.ENVIRONMENT).integers(0, 2**31, n_envs).tolist()
    assert [recorder.seeds[0] for recorder in recorders] == seeds
    for e, length in enumerate(played.trajectories.lengths):
        recorder = recorders[e % n_envs]
        steps = recorder.episodes[e // n_envs]
        assert length == len(steps) - 1
        for t, (action, parts, *_) in enumerate(steps):
            assert states[t, e].astype(int).tolist() == state_bits(space, parts, SAME[name])
            assert goals[e].astype(int).tolist() == bits_of(space["desired_goal"], parts["desired_goal"])
            assert t == 0 or played.trajectories.actions[t - 1, e] == action - start
        _, parts, _, terminated, info = steps[-1]
        reached = None  # the info says whether it is
        if name != "Lock":
            reached = recorder.unwrapped.is_reached(parts["achieved_goal"], parts["desired_goal"])
        assert played.returns[e] == pytest.approx(sum(step[2] for step in steps))
        assert played.outcomes.terminated[e] == terminated
        assert played.successes[e] == info.get("is_success", reached)
    assert all(seed is None for recorder in recorders for seed in recorder.seeds[1:])
    assert len(set(played.trajectories.lengths.tolist())) > 1 or name not in ("Pit", "Toll")


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("name", KINDS)
def test_a_single_sub_environment_plays_as_the_environment_alone(name, mode):
    alone, vector = play(recorded(name, 1, None)[0], 5), play(recorded(name, 1, mode)[0], 5)
    for one, other in zip(alone.trajectories, vector.trajectories, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(alone.returns, vector.returns)


def test_any_number_of_episodes_is_shared_out():
    for n_episodes in (1, 2, 3, 5):
        task, recorders = recorded("Pit", 3, AutoresetMode.SAME_STEP)
        played = play(task, n_episodes)
        assert len(played.trajectories.lengths) == n_episodes
        for e, length in enumerate(played.trajectories.lengths):
            assert length == len(recorders[e % 3].episodes[e // 3]) - 1


@pytest.mark.parametrize("mode", [None, *AutoresetMode])
def test_episodes_that_the_environment_does_not_end_are_cut_off(mode, monkeypatch):
    monkeypatch.setattr("herfast.envs.gym_task.task.MAX_STEPS", 5)
    task, recorders = recorded("Lock", 1 if mode is None else 2, mode)
    assert task.max_steps == 5
    played = play(task, 6)
    assert played.trajectories.lengths.tolist() == [5] * 6
    assert not played.outcomes.terminated.any()
    starts = [[episode[0][1] for episode in recorder.episodes] for recorder in recorders]
    goals = unpack_bits(played.trajectories.goals, 8).astype(int).tolist()
    space = recorders[0].observation_space["desired_goal"]
    for e, goal in enumerate(goals):
        assert goal == bits_of(space, starts[e % len(recorders)][e // len(recorders)]["desired_goal"])


def test_infos_are_stored_as_json_for_each_step():
    task, recorders = recorded("Toll", 2, AutoresetMode.NEXT_STEP)
    played = play(task, 4)
    for e, infos in enumerate(played.outcomes.infos):
        steps = recorders[e % 2].episodes[e // 2][1:]
        expected = [
            {"toll": float(s[4]["toll"]), "path": s[4]["path"].tolist(), "note": "paid"} for s in steps
        ]
        assert infos == expected
        assert all(type(info["toll"]) is float for info in infos)
