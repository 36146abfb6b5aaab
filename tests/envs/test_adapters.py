"""Tests of the environments that an agent accepts."""

import sys
from dataclasses import dataclass
from types import ModuleType

import gymnasium
import pytest
from gymnasium.vector import AutoresetMode
from support.second_import import imported_again
from support.toy_env import Lamps
from support.toy_tasks import Coins, LampTask

from herfast import Agent, BitFlip, GymnasiumTask
from herfast.envs import bit_flip
from herfast.envs.gym import env as single_env
from herfast.envs.gym import vector_env
from herfast.envs.gym.env import GymGoalEnv


def test_gymnasium_environments_of_herfast_are_accepted():
    env = gymnasium.make("herfast/BitFlip-v0", n_bits=6, max_steps=9)
    assert Agent(env, seed=0).env == BitFlip(6, 9)
    assert Agent(gymnasium.make_vec("herfast/BitFlip-v0", num_envs=2, n_bits=6), seed=0).env == BitFlip(6)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ([3], r"^env_kwargs must be a dict with names as its keys, got \[3\]$"),
        ({3: 4}, "^env_kwargs must be a dict with names as its keys, got {3: 4}$"),
        ({"id": "GridWorld"}, "^env_kwargs must not hold an id, got 'GridWorld' with 'BitFlip'$"),
    ],
)
def test_invalid_arguments_of_an_id_are_rejected(kwargs, message):
    with pytest.raises(TypeError, match=message):
        Agent("BitFlip", env_kwargs=kwargs)


@pytest.mark.parametrize("env", [None, 50, gymnasium.make])
def test_other_objects_are_rejected(env):
    with pytest.raises(TypeError, match=r"^env must be a BitFlip or another environment of herfast, a herf"):
        Agent(env)


def test_ids_of_herfast_and_gymnasium_are_accepted():
    assert Agent("BitFlip", env_kwargs={"n_bits": 6}).env == BitFlip(6)
    assert Agent("herfast/BitFlip-v0", env_kwargs={"n_bits": 6, "max_steps": 9}).env == BitFlip(6, 9)
    task = Agent("support.toy_tasks:LampTask", env_kwargs={"max_steps": 5}).env.task
    assert task == LampTask(5)


def test_a_class_is_preferred_to_an_id_of_gymnasium_without_version(monkeypatch):
    """Gymnasium has a Taxi-v3."""
    module = ModuleType("own_tasks")
    module.Taxi = type("Taxi", (LampTask,), {"__module__": "own_tasks"})
    monkeypatch.setitem(sys.modules, "own_tasks", module)
    assert isinstance(Agent("own_tasks:Taxi").env.task, module.Taxi)


UNKNOWN_IDS = {
    "Maze": "the environment 'Maze' is not registered, only 'BitFlip', ",
    "nobody/Maze-v0": "Gymnasium does not know the environment 'nobody/Maze-v0': ",
    "no_module:nobody/Maze-v0": "the environment 'no_module:nobody/Maze-v0' cannot be imported: ",
    "no_module:Maze": "the environment 'no_module:Maze' cannot be imported: ModuleNotFoundError",
    "support.toy_tasks:bits_of": "'support.toy_tasks:bits_of' must name a subclass of herfast.GoalTask",
}


@pytest.mark.parametrize("id", UNKNOWN_IDS)
def test_unknown_ids_are_rejected(id):
    with pytest.raises(ValueError, match=f"^{UNKNOWN_IDS[id]}"):
        Agent(id)


def test_wrappers_of_make_are_removed():
    limited = gymnasium.make("herfast/BitFlip-v0", n_bits=20, max_episode_steps=5)
    assert Agent(limited, seed=0).env == BitFlip(20, 5)
    assert Agent(gymnasium.wrappers.TimeLimit(limited, 7), seed=0).env == BitFlip(20, 5)
    assert Agent(gymnasium.wrappers.TimeLimit(limited.unwrapped, 7), seed=0).env == BitFlip(20, 7)


def test_a_wrapper_that_changes_the_rewards_of_step_alone_is_rejected():
    env = gymnasium.make("herfast/BitFlip-v0", n_bits=20)
    with pytest.raises(ValueError, match=r"must return the reward of step .*, got -1 instead of 0;"):
        Agent(gymnasium.wrappers.TransformReward(env, lambda reward: reward + 1))


@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_wrapped_vector_environment_of_herfast_is_kept(mode):
    arguments = {"num_envs": 3, "n_bits": 6, "autoreset_mode": mode}
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(
        gymnasium.make_vec("herfast/BitFlip-v0", **arguments)
    )
    agent = Agent(env, "notebook", 0, episodes_per_cycle=6, updates_per_cycle=2, hidden=(8,))
    assert agent.env.env is env
    assert agent.learn(total_timesteps=1).episodes == 6
    assert agent.env.encoding == "signed"
    ended = agent.replay.records[:, -1] >> 48
    assert set(ended[: agent.replay.cursor[1]].tolist()) <= {0, 2, 3}


def test_a_wrapper_that_changes_nothing_is_kept():
    env = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make("herfast/BitFlip-v0", n_bits=6))
    task = Agent(env, seed=0).env
    assert isinstance(task, GymnasiumTask)
    assert task.env is env
    sizes = (task.n_state_bits, task.n_goal_bits, task.n_actions, task.max_steps, task.encoding)
    assert sizes == (6, 6, 6, 65_535, "signed")


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


@pytest.mark.parametrize("env", [5, {"id": "LightsOut"}])
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
