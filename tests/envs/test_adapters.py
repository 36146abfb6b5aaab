"""Tests of the environments that an agent accepts."""

from dataclasses import dataclass

import gymnasium
import pytest
from support.second_import import imported_again
from support.toy_env import Lamps
from support.toy_tasks import Coins, LampTask

from herfast import Agent, BitFlip
from herfast.envs import bit_flip
from herfast.envs.gym import env as single_env
from herfast.envs.gym import vector_env
from herfast.envs.gym.env import GymGoalEnv


def test_gymnasium_environments_of_herfast_are_accepted():
    env = gymnasium.make("herfast/BitFlip-v0", n_bits=6, max_steps=9)
    assert Agent(env, seed=0).env == BitFlip(6, 9)
    assert Agent(gymnasium.make_vec("herfast/BitFlip-v0", num_envs=2, n_bits=6), seed=0).env == BitFlip(6)


@pytest.mark.parametrize("env", [gymnasium.make("CartPole-v1"), "herfast/BitFlip-v0", None, 50])
def test_other_environments_are_rejected(env):
    with pytest.raises(TypeError, match="env must be a BitFlip"):
        Agent(env)


def test_wrappers_of_make_are_removed_and_others_are_rejected():
    limited = gymnasium.make("herfast/BitFlip-v0", n_bits=20, max_episode_steps=5)
    assert Agent(limited, seed=0).env == BitFlip(20, 5)
    assert Agent(gymnasium.wrappers.TimeLimit(limited, 7), seed=0).env == BitFlip(20, 5)
    assert Agent(gymnasium.wrappers.TimeLimit(limited.unwrapped, 7), seed=0).env == BitFlip(20, 7)
    with pytest.raises(TypeError, match="env must be a BitFlip"):
        Agent(gymnasium.wrappers.TransformReward(limited, lambda reward: reward + 1))


@pytest.mark.parametrize("cls", [Coins, BitFlip, GymGoalEnv])
def test_a_class_is_rejected_where_an_instance_is_needed(cls):
    message = rf"^env must be an instance, as in {cls.__name__}\(\), got <class .*{cls.__name__}'>$"
    with pytest.raises(TypeError, match=message):
        Agent(cls)


def make_limited(task, max_episode_steps):
    return gymnasium.make("herfast/GoalEnv-v0", goal_env=task, max_episode_steps=max_episode_steps)


def test_a_time_limit_is_a_lower_max_steps_of_a_task():
    @dataclass(frozen=True)
    class Local(LampTask):
        """A class that cannot be imported."""

        size: int = 3

    task = Local(max_steps=6, size=4)
    assert Agent(make_limited(task, 5), seed=0).env.task == Local(max_steps=5, size=4)
    assert Agent(make_limited(task, 7), seed=0).env.task is task


def test_a_time_limit_needs_max_steps_as_a_field_of_a_task():
    assert Agent(make_limited(Coins(), 5), seed=0).env.max_steps == 5
    with pytest.raises(TypeError, match=r"^Coins must take max_steps as a field to get a step limit of 4$"):
        Agent(make_limited(Coins(), 4), seed=0)


@pytest.mark.parametrize("env", ["LightsOut", {"id": "LightsOut"}])
def test_a_task_is_named_among_the_environments_that_are_allowed(env):
    with pytest.raises(TypeError, match=rf"^env must be .*, a herfast.GoalTask, .*, got {env!r}$"):
        Agent(env)


def test_a_description_must_be_a_str():
    env = Lamps()
    object.__setattr__(env, "describe", lambda: None)
    with pytest.raises(TypeError, match=r"^env.describe\(\) must return a str, got None$"):
        Agent(env)


def test_wrappers_of_make_for_lists_of_frames_are_removed():
    env = gymnasium.make("herfast/BitFlip-v0", n_bits=6, render_mode="rgb_array_list")
    assert isinstance(env, gymnasium.wrappers.RenderCollection)
    assert Agent(env, seed=0).env == BitFlip(6)


def test_environments_of_classes_that_were_imported_again_are_accepted():
    single = imported_again(single_env).GymGoalEnv(BitFlip(6, 4))
    vector = imported_again(vector_env).GymGoalVectorEnv(2, goal_env=BitFlip(6, 4))
    assert not isinstance(single, single_env.GymGoalEnv)
    for env in (single, vector, gymnasium.wrappers.OrderEnforcing(single)):
        assert Agent(env, seed=0).env == BitFlip(6, 4)
    limited = Agent(gymnasium.wrappers.TimeLimit(single, 3), seed=0)
    assert limited.env == BitFlip(6, 3)
    packed = imported_again(bit_flip).BitFlip(6, 4)
    assert Agent(packed, seed=0).learn(total_timesteps=1).env is packed


def test_a_vector_environment_with_a_time_limit_is_accepted():
    envs = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=2, n_bits=6, max_episode_steps=3)
    assert Agent(envs, seed=0).env == BitFlip(6, 3)
    with pytest.raises(TypeError, match="env must be a BitFlip"):
        Agent(gymnasium.wrappers.vector.TransformReward(envs, lambda reward: reward + 1))
