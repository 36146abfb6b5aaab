"""What the rooms hand to each other: batches of trajectories, minibatches, and the random streams they are drawn from.

Letters used for shapes everywhere: E environments in lockstep, T step limit, B batch, U updates; a state of S bits is
Ws words of 64 bits, a goal of G bits is Wg words; bit i is bit i & 63 of word i >> 6, and bits past the end are 0.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]


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


class Role(IntEnum):
    """Who draws from a random stream. The numbers are part of the file format and never change."""

    ENVIRONMENT = 0
    EXPLORATION = 1
    REPLAY = 2
    WEIGHTS = 3
    EVALUATION = 4


def stream(seed: int | None, role: Role) -> np.random.Generator:
    """The random stream of one role: PCG64 seeded by `SeedSequence(seed, spawn_key=(role,))`; None is fresh entropy."""
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ValueError(f"seed must be None or an integer >= 0, got {seed!r}")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(role),))))


def n_words(n_bits: int) -> int:
    """The number of 64-bit words that hold `n_bits` bits."""
    return (n_bits + 63) // 64
