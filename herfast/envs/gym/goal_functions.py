"""Rewards and terminations of goals in the form of observations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from herfast.envs.gym.observations import Observations


class GoalFunctions:
    """Base class of environments that compute rewards and terminations of any goals."""

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
        return unboxed(np.where(reached, 0.0, -1.0))

    def compute_terminated(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Return whether the achieved goal equals the desired one.

        Args and errors are those of `compute_reward`.

        Returns:
            A bool for one goal, bool[B] for a batch.
        """
        return unboxed(self._observations.reached(achieved_goal, desired_goal))


def unboxed(values: NDArray[Any]) -> Any:
    """Return a Python scalar for an array without axes, otherwise the array."""
    if values.ndim == 0:
        return values.item()
    return values
