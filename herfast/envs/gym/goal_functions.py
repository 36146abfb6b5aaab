"""Reward, termination and truncation of goals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from herfast.common.validation import as_array, short_repr
from herfast.envs.base import GoalEnv
from herfast.envs.gym.observations import Observations


class GoalFunctions:
    """Base class with the functions that replay buffers call to relabel transitions."""

    goal_env: GoalEnv
    _observations: Observations

    def compute_reward(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Return 0 where the achieved goal equals the desired one, otherwise -1.

        Args:
            achieved_goal: One goal, in the form of an observation's part, or a batch of B goals.
            desired_goal: Same shape.
            info: Ignored.

        Returns:
            A float for one goal, float64[B] for a batch.

        Raises:
            TypeError, ValueError: A goal has another shape, or a value is not allowed.
        """
        reached = self._observations.reached(achieved_goal, desired_goal)
        return _unbox(np.where(reached, 0.0, -1.0))

    def compute_terminated(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Return whether the achieved goal equals the desired one.

        Args and errors are those of `compute_reward`.

        Returns:
            A bool for one goal, bool[B] for a batch.
        """
        return _unbox(self._observations.reached(achieved_goal, desired_goal))

    def compute_truncated(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Return whether the step limit is reached while the goal is not.

        Args:
            achieved_goal: One goal, in the form of an observation's part, or a batch of B goals.
            desired_goal: Same shape.
            info: Holds `elapsed_steps`. For one goal it is a dict. For a batch it is a dict of arrays [B] or
                a sequence of B dicts.

        Returns:
            A bool for one goal, bool[B] for a batch.

        Raises:
            TypeError, ValueError: A goal or `info` is not allowed.
        """
        reached = self._observations.reached(achieved_goal, desired_goal)
        return _unbox(~reached & (as_elapsed(info, reached.shape) >= self.goal_env.max_steps))


def as_elapsed(info: object, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return `elapsed_steps` of a dict, a dict of arrays or a sequence of dicts.

    Raises:
        TypeError: `info` is none of them, or the steps are not integers.
        ValueError: The key is missing, the steps do not have this shape, or one is negative.
    """
    try:
        if isinstance(info, Mapping):
            steps = as_array("elapsed_steps", info["elapsed_steps"])
        elif isinstance(info, (list, tuple, np.ndarray)) and all(
            isinstance(single, Mapping) for single in info
        ):
            steps = as_array("elapsed_steps", [single["elapsed_steps"] for single in info])
        else:
            raise TypeError(
                f"info must be a dict (of arrays for a batch) or a sequence of dicts, got {short_repr(info)}"
            )
    except KeyError:
        raise ValueError(
            "compute_truncated needs elapsed_steps in every info, which step() provides"
        ) from None
    if steps.shape != shape:
        raise ValueError(f"elapsed_steps must have the batch's shape {list(shape)}, got {list(steps.shape)}")
    if steps.dtype.kind not in "iu" and steps.size:
        raise TypeError(f"elapsed_steps must be integers >= 0, got dtype {steps.dtype}")
    if (steps < 0).any():
        raise ValueError(f"elapsed_steps must be integers >= 0, got {steps.min()}")
    return steps


def _unbox(values: NDArray[Any]) -> Any:
    """Return a Python scalar for an array without axes, otherwise the array."""
    if values.ndim == 0:
        return values.item()
    return values
