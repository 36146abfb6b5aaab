"""The greedy policy in lockstep: pre-activations are updated by the bits that change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words
from herfast.networks.kernels import entry_points
from herfast.networks.kernels.arrays import Network, Scratch, aligned
from herfast.networks.kernels.simd import Floats, Integers

REBUILD_EVERY = 64  # steps after which pre-activations are built anew, so that rounding cannot add up


class GreedyPolicy:
    """Greedy play of E games in lockstep. Between two steps it adds only the rows of the bits that changed.

    `sizes` are the numbers of state and goal bits; `scratch` means nothing between two calls and may be shared.
    """

    def __init__(
        self, numbers: Network, shape: Integers, sizes: tuple[int, int], n_envs: int, scratch: Scratch
    ) -> None:
        self._numbers, self._shape, self._sizes, self._scratch = numbers, shape, sizes, scratch
        self._z = aligned((n_envs, int(shape[0, 1])))[0]  # the first layer's pre-activations
        self._steps = 0
        self._previous: Words | None = None

    def act(self, states: Words, goals: Words, active: NDArray[np.int64], out_actions: NDArray[np.uint16]) -> None:
        """out_actions[e] = the greedy action for e in `active`; states [E, Ws], goals [E, Wg], out_actions [E].

        Arrays are trusted. The states of the last call must still hold what they held.
        """
        rebuild = self._steps % REBUILD_EVERY == 0 or self._previous is None
        previous = states if self._previous is None else self._previous
        entry_points.act(
            self._numbers,
            self._shape,
            self._sizes,
            states,
            goals,
            previous,
            active,
            rebuild,
            self._z,
            self._scratch,
            out_actions,
        )
        self._steps += 1
        self._previous = states

    def values(self, n_active: int) -> Floats:
        """A view of the values Q [A, n_active] that the last `act` found, in the order of its `active`."""
        return self._scratch.q[:, :n_active]
