"""Tests of the dones of relabelled transitions."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3.common.vec_env import SubprocVecEnv
from support.sb3_buffers import (
    KEYS,
    NO_GOAL,
    SHORT,
    EvenTerminates,
    GoalEnv,
    SingleTerminates,
    add_numbered,
    episode_ends,
    filled_pair,
    make,
    numbers,
    vector_env,
)

from herfast.sb3 import HerReplayBuffer
from herfast.sb3.goal_env import terminations_of


class TenTerminates(GoalEnv):
    """Rewards and terminates if the goals differ by less than 10."""

    def compute_reward(self, achieved_goal, desired_goal, infos):
        return 0.1 * (abs(achieved_goal - desired_goal) < 10).all(axis=-1)


def filled(cls, n_envs=2, **kwargs):
    ours = make(HerReplayBuffer, vector_env(n_envs, cls=cls), 40, seed=0, **kwargs)
    add_numbered([ours], *episode_ends(95, n_envs, SHORT))
    return ours


def stored_dones(state, n_envs=2):
    """Return the dones of sampled transitions that are no ends by a time limit."""
    env, step = np.divmod(state // 2, 1000)
    done, truncated = episode_ends(95, n_envs, SHORT)
    return (done & ~truncated)[step, env]


@pytest.mark.parametrize("cls", [GoalEnv, EvenTerminates])
def test_by_default_stored_dones_are_kept(cls):
    state, _, goal, _, done = numbers(filled(cls).sample(4000))
    assert (goal != NO_GOAL).sum() == 3200
    np.testing.assert_array_equal(done, stored_dones(state))


@pytest.mark.parametrize("cls", [EvenTerminates, SingleTerminates])
def test_compute_terminated_decides_if_it_exists(cls):
    state, _, goal, _, done = numbers(filled(cls, terminated_from_goal=True).sample(1000))
    expected = np.where(goal == NO_GOAL, stored_dones(state), goal // 2 % 2 == 0)
    np.testing.assert_array_equal(done, expected)


def test_the_reward_decides_otherwise():
    """Stored transitions that terminated did not reach their goal: they failed."""
    state, next_state, goal, _, done = numbers(filled(GoalEnv, terminated_from_goal=True).sample(4000))
    np.testing.assert_array_equal(done, stored_dones(state) | (next_state == goal))
    assert (done != stored_dones(state)).sum() > 100


def test_a_reward_need_not_be_0_at_the_goal():
    """A reward of 0.1 is another number in float32."""
    batch = filled(TenTerminates, terminated_from_goal=True).sample(4000)
    state, next_state, goal, _, done = numbers(batch)
    reached = abs(next_state - goal) < 10
    np.testing.assert_array_equal(batch.rewards.numpy().ravel()[800:], np.float32(0.1) * reached[800:])
    np.testing.assert_array_equal(done[800:], (stored_dones(state) | reached)[800:])


class ValuedGoals(GoalEnv):
    """Rewards depend on the goal that is reached. In float32 they are other numbers."""

    def compute_reward(self, achieved_goal, desired_goal, infos):
        return np.where(achieved_goal == desired_goal, 0.1 * (desired_goal % 7), -1)[:, 0]


@pytest.mark.parametrize(("reward", "ends"), [(0.1 * (104 % 7), False), (-1, True)])
def test_a_transition_that_terminated_at_its_goal_continues_for_another_goal(reward, ends):
    kwargs = {"terminated_from_goal": True, "goal_selection_strategy": "random"}
    ours = make(HerReplayBuffer, vector_env(1, cls=ValuedGoals), 40, **kwargs)
    for n in range(40):
        obs = dict.fromkeys(KEYS, np.full((1, 1), n)) | {"desired_goal": np.full((1, 1), 104)}
        ours.add(obs, obs, np.zeros(1), np.full(1, reward), np.ones(1, bool), [{}])
    _, next_state, goal, _, done = numbers(ours.sample(1000))
    other = (goal != next_state) & (goal != 104)
    assert other.sum() > 500
    assert (done[~other] == 1).all()
    assert (done[other] == ends).all()


def test_a_truncated_transition_that_reaches_the_new_goal_is_terminated():
    kwargs = {"terminated_from_goal": True, "goal_selection_strategy": "final"}
    ours = make(HerReplayBuffer, vector_env(1), 40, **kwargs)
    ones = np.ones((40, 1), bool)
    add_numbered([ours], ones, ones)
    _, _, goal, _, done = numbers(ours.sample(100))
    np.testing.assert_array_equal(done, goal != NO_GOAL)


@pytest.mark.parametrize("cls", [EvenTerminates, SingleTerminates])
def test_environments_in_other_processes(cls):
    env = SubprocVecEnv([cls, cls])
    try:
        goals = np.arange(9)[:, None]
        terminated = terminations_of(env, goals, goals, [{}] * 9)
        np.testing.assert_array_equal(terminated, goals[:, 0] // 2 % 2 == 0)
        assert env.has_attr("compute_terminated")
    finally:
        env.close()


def test_conversions_keep_dones_only_where_they_are_stored():
    theirs, _ = filled_pair(40, 2, 95, SHORT)
    ours = HerReplayBuffer.from_sb3(theirs)
    assert not ours.terminated_from_goal
    state, *_, done = numbers(ours.sample(500))
    np.testing.assert_array_equal(done, stored_dones(state))
