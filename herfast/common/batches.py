"""Array containers shared by all subpackages.

Letters in shapes:

- E: episodes played in lockstep
- T: step limit of an episode
- B: batch size
- U: number of updates
- S, Ws: bits of a state, and the 64-bit words that hold them
- G, Wg: bits of a goal, and the 64-bit words that hold them

Bit i of a state or goal is bit i & 63 of word i >> 6. Unused bits of the last word are 0.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]
Infos: TypeAlias = list[list[dict[str, Any]]]  # of episodes: an info for each step
Encoding: TypeAlias = Literal["signed", "binary"]  # inputs of a network for a bit: +-1, or 0 and 1
Strategy: TypeAlias = Literal["future", "final", "episode", "random"]  # how hindsight goals are chosen


class Trajectories(NamedTuple):
    """E finished episodes.

    Rewards and terminations are not stored, because they follow from states and goals.
    """

    states: Words  # [T+1, E, Ws]; states[t, e] is defined for t <= lengths[e]
    actions: NDArray[np.uint16]  # [T, E]; actions[t, e] is defined for t < lengths[e]
    goals: Words  # [E, Wg]
    lengths: NDArray[np.int32]  # [E], number of steps, 1 <= lengths <= T


class Minibatches(NamedTuple):
    """U minibatches of B transitions with relabelled goals."""

    states: Words  # [U, B, Ws]
    next_states: Words  # [U, B, Ws]
    goals: Words  # [U, B, Wg]
    actions: NDArray[np.uint16]  # [U, B]
    rewards: NDArray[np.float32]  # [U, B], 0 if the next state reaches the goal, otherwise -1
    terminated: NDArray[np.bool_]  # [U, B], True if the next state reaches the goal
    steps_to_goal: NDArray[np.int32]  # [U, B], steps from state to goal in the stored episode; 0 = unknown


class Outcomes(NamedTuple):
    """Outcomes of E episodes, where they do not follow from states and goals."""

    returns: NDArray[np.float64]  # [E], sums of rewards
    successes: NDArray[np.bool_]  # [E]
    terminated: NDArray[np.bool_]  # [E], True if the environment terminated the episode
    infos: Infos | None = None  # [E], or None if they are not stored


class Origins(NamedTuple):
    """Origins of U minibatches of B transitions in stored episodes with Outcomes."""

    relabelled: NDArray[np.bool_]  # [U, B], True where the goal is a hindsight goal
    terminated: NDArray[np.bool_]  # [U, B], True where the environment terminated the episode
    succeeded: NDArray[np.bool_]  # [U, B], True where it did so with success
    infos: list[dict[str, Any]] | None = None  # U B infos, or None if they are not stored


def n_words(n_bits: int) -> int:
    """Return the number of 64-bit words that hold `n_bits` bits."""
    return (n_bits + 63) // 64
