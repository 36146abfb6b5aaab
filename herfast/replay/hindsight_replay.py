"""Replay buffer of packed episodes that samples minibatches with hindsight goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Minibatches, Strategy, Trajectories, Words, n_words
from herfast.common.bits import _core
from herfast.common.seeding import Role, stream
from herfast.common.thread_guard import ThreadGuard, synchronized
from herfast.common.validation import (
    FixedAttributes,
    check_array,
    check_choice,
    check_integer,
    check_names,
)
from herfast.replay.infos import InfoRing

MAX_K = 1_000_000  # with this k, practically all transitions are relabelled

MAX_COPY_BYTES = 2**26  # copied at a time, since signals wait for it

_ACTION_BITS = np.uint64(0xFFFF)  # bits of a record's last word that hold the action (csrc/replay.h)


class HindsightReplay(FixedAttributes):
    """Replay buffer of hindsight experience replay (HER).

    Source: Andrychowicz et al. 2017, arXiv 1707.01495, section 4.5.

    Episodes are stored in a ring of `capacity` records. An episode of L steps takes L + 1 records. A full
    ring overwrites its oldest records. Each state is stored once, with its action and goal. Next states,
    rewards, terminations and hindsight goals are derived when a minibatch is sampled.

    Each sampled transition is relabelled with probability k / (k + 1). Its hindsight goal is the achieved
    goal of a stored state, chosen by the strategy:

    - "future": uniform over the states after the transition in its episode
    - "final": the last state of its episode
    - "episode": uniform over the stored states of its episode
    - "random": uniform over all stored states of all episodes

    Threads may share a replay buffer: their calls take turns. Its settings cannot be changed.

    Args:
        capacity: Number of records, from 2 to 2**40.
        n_state_bits: Length of a state, from 1 to 65,535.
        n_goal_bits: Length of a goal, from 1 to n_state_bits. Default: n_state_bits.
        strategy: "future", "final", "episode" or "random".
        k: Number of hindsight goals per original goal, from 0 to 1,000,000. 0 is plain experience replay.
        seed: Integer from 0 to 2**128 - 1, or None for entropy from the operating system.

    Attributes:
        records: uint64[capacity, Ws+Wg+1], the ring. Its layout is stated in csrc/replay.h.
        cursor: int64[3], {head, size, number of transitions}.
        rng: Generator of all draws.

    Raises:
        TypeError, ValueError: An argument is not allowed.
        MemoryError: The records do not fit into memory.
    """

    FIXED: ClassVar = frozenset({"capacity", "n_state_bits", "n_goal_bits", "strategy", "k", "rng"})

    def __init__(
        self,
        capacity: int,
        n_state_bits: int,
        n_goal_bits: int | None = None,
        *,
        strategy: Strategy = "future",
        k: int = 4,
        seed: int | None = None,
    ) -> None:
        self.capacity = check_integer("capacity", capacity, 2, 2**40)
        self.n_state_bits = check_integer("n_state_bits", n_state_bits, 1, 65_535)
        if n_goal_bits is None:
            n_goal_bits = self.n_state_bits
        self.n_goal_bits = check_integer("n_goal_bits", n_goal_bits, 1, self.n_state_bits)
        check_choice("strategy", strategy, get_args(Strategy))
        self.strategy: Strategy = strategy
        self.k = check_integer("k", k, 0, MAX_K)
        self.rng = stream(seed, Role.REPLAY)
        width = n_words(self.n_state_bits) + n_words(self.n_goal_bits) + 1
        try:
            # Pages that were never written take no memory.
            self.records: Words = np.zeros((self.capacity, width), np.uint64)
        except MemoryError:
            size = f"{self.capacity:,} records of {8 * width:,} bytes"
            raise MemoryError(f"capacity must fit into memory, got {size}") from None
        self.cursor: NDArray[np.int64] = np.zeros(3, np.int64)
        self.infos: InfoRing | None = None  # of each record's step, if the environment of an agent needs them
        self._thread_guard = ThreadGuard()

    def __len__(self) -> int:
        """Return the number of stored transitions."""
        return int(self.cursor[2])

    def __repr__(self) -> str:
        return (
            f"HindsightReplay(capacity={self.capacity}, n_state_bits={self.n_state_bits}, "
            f"n_goal_bits={self.n_goal_bits}, strategy={self.strategy!r}, k={self.k}) "
            f"with {len(self)} transitions"
        )

    @synchronized
    def clear(self) -> None:
        """Remove all episodes. The state of the generator is kept."""
        self.cursor[:] = 0

    def add(self, trajectories: Trajectories) -> None:
        """Append E episodes in order.

        If they do not all fit into the ring, the last records are kept. Entries past the end of an episode
        are not read.

        Args:
            trajectories: states uint64[T+1, E, Ws], actions uint16[T, E], goals uint64[E, Wg], lengths
                int32[E]. T is at most 65,535, and each length is from 1 to T and below `capacity`.

        Raises:
            TypeError, ValueError: An array has another dtype or shape, a length is out of range, or a state
                or goal has a bit past its end. Nothing is stored.
            KeyboardInterrupt: After Ctrl-C. The episodes that were stored before it are kept.
        """
        self._add(trajectories)

    @synchronized
    def _add(self, trajectories: Trajectories, ends: NDArray[np.uint8] | None = None) -> None:
        """Append episodes as `add` does, with `ends` uint8[E] as in csrc/replay.h."""
        if not (isinstance(trajectories, tuple) and len(trajectories) == 4):
            raise TypeError(
                f"trajectories must be Trajectories, a tuple of 4 arrays, got {type(trajectories).__name__}"
            )
        states, actions, goals, lengths = trajectories
        check_array("states", states, np.uint64, 3)
        check_array("actions", actions, np.uint16, 2)
        check_array("goals", goals, np.uint64, 2)
        check_array("lengths", lengths, np.int32, 1)
        _core.ring_add(
            self.records,
            self.cursor,
            self.n_state_bits,
            self.n_goal_bits,
            np.ascontiguousarray(states),
            np.ascontiguousarray(actions),
            np.ascontiguousarray(goals),
            np.ascontiguousarray(lengths),
            ends,
        )

    def sample(self, n_batches: int, batch_size: int) -> Minibatches:
        """Sample minibatches of transitions, uniformly and with replacement.

        The order of draws is stated in csrc/hindsight.h. The time is O(U B) for any capacity.

        Args:
            n_batches: Number of minibatches, U, from 1 to 16,777,216.
            batch_size: Number of transitions per minibatch, B, from 1 to 16,777,216.

        Returns:
            New arrays.

        Raises:
            TypeError, ValueError: An argument is not allowed, or nothing is stored.
            ValueError: Other code overwrote all transitions in `records`. `clear` makes the buffer usable.
            MemoryError: The minibatches do not fit into memory.
        """
        return self._sample(n_batches, batch_size, self.k, self.rng)

    @synchronized
    def _sample(
        self, n_batches: int, batch_size: int, k: int, rng: np.random.Generator, *sources: NDArray[Any]
    ) -> Minibatches:
        """Sample as `sample` does, with this k and generator.

        `sources`, if given, are int64[U, B] and bool[U, B]. They receive the row of each transition's record,
        and whether its goal was relabelled.
        """
        shape = (
            check_integer("n_batches", n_batches, 1, 2**24),
            check_integer("batch_size", batch_size, 1, 2**24),
        )
        try:
            batches = Minibatches(
                states=np.empty((*shape, n_words(self.n_state_bits)), np.uint64),
                next_states=np.empty((*shape, n_words(self.n_state_bits)), np.uint64),
                goals=np.empty((*shape, n_words(self.n_goal_bits)), np.uint64),
                actions=np.empty(shape, np.uint16),
                rewards=np.empty(shape, np.float32),
                terminated=np.empty(shape, np.bool_),
                steps_to_goal=np.empty(shape, np.int32),
            )
        except MemoryError:
            size = f"{shape[0]:,} x {shape[1]:,} transitions"
            raise MemoryError(f"n_batches x batch_size must fit into memory, got {size}") from None
        _core.ring_sample(
            self.records,
            self.cursor,
            self.n_state_bits,
            self.n_goal_bits,
            self.strategy,
            k,
            rng.bit_generator,
            *batches,
            *sources,
        )
        return batches

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return the rows in use, `records` uint64[size, Ws+Wg+1], and `cursor` int64[3].

        They are views. Copy them if the replay buffer changes before they are used.
        """
        return {"records": self.records[: self.cursor[1]], "cursor": self.cursor}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]], n_actions: int | None = None) -> None:
        """Replace all stored episodes by saved ones.

        Args:
            state: As returned by `state_dict` of a replay buffer with the same capacity and sizes. `records`
                must hold at least the rows in use.
            n_actions: If given, all stored actions must be below it, from 1 to 65,536.

        Raises:
            TypeError, ValueError: The state is not a ring of this capacity that holds whole episodes. Nothing
                is changed.
        """
        check_names("state", state, ("records", "cursor"))
        records = state["records"]
        check_array("records", records, np.uint64, 2)
        if records.shape[1] != self.records.shape[1]:
            raise ValueError(
                f"records must have {self.records.shape[1]} words per row, got shape {records.shape}"
            )

        def copy(rows: slice, out_records: Words) -> None:
            out_records[:] = records[rows]

        self._load_records(len(records), copy, state["cursor"], n_actions)

    @synchronized
    def _load_records(
        self,
        n_records: int,
        read: Callable[[slice, Words], None],
        cursor: NDArray[np.int64],
        n_actions: int | None = None,
    ) -> None:
        """Replace all stored episodes by records that are read in portions.

        Args:
            n_records: Number of records to read.
            read: Called as `read(rows, out_records)`; copies these rows into `out_records` [rows, Ws+Wg+1].
            cursor: int64[3], as in `state_dict`.
            n_actions: As in `load_state_dict`.

        Raises:
            TypeError, ValueError: As `load_state_dict`, or from `read`. The stored episodes are unchanged.
        """
        check_array("cursor", cursor, np.int64, 1)
        if not cursor.shape == (3,) or not 0 <= cursor[1] <= n_records <= self.capacity:
            raise ValueError(f"cursor {cursor.tolist()} does not match {n_records:,} records")
        cursor = np.array(cursor)
        records = self.records
        if self.cursor[1] > 0:
            records = np.zeros(self.records.shape, np.uint64)
        portion = max(1, MAX_COPY_BYTES // (8 * records.shape[1]))
        highest = 0
        for first in range(0, n_records, portion):
            rows = slice(first, min(first + portion, n_records))
            read(rows, records[rows])
            in_use = records[rows.start : min(rows.stop, int(cursor[1]))]
            highest = max(highest, int((in_use[:, -1] & _ACTION_BITS).max(initial=0)))
        if not _core.ring_is_valid(records, cursor, self.n_state_bits, self.n_goal_bits):
            raise ValueError(f"the records with cursor {cursor.tolist()} are not a ring of whole episodes")
        if n_actions is not None:
            n_actions = check_integer("n_actions", n_actions, 1, 65_536)
            if highest >= n_actions:
                raise ValueError(
                    f"records contain action {highest}, but the highest allowed action is {n_actions - 1}"
                )
        self.records = records
        self.cursor = cursor


def check_capacity(capacity: int, max_steps: int) -> None:
    """Raise ValueError unless an episode of `max_steps` steps fits into the ring."""
    if capacity <= max_steps:
        raise ValueError(f"capacity must be at least max_steps + 1 = {max_steps + 1:,}, got {capacity:,}")
