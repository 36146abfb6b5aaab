"""Index of the episodes that several environments store in one ring of slots."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.common.bits import _core_sb3

Array = NDArray[Any]
Integers = NDArray[np.int64]


class EpisodeIndex(NamedTuple):
    """Arrays from which transitions of finished episodes are drawn.

    A slot holds one transition of each environment. Row s * E + e is environment e in slot s. The layout, the
    dropping of overwritten episodes and the order of draws are stated in csrc/episode_index.h.
    """

    starts: Integers  # [n_slots, E], first slot of the episode in a slot
    lengths: Integers  # [n_slots, E], its length, 0 unless it is finished and whole
    running: Integers  # [E], first slot of the running episode, or the slot that is written next
    counts: Integers  # [E], number of transitions in finished episodes

    def begin_slot(self, slot: int) -> None:
        """Drop the episodes that begin in a slot, and assign it to the running episodes."""
        _core_sb3.begin_slot(*self, slot)

    def end_episode(self, env: int, next_slot: int) -> None:
        """End the running episode of an environment, given the slot that is written next."""
        _core_sb3.end_episode(*self, env, next_slot)

    def choose(
        self, strategy: str, rng: np.random.Generator, n: int, n_goals: int
    ) -> tuple[Integers, Integers]:
        """Draw transitions, uniformly and with replacement.

        Args:
            strategy: "future", "final", "episode" or "random".
            rng: Generator of the draws.
            n: Number of transitions.
            n_goals: Number of the last transitions for which a goal is drawn.

        Returns:
            Rows of the transitions, int64[n], and rows whose next states hold their goals, int64[n_goals].

        Raises:
            RuntimeError: No episode is finished.
        """
        rows = np.empty(n, np.int64)
        goal_rows = np.empty(n_goals, np.int64)
        _core_sb3.choose(*self, strategy, rng.bit_generator, rows, goal_rows)
        return rows, goal_rows

    def clear(self) -> None:
        """Remove all episodes."""
        for array in (self.lengths, self.running, self.counts):
            array[:] = 0


def count_transitions(lengths: Integers, running: Integers) -> Integers:
    """Return the number of transitions in finished episodes of each environment.

    The arguments are those of EpisodeIndex.

    Raises:
        ValueError: These transitions are not directly before the running episode.
    """
    counts: Integers = (lengths > 0).sum(axis=0)
    for env, count in enumerate(counts):
        slots = np.arange(running[env] - count, running[env]) % len(lengths)
        if not lengths[slots, env].all():
            raise ValueError(f"lengths must be those of consecutive episodes, environment {env} has a gap")
    return counts


def gather_rows(arrays: list[Array], rows: Integers) -> list[Array]:
    """Return rows of arrays [n_slots, E, ...] as new arrays [n, ...]."""
    outs = [np.empty((len(rows), *array.shape[2:]), array.dtype) for array in arrays]
    _core_sb3.gather(arrays, rows, outs)
    return outs


def store_slot(arrays: list[Array], slot: int, values: list[Array]) -> None:
    """Write each value [E, ...] to a slot of its array [n_slots, E, ...].

    NumPy converts values of another type, and repeats those of a smaller shape.
    """
    _core_sb3.store(arrays, slot, values)
