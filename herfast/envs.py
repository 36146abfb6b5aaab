"""Packed, batched environments with goals, and the bit-flipping game.

An environment holds no state: the caller owns all arrays, and plays any number of games in lockstep with one object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from herfast.bits import _core
from herfast.checks import check_array, check_integer, check_layout, shown
from herfast.data import Words


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


@dataclass(frozen=True, init=False)
class BitFlip:
    """The bit-flipping game (Andrychowicz et al. 2017, section 3.1): action i flips bit i, the goal is a bit string.

    Start and goal are uniform and never equal. n_bits and max_steps (None: n_bits) are integers from 1 to 65,535,
    else TypeError or ValueError.
    """

    n_bits: int
    max_steps: int

    def __init__(self, n_bits: int, max_steps: int | None = None) -> None:
        object.__setattr__(self, "n_bits", check_integer("n_bits", n_bits, 1, 65_535))
        steps = self.n_bits if max_steps is None else check_integer("max_steps", max_steps, 1, 65_535)
        object.__setattr__(self, "max_steps", steps)

    @property
    def n_state_bits(self) -> int:
        return self.n_bits

    @property
    def n_goal_bits(self) -> int:
        return self.n_bits

    @property
    def n_actions(self) -> int:
        return self.n_bits

    def reset(self, rng: np.random.Generator, out_states: Words, out_goals: Words) -> None:
        """Start E games: draw out_states and out_goals, both C-contiguous uint64[E, W].

        The order of draws is stated in csrc/bitflip.h. Raises TypeError or ValueError, before anything is drawn, for
        another generator, arrays of another kind, or arrays that share memory.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {shown(rng)}")
        try:
            _core.bitflip_reset(rng.bit_generator, self.n_bits, out_states, out_goals)
        except (TypeError, ValueError):
            _check_arrays(out_states=(out_states, np.uint64, 2), out_goals=(out_goals, np.uint64, 2))
            raise

    def step(
        self,
        states: Words,
        goals: Words,
        actions: NDArray[np.uint16],
        active: NDArray[np.int64],
        out_states: Words,
        out_terminated: NDArray[np.bool_],
    ) -> None:
        """Play one step of the games in `active`, as GoalEnv.step says; all arrays C-contiguous.

        Raises TypeError or ValueError, before anything is written, for arrays of another kind, an index in `active`
        that is no game's, an active game's action that is not below n_bits, or its state or goal with bits past the
        end.
        """
        try:
            _core.bitflip_step(self.n_bits, states, goals, actions, active, out_states, out_terminated)
        except (TypeError, ValueError):  # the core knows that an array is wrong, but not always which: look only now
            _check_arrays(
                states=(states, np.uint64, 2),
                goals=(goals, np.uint64, 2),
                actions=(actions, np.uint16, 1),
                active=(active, np.int64, 1),
                out_states=(out_states, np.uint64, 2),
                out_terminated=(out_terminated, np.bool_, 1),
            )
            raise


def _check_arrays(**wanted: tuple[NDArray[Any], type, int]) -> None:
    """Raise for the first array that is not of its dtype and axes, then for the first that is laid out otherwise."""
    for name, (array, dtype, ndim) in wanted.items():
        check_array(name, array, dtype, ndim)
    for name, (array, _, _) in wanted.items():
        check_layout(name, array)
