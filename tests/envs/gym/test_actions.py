"""Tests of continuous actions.

Those of discrete ones are in test_env.py and test_vector_env.py.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from support.gym_results import assert_equal_nested
from support.toy_env import Lamps

from herfast import Agent, BitFlip
from herfast.envs.gym.env import GymGoalEnv
from herfast.envs.gym.vector_env import GymGoalVectorEnv


@pytest.mark.parametrize("n_bits", [1, 2, 9, 63, 64, 65, 130])
def test_all_bits_with_a_positive_number_are_flipped(n_bits: int) -> None:
    env = GymGoalEnv(BitFlip(n_bits, 50), continuous=True)
    assert env.action_space == gymnasium.spaces.Box(-1, 1, (n_bits,), np.float32)
    observation, _ = env.reset(seed=n_bits)
    rng = np.random.default_rng(n_bits)
    state = observation["observation"].astype(bool)
    for step in range(1, 40):
        action = rng.uniform(-1, 1, n_bits).astype(np.float32)
        action[rng.integers(n_bits)] = 0.0  # not positive, so the bit stays
        observation, reward, terminated, truncated, info = env.step(action)
        state ^= action > 0
        np.testing.assert_array_equal(observation["observation"], state)
        np.testing.assert_array_equal(observation["achieved_goal"], state)
        reached = bool((state == observation["desired_goal"]).all())
        assert (reward, terminated, truncated) == (float(reached) - 1, reached, False)
        assert info == {"is_success": reached, "elapsed_steps": step}
        if terminated:
            return
    wrong = observation["achieved_goal"] ^ observation["desired_goal"]
    assert env.step(wrong * 0.5)[2], "one step flips all wrong bits"


def test_a_step_without_flips_counts() -> None:
    env = GymGoalEnv(BitFlip(5, 2), continuous=True)
    before, _ = env.reset(seed=0)
    for truncated in (False, True):
        observation, *rest = env.step(np.full(5, -1.0))
        assert_equal_nested(observation, before)
        assert rest[:3] == [-1.0, False, truncated]


def test_numbers_outside_the_space_flip_by_their_sign() -> None:
    env, other = (GymGoalEnv(BitFlip(3), continuous=True) for _ in range(2))
    env.reset(seed=0)
    other.reset(seed=0)
    assert_equal_nested(env.step([np.inf, -7, 1e-300]), other.step(np.array([1, 0, 1], np.float32)))


INVALID = [
    (0, ValueError, r"^actions must be an array of shape \[{}3\], got shape \[\]$"),
    (np.zeros(4), ValueError, r"^actions must be an array of shape \[{}3\], got shape \[4\]$"),
    (np.zeros((1, 3)), ValueError, r"^actions must be an array of shape \[{}3\], got shape \[1, 3\]$"),
    (None, TypeError, "^actions must be numbers, got dtype object$"),
    ("1", TypeError, "^actions must be numbers, got dtype <U1$"),
    (np.ones(3, np.bool_), TypeError, "^actions must be numbers, got dtype bool$"),
    ([[1], 2], ValueError, "^actions must be an array, or sequences of equal lengths, got"),
]


@pytest.mark.parametrize(
    ("action", "error", "message"), [*INVALID, ([0, np.nan, 1], ValueError, "^actions must .*, got nan$")]
)
def test_an_invalid_action_raises_and_changes_nothing(
    action: Any, error: type[Exception], message: str
) -> None:
    env, other = (GymGoalEnv(BitFlip(3), continuous=True) for _ in range(2))
    env.reset(seed=3)
    other.reset(seed=3)
    with pytest.raises(error, match=message.format("")):
        env.step(action)
    assert_equal_nested(env.step([1, 0, 0]), other.step([1, 0, 0]))


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [*INVALID, ([[0, 0, 1], [0, np.nan, 1]], ValueError, "^actions must .*, got nan$")],
)
def test_invalid_actions_of_a_batch_raise_and_change_nothing(
    actions: Any, error: type[Exception], message: str
) -> None:
    envs, others = (GymGoalVectorEnv(2, goal_env=BitFlip(3), continuous=True) for _ in range(2))
    envs.reset(seed=3)
    others.reset(seed=3)
    with pytest.raises(error, match=message.format("2, ")):
        envs.step(actions)
    valid = np.array([[1, 0, 0], [0, 1, 1]])
    assert_equal_nested(envs.step(valid), others.step(valid))


def test_only_bit_flipping_has_continuous_actions() -> None:
    message = "^continuous must be False for environments other than 'BitFlip', got True for 'Lamps'$"
    with pytest.raises(ValueError, match=message):
        GymGoalEnv(Lamps(), continuous=True)
    with pytest.raises(ValueError, match=message):
        GymGoalVectorEnv(2, goal_env=Lamps(), continuous=True)


def test_an_agent_rejects_continuous_actions() -> None:
    single = gymnasium.make("herfast/BitFlip-v0", n_bits=6, continuous=True)
    vector = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=2, n_bits=6, continuous=True)
    for env in (single, vector):
        with pytest.raises(TypeError, match=r"^env must have discrete actions, got .* with Box\(-1.0, 1.0, "):
            Agent(env)
