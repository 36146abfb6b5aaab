"""Replay buffers of both libraries with the same numbered transitions."""

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3 import HerReplayBuffer as TheirBuffer
from stable_baselines3.common.vec_env import DummyVecEnv

from herfast.sb3 import HerReplayBuffer

KEYS = ("observation", "achieved_goal", "desired_goal")
NO_GOAL = -1  # the original goal of all transitions
NUMBER = spaces.Box(NO_GOAL, 10**9, (1,), np.int64)

# Shares of done steps, for which all episodes are short, or some are longer than a ring of 40 slots.
SHORT = 0.25
LONG = 0.02


class GoalEnv(gymnasium.Env):
    """Environment with only spaces and rewards: 0 at the goal, otherwise -1."""

    def __init__(self, space=NUMBER, action_space=None):
        self.observation_space = spaces.Dict(dict.fromkeys(KEYS, space))
        self.action_space = action_space or spaces.Discrete(5)
        self.infos = []

    def compute_reward(self, achieved_goal, desired_goal, infos):
        self.infos = infos
        axes = tuple(range(1, achieved_goal.ndim))
        return (achieved_goal == desired_goal).all(axis=axes).astype(np.float64) - 1


class EvenTerminates(GoalEnv):
    """Terminates where half of the goal is even. It takes batches."""

    def compute_terminated(self, achieved_goal, desired_goal, info):
        return (desired_goal // 2 % 2 == 0).reshape(len(desired_goal))


class SingleTerminates(GoalEnv):
    """Takes one goal at a time, as the environments of Gymnasium-Robotics do."""

    def compute_terminated(self, achieved_goal, desired_goal, info):
        return bool((desired_goal // 2 % 2 == 0).all())


def vector_env(n_envs, *args, cls=GoalEnv):
    return DummyVecEnv([lambda: cls(*args) for _ in range(n_envs)])


def make(cls, env, buffer_size, **kwargs):
    """Return an empty buffer of a class; buffer_size is that of each environment."""
    return cls(
        buffer_size * env.num_envs,
        env.observation_space,
        env.action_space,
        env,
        n_envs=env.num_envs,
        device="cpu",
        **kwargs,
    )


def episode_ends(n_steps, n_envs, share, seed=0):
    """Return random ends of episodes [n_steps, n_envs], and those by time limits."""
    rng = np.random.default_rng(seed)
    done = rng.random((n_steps, n_envs)) < share
    return done, done & (rng.random((n_steps, n_envs)) < 0.5)


def add_numbered(buffers, done, truncated, first=0):
    """Add transition n of environment e, from state 2 * (1000 e + n) to the next."""
    n_envs = done.shape[1]
    for n, (ends, limits) in enumerate(zip(done, truncated, strict=True), first):
        number = 2 * (1000 * np.arange(n_envs) + n)[:, None]
        goal = np.full_like(number, NO_GOAL)
        infos = [{"TimeLimit.truncated": bool(limit), "number": n} for limit in limits]
        for buffer in buffers:
            buffer.add(
                {"observation": number, "achieved_goal": number, "desired_goal": goal},
                {"observation": number + 1, "achieved_goal": number + 1, "desired_goal": goal},
                number[:, 0] % 5,
                np.full(n_envs, -1.0, np.float32),
                ends,
                infos,
            )


def filled_pair(buffer_size, n_envs, n_steps, share, *, seed=None, **kwargs):
    """Return one buffer of each library, with the same transitions."""
    env = vector_env(n_envs)
    pair = [make(TheirBuffer, env, buffer_size, **kwargs)]
    pair.append(make(HerReplayBuffer, env, buffer_size, seed=seed, **kwargs))
    add_numbered(pair, *episode_ends(n_steps, n_envs, share))
    return pair


def numbers(batch):
    """Return states, next states, goals, rewards and dones of a sample as integers."""
    columns = [batch.observations["observation"], batch.next_observations["observation"]]
    columns += [batch.observations["desired_goal"], batch.rewards, batch.dones]
    return [column.numpy().ravel().astype(np.int64) for column in columns]


def assert_same_arrays(one, other):
    """Assert that two buffers hold the same arrays and positions."""
    assert (one.pos, one.full, one.buffer_size, one.n_envs) == (
        other.pos,
        other.full,
        other.buffer_size,
        other.n_envs,
    )
    for name in ("actions", "rewards", "dones", "timeouts", "ep_start", "ep_length", "_current_ep_start"):
        mine, expected = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(mine, expected, err_msg=name, strict=True)
    for name in ("observations", "next_observations"):
        assert getattr(one, name).keys() == getattr(other, name).keys()
        for key, array in getattr(one, name).items():
            np.testing.assert_array_equal(array, getattr(other, name)[key], strict=True)
