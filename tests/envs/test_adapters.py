"""Tests of the environments that an agent accepts."""

import gymnasium
import pytest

from herfast import Agent, BitFlip


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
