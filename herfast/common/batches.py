"""Array containers shared by all subpackages.

Letters used for shapes everywhere: E environments in lockstep, T step limit, B batch, U updates; a state of S bits is
Ws words of 64 bits, a goal of G bits is Wg words; bit i is bit i & 63 of word i >> 6, and bits past the end are 0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]
Strategy: TypeAlias = Literal["future", "final", "episode", "random"]  # of hindsight goals


class Trajectories(NamedTuple):
    """E finished episodes. Rewards and terminations are not stored: they follow from states and goals."""

    states: Words  # [T+1, E, Ws]; states[t, e] is defined for t <= lengths[e]
    actions: NDArray[np.uint16]  # [T, E]; actions[t, e] is defined for t < lengths[e]
    goals: Words  # [E, Wg]
    lengths: NDArray[np.int32]  # [E], 1 <= lengths <= T: the number of steps


class Minibatches(NamedTuple):
    """U minibatches of B transitions, goals already relabelled."""

    states: Words  # [U, B, Ws]
    next_states: Words  # [U, B, Ws]
    goals: Words  # [U, B, Wg]
    actions: NDArray[np.uint16]  # [U, B]
    rewards: NDArray[np.float32]  # [U, B]: 0 where the next state reaches the goal, else -1
    terminated: NDArray[np.bool_]  # [U, B]: the next state reaches the goal
    steps_to_goal: NDArray[np.int32]  # [U, B]: steps from state to goal along the stored episode; 0 = unknown


def n_words(n_bits: int) -> int:
    """The number of 64-bit words that hold `n_bits` bits."""
    return (n_bits + 63) // 64
