"""Rewards and terminations of relabelled transitions.

They are computed by the first sub-environment of a vectorised goal environment, since all are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Infos = Sequence[dict[str, Any]]


def rewards_of(env: VecEnv, achieved: Array, goals: Array, infos: Infos) -> Array:
    """Return the rewards float32[n] of transitions.

    Args:
        env: Environment whose `compute_reward` takes batches.
        achieved: Achieved goals of the next states [n, ...].
        goals: Desired goals [n, ...].
        infos: Info dicts of the transitions, which may be empty.

    Raises:
        ValueError: The environment did not return n rewards.
    """
    (result,) = env.env_method("compute_reward", achieved, goals, infos, indices=[0])
    rewards = np.asarray(result, np.float32)
    if not _is_batch(rewards, len(goals)):
        raise ValueError(f"compute_reward must return {len(goals)} rewards for as many goals, got {result!r}")
    return rewards.reshape(-1)


def reached_goals(env: VecEnv, rewards: Array, goals: Array, infos: Infos) -> Bools:
    """Return whether rewards [n] are those of achieved goals."""
    reached: Bools = rewards == rewards_of(env, goals, goals, infos)
    return reached


def terminations_of(env: VecEnv, achieved: Array, goals: Array, infos: Infos) -> Bools:
    """Return the results [n] of `compute_terminated` for transitions.

    It is called with the batch, and row by row if it returns a single value for a batch. The arguments are
    those of `rewards_of`.
    """
    (result,) = env.env_method("compute_terminated", achieved, goals, infos, indices=[0])
    terminated = np.asarray(result)
    if not _is_batch(terminated, len(goals)):
        rows = zip(achieved, goals, infos, strict=True)
        terminated = np.array([env.env_method("compute_terminated", *row, indices=[0])[0] for row in rows])
    return terminated.reshape(len(goals)).astype(np.bool_)


def _is_batch(values: Array, n: int) -> bool:
    """Return whether an array holds one value for each of n rows."""
    return values.ndim > 0 and len(values) == values.size == n
