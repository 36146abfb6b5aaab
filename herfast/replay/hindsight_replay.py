"""The replay buffer: whole episodes, packed, from which minibatches with hindsight goals are sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Minibatches, Strategy, Trajectories, Words, n_words
from herfast.common.bits import _core
from herfast.common.seeding import Role, stream
from herfast.common.validation import check_array, check_choice, check_integer, check_names

_ACTION_BITS = np.uint64(0xFFFF)  # of a record's last word: csrc/replay.h


class HindsightReplay:
    """Hindsight experience replay (Andrychowicz et al. 2017, arXiv 1707.01495, section 4.5) over a ring of episodes.

    Each state is stored once with its action and goal; next states, rewards, terminations and hindsight goals are
    derived when a minibatch is drawn. An episode of L steps takes L + 1 of the ring's `capacity` records; a full ring
    overwrites the oldest. Each sampled transition is relabelled with probability k / (k + 1); k = 0 is plain replay.

    strategy: the hindsight goal is the achieved goal of a state s_i of the same episode,
        "future": i uniform after the transition; "final": the last; "episode": i uniform on what is stored of it;
        "random": of any stored state of any episode.

    `records` uint64[capacity, Ws+Wg+1] (layout: csrc/replay.h), `cursor` int64[3] = {head, size, transitions} and the
    generator `rng` are the whole state. Raises TypeError or ValueError, naming argument, value and allowed range;
    MemoryError for more records than there is memory for.
    """

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
        self.n_goal_bits = self.n_state_bits
        if n_goal_bits is not None:
            self.n_goal_bits = check_integer("n_goal_bits", n_goal_bits, 1, self.n_state_bits)
        check_choice("strategy", strategy, get_args(Strategy))
        self.strategy: Strategy = strategy
        self.k = check_integer("k", k, 0, 1_000_000)
        self.rng = stream(seed, Role.REPLAY)
        width = n_words(self.n_state_bits) + n_words(self.n_goal_bits) + 1
        try:
            self.records: Words = np.zeros((self.capacity, width), np.uint64)  # untouched pages take no memory
        except MemoryError:
            size = f"{self.capacity:,} records of {8 * width:,} bytes"
            raise MemoryError(f"capacity must fit into memory, got {size}") from None
        self.cursor: NDArray[np.int64] = np.zeros(3, np.int64)

    def __len__(self) -> int:
        """The number of stored transitions."""
        return int(self.cursor[2])

    def __repr__(self) -> str:
        return (
            f"HindsightReplay(capacity={self.capacity}, n_state_bits={self.n_state_bits}, "
            f"n_goal_bits={self.n_goal_bits}, strategy={self.strategy!r}, k={self.k}) with {len(self)} transitions"
        )

    def add(self, trajectories: Trajectories) -> None:
        """Append E episodes, in order: states uint64[T+1, E, Ws], actions uint16[T, E], goals uint64[E, Wg],
        lengths int32[E]. More than the ring holds leaves the last ones.

        Raises TypeError or ValueError, before anything is stored, for other dtypes or shapes, a length outside 1..T,
        an episode longer than the ring, T > 65,535, or bits past the end of a state or goal. What lies beyond an
        episode's length is not read.
        """
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
        )

    def sample(self, n_batches: int, batch_size: int) -> Minibatches:
        """Draw U = n_batches minibatches of B = batch_size transitions, in new arrays laid out as Minibatches says.

        Transitions are drawn with replacement, uniformly over the stored ones; the order of draws is stated in
        csrc/hindsight.h. Takes time O(U B) whatever the capacity. Raises ValueError while nothing is stored.
        """
        shape = (check_integer("n_batches", n_batches, 1, 2**24), check_integer("batch_size", batch_size, 1, 2**24))
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
            self.k,
            self.rng.bit_generator,
            *batches,
        )
        return batches

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """What is stored: `records` uint64[size, Ws+Wg+1], a view of the rows in use, and `cursor` int64[3]."""
        return {"records": self.records[: self.cursor[1]], "cursor": self.cursor}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]], n_actions: int | None = None) -> None:
        """Replace what is stored by the saved `records` (at least the rows in use) and `cursor` of an equal ring.

        Args:
            state: as `state_dict` returns it.
            n_actions: if given, all stored actions must be below it.

        Raises:
            TypeError, ValueError: they are not a ring of this capacity with whole episodes in it; nothing changes.
        """
        check_names("state", state, ("records", "cursor"))
        records = state["records"]
        cursor = state["cursor"]
        check_array("records", records, np.uint64, 2)
        check_array("cursor", cursor, np.int64, 1)
        if not cursor.shape == (3,) or not 0 <= cursor[1] <= len(records) <= self.capacity:
            raise ValueError(f"cursor {cursor.tolist()} does not go with records of shape {records.shape}")
        if records.shape[1] != self.records.shape[1]:
            raise ValueError(f"records must have {self.records.shape[1]} words a row, got shape {records.shape}")
        restored, cursor = np.zeros(self.records.shape, np.uint64), np.array(cursor)
        restored[: len(records)] = records
        if not _core.ring_is_valid(restored, cursor, self.n_state_bits, self.n_goal_bits):
            raise ValueError(f"the records with cursor {cursor.tolist()} are not a ring of whole episodes")
        if n_actions is not None:
            n_actions = check_integer("n_actions", n_actions, 1, 65_536)
        highest = int((restored[:, -1] & _ACTION_BITS).max(initial=0))
        if n_actions is not None and highest >= n_actions:
            raise ValueError(f"ring.records has an action {highest}, where {n_actions - 1} is the highest")
        self.records = restored
        self.cursor = cursor
