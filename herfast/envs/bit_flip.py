"""The bit-flipping environment on packed words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words
from herfast.common.bits import _core
from herfast.common.validation import check_integer, short_repr
from herfast.envs.base import check_arrays


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
            raise TypeError(f"rng must be a numpy.random.Generator, got {short_repr(rng)}")
        try:
            _core.bitflip_reset(rng.bit_generator, self.n_bits, out_states, out_goals)
        except (TypeError, ValueError):
            check_arrays(out_states=(out_states, np.uint64, 2), out_goals=(out_goals, np.uint64, 2))
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
            check_arrays(
                states=(states, np.uint64, 2),
                goals=(goals, np.uint64, 2),
                actions=(actions, np.uint16, 1),
                active=(active, np.int64, 1),
                out_states=(out_states, np.uint64, 2),
                out_terminated=(out_terminated, np.bool_, 1),
            )
            raise
