"""The protocol of packed, batched environments with goals.

An environment holds no state: the caller owns all arrays, and steps any number of episodes in lockstep with one object.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words
from herfast.common.validation import check_array, check_layout


class GoalEnv(Protocol):
    """What a rollout needs of an environment. The achieved goal is the first n_goal_bits of the state."""

    @property
    def n_state_bits(self) -> int: ...
    @property
    def n_goal_bits(self) -> int: ...
    @property
    def n_actions(self) -> int: ...
    @property
    def max_steps(self) -> int:
        """Steps after which an episode is truncated."""

    def reset(self, rng: np.random.Generator, out_states: Words, out_goals: Words) -> None:
        """Start a game in every row: draw states uint64[E, Ws] and goals uint64[E, Wg]."""

    def step(
        self,
        states: Words,
        goals: Words,
        actions: NDArray[np.uint16],
        active: NDArray[np.int64],
        out_states: Words,
        out_terminated: NDArray[np.bool_],
    ) -> None:
        """Play one step of the games whose indices are in `active`; rows of other games are neither read nor written.

        states, out_states uint64[E, Ws] (they may be one array), goals uint64[E, Wg], actions uint16[E],
        active int64[n_active], out_terminated bool[E]: the next state reaches the goal.
        """


def check_arrays(**wanted: tuple[NDArray[Any], type, int]) -> None:
    """Raise for the first array that is not of its dtype and axes, then for the first that is laid out otherwise."""
    for name, (array, dtype, ndim) in wanted.items():
        check_array(name, array, dtype, ndim)
    for name, (array, _, _) in wanted.items():
        check_layout(name, array)
