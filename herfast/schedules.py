"""Schedules of the exploration rate and of the learning rate."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

EpsilonSchedule: TypeAlias = Literal["constant", "hyperbola", "linear"]


def exploration_rate(
    schedule: EpsilonSchedule, start: float, end: float, decay_steps: int, env_steps: int
) -> float:
    """Return epsilon, the probability of a random action.

    Args:
        schedule: "constant" is `start`. "hyperbola" is max(end, start / (env_steps / decay_steps + 1)).
            "linear" is a straight line from `start` to `end` over `decay_steps`.
        start: epsilon at the first step.
        end: lowest epsilon, not used by "constant".
        decay_steps: scale of the schedule, in environment steps.
        env_steps: completed environment steps.
    """
    if schedule == "constant":
        return start
    if schedule == "hyperbola":
        return max(end, start / (env_steps / decay_steps + 1.0))
    done = min(1.0, env_steps / decay_steps)
    return start + (end - start) * done


def learning_rates(
    start: float, end: float | None, decay_updates: int, updates: int, count: int
) -> NDArray[np.float64]:
    """Return the learning rates of the next `count` updates, float64[count].

    Args:
        start: learning rate of the first update.
        end: learning rate after `decay_updates`, reached geometrically and then held. None: always `start`.
        decay_updates: updates from `start` to `end`.
        updates: completed updates.
        count: number of updates.
    """
    if end is None:
        return np.full(count, start)
    done = np.minimum(1.0, np.arange(updates, updates + count) / decay_updates)
    rates: NDArray[np.float64] = start * (end / start) ** done
    return rates
