"""Actions of Gymnasium environments: one index, or a number for each bit to flip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from herfast.common.batches import Words
from herfast.common.bits import pack_bits
from herfast.common.validation import as_array, check_bool, short_repr
from herfast.envs.base import GoalEnv


class Actions(Protocol):
    """Kind of actions."""

    def space(self) -> spaces.Space[Any]:
        """Return a new space of single actions."""

    def validated(self, actions: object, batch_shape: tuple[int, ...]) -> NDArray[Any]:
        """Return an action, or a batch of them, as an array.

        Args:
            actions: Actions as a user gives them.
            batch_shape: () for one action, [E] for a batch.

        Raises:
            TypeError, ValueError: They have another shape or dtype, or one is not allowed.
        """

    def step(
        self,
        states: Words,
        goals: Words,
        actions: NDArray[Any],
        active: NDArray[np.int64],
        out_terminated: NDArray[np.bool_],
    ) -> None:
        """Take validated actions [E, ...] and overwrite the states.

        The arguments are those of `GoalEnv.step`.
        """


@dataclass(frozen=True)
class DiscreteActions:
    """Indices of the actions of a packed environment."""

    goal_env: GoalEnv

    def space(self) -> spaces.Space[Any]:
        return spaces.Discrete(self.goal_env.n_actions)

    def validated(self, actions: object, batch_shape: tuple[int, ...]) -> NDArray[Any]:
        array = as_array("actions", actions)
        highest = self.goal_env.n_actions - 1
        if array.dtype.kind not in "iu":
            got = f"an array of {array.dtype}"
            if array.ndim == 0:
                got = short_repr(array.item())
            raise TypeError(f"actions must be integers from 0 to {highest}, got {got}")
        if array.shape != batch_shape:
            expected = "one integer"
            if batch_shape:
                expected = f"an array of shape {list(batch_shape)}"
            raise ValueError(f"actions must be {expected}, got shape {list(array.shape)}")
        if array.min() < 0 or array.max() > highest:
            invalid = array[(array < 0) | (array > highest)].flat[0]
            raise ValueError(f"actions must be integers from 0 to {highest}, got {invalid}")
        return array.astype(np.uint16)

    def step(
        self,
        states: Words,
        goals: Words,
        actions: NDArray[Any],
        active: NDArray[np.int64],
        out_terminated: NDArray[np.bool_],
    ) -> None:
        self.goal_env.step(states, goals, actions, active, states, out_terminated)


@dataclass(frozen=True)
class FlipActions:
    """Numbers of which every positive one flips its bit."""

    n_bits: int

    def space(self) -> spaces.Space[Any]:
        return spaces.Box(-1, 1, (self.n_bits,), np.float32)

    def validated(self, actions: object, batch_shape: tuple[int, ...]) -> NDArray[Any]:
        array = as_array("actions", actions)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"actions must be numbers, got dtype {array.dtype}")
        shape = (*batch_shape, self.n_bits)
        if array.shape != shape:
            raise ValueError(
                f"actions must be an array of shape {list(shape)}, got shape {list(array.shape)}"
            )
        if np.isnan(array).any():
            raise ValueError("actions must be numbers, got nan")
        return array

    def step(
        self,
        states: Words,
        goals: Words,
        actions: NDArray[Any],
        active: NDArray[np.int64],
        out_terminated: NDArray[np.bool_],
    ) -> None:
        after = states[active] ^ pack_bits(actions[active] > 0)
        states[active] = after
        out_terminated[active] = (after == goals[active]).all(axis=1)


def actions_of(goal_env: GoalEnv, continuous: bool) -> Actions:
    """Return the kind of actions that `continuous` selects.

    Raises:
        TypeError: `continuous` is not True or False.
        ValueError: It is True, and the environment is not BitFlip.
    """
    if not check_bool("continuous", continuous):
        return DiscreteActions(goal_env)
    id = goal_env.spec()["id"]
    if id != "BitFlip":
        raise ValueError(
            f"continuous must be False for environments other than 'BitFlip', got True for {id!r}"
        )
    return FlipActions(goal_env.n_state_bits)
