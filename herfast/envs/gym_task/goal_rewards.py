"""Rewards and terminations of packed goals, as a Gymnasium environment states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from herfast.common.batches import Origins
from herfast.common.validation import short_repr
from herfast.envs.gym_task.packing import BitArray, Packing, UnsupportedEnvError, single_value
from herfast.envs.gym_task.sub_envs import SubEnvs

Infos: TypeAlias = Sequence[dict[str, Any]]
Rewards: TypeAlias = NDArray[np.float32]


class GoalRewards:
    """Functions `compute_reward` and `compute_terminated` on bits.

    Args:
        sub_envs: The environment.
        goals: Packing of achieved_goal and desired_goal.

    Attributes:
        has_terminated: True if the environment has `compute_terminated`.
        extra_axis: True if a batch of integers must have shape [B, 1], as in Stable-Baselines3.

    Raises:
        UnsupportedEnvError: The environment has no `compute_reward`.
    """

    def __init__(self, sub_envs: SubEnvs, goals: Packing) -> None:
        self._sub_envs = sub_envs
        self._goals = goals
        self._compute_reward = sub_envs.find("compute_reward")
        if not callable(self._compute_reward):
            needed = "a function compute_reward(achieved_goal, desired_goal, info)"
            raise UnsupportedEnvError(needed, f"{short_repr(sub_envs.env)} without it")
        self._compute_terminated = sub_envs.find("compute_terminated")
        self.has_terminated = callable(self._compute_terminated)
        self.extra_axis = False

    @property
    def is_integer(self) -> bool:
        """True if a goal is a single integer."""
        return isinstance(self._goals.space, spaces.Discrete)

    def rewards(self, achieved: BitArray, goals: BitArray, infos: Infos | None = None) -> Rewards:
        """Return the rewards of a batch, from one call.

        Args:
            achieved: Achieved goals [B, G].
            goals: Desired goals [B, G].
            infos: An info for each, or None for empty ones.

        Raises:
            TypeError, ValueError: The environment did not return B finite numbers.
        """
        results = self._call(self._compute_reward, achieved, goals, infos)
        rewards = _numbers("compute_reward", results, len(achieved)).astype(np.float32)
        if not np.isfinite(rewards).all():
            raise ValueError(f"compute_reward must return finite numbers, got {short_repr(results)}")
        return rewards

    def reward_of_one(self, achieved: BitArray, goal: BitArray, info: dict[str, Any]) -> float:
        """Return the reward of one pair of goals [1, G]."""
        values = (single_value(self._goals.space, self._goals.decode(bits), 0) for bits in (achieved, goal))
        result = self._compute_reward(*values, info)
        return float(_numbers("compute_reward", result, 1)[0])

    def reached(self, rewards: Rewards, goals: BitArray, infos: Infos | None = None) -> NDArray[np.bool_]:
        """Return where a reward is that of a reached goal, bool[B].

        Args:
            rewards: The rewards [B].
            goals: Desired goals [B, G].
            infos: As in `rewards`.
        """
        is_reached: NDArray[np.bool_] = rewards == self.rewards(goals, goals, infos)
        return is_reached

    def terminated(
        self, achieved: BitArray, goals: BitArray, infos: Infos | None = None
    ) -> NDArray[np.bool_]:
        """Return what `compute_terminated` returns for a batch, bool[B]."""
        results = self._call(self._compute_terminated, achieved, goals, infos)
        return _numbers("compute_terminated", results, len(achieved)).astype(np.bool_)

    def terminations(
        self, achieved: BitArray, goals: BitArray, rewards: Rewards, origins: Origins, from_goal: bool
    ) -> NDArray[np.bool_]:
        """Return whether each transition of a batch is terminated with its goal, bool[B].

        With its original goal a transition keeps the environment's termination. With a hindsight goal,
        `compute_terminated` decides if there is one.

        Args:
            achieved: Achieved goals [B, G].
            goals: Goals after relabelling [B, G].
            rewards: The rewards for them [B].
            origins: Origins of the transitions, with B entries in all.
            from_goal: Without `compute_terminated`, a hindsight goal that is reached terminates, and so does
                a termination without success. With False the environment's termination is kept.
        """
        terminated = origins.terminated.reshape(-1).copy()
        rows = np.flatnonzero(origins.relabelled)
        infos = None
        if origins.infos is not None:
            infos = [origins.infos[row] for row in rows]
        if rows.size and self.has_terminated:
            terminated[rows] = self.terminated(achieved[rows], goals[rows], infos)
        elif rows.size and from_goal:
            failed = terminated[rows] & ~origins.succeeded.reshape(-1)[rows]
            terminated[rows] = failed | self.reached(rewards[rows], goals[rows], infos)
        return terminated

    def _call(self, function: Any, achieved: BitArray, goals: BitArray, infos: Infos | None) -> Any:
        if infos is None:
            infos = [{} for _ in range(len(achieved))]
        batches = [self._goals.decode(bits) for bits in (achieved, goals)]
        if self.extra_axis:
            batches = [batch[:, np.newaxis] for batch in batches]
        with self._sub_envs.timed():
            return function(*batches, infos)


def _numbers(name: str, results: Any, count: int) -> NDArray[Any]:
    """Return `results` as an array; raise an error unless it holds `count` numbers."""
    values = np.asarray(results)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{name} must return numbers, got {short_repr(results)}")
    if values.size != count or max(values.shape, default=1) != count:
        raise ValueError(
            f"{name} must return {count:,} numbers for {count:,} goals, got shape {values.shape}"
        )
    return values.reshape(count)
