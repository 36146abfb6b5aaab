"""Running episodes of a VecEnv, and the replay buffer of finished ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Outcomes, Trajectories, Words, n_words
from herfast.common.thread_guard import synchronized
from herfast.common.validation import check_array, check_integer, check_names
from herfast.envs.gym_task.infos import as_json
from herfast.envs.gym_task.task import MAX_STEPS
from herfast.replay.hindsight_replay import HindsightReplay
from herfast.replay.infos import InfoRing, infos_as_array
from herfast.replay.outcomes import add_with_outcomes
from herfast.sb3.vec_env import VecTask, is_terminated, own_info

MAX_BUFFER_SIZE = 2**38  # transitions
_STEPS_SHIFT = np.uint64(32)  # of the steps to the end in a record's last word (csrc/replay.h)
_STEPS_BITS = np.uint64(0xFFFF)

_ACTION_BYTES = 2


class Episode(NamedTuple):
    """One finished episode."""

    trajectories: Trajectories  # E = 1
    outcomes: Outcomes


class RunningEpisodes:
    """Running episodes of all sub-environments.

    States and actions are bytes that grow with each step. An episode above 65,535 steps is stored in parts.

    Args:
        task: The environment.

    Attributes:
        states: uint64[E, Ws], the current states.
        goals: uint64[E, Wg].
    """

    def __init__(self, task: VecTask) -> None:
        self._task = task
        self.states: Words = np.zeros((task.num_envs, n_words(task.n_state_bits)), np.uint64)
        self.goals: Words = np.zeros((task.num_envs, n_words(task.n_goal_bits)), np.uint64)
        self._states: list[bytearray] = [bytearray() for _ in range(task.num_envs)]
        self._actions: list[bytearray] = [bytearray() for _ in range(task.num_envs)]
        self._infos: list[list[dict[str, Any]]] = [[] for _ in range(task.num_envs)]

    def begin(self, observations: Any) -> None:
        """Drop all running episodes, and begin new ones."""
        self.states, self.goals = self._task.pack(observations)
        for e in range(self._task.num_envs):
            self._restart(e)

    def _restart(self, e: int) -> None:
        """Begin an episode in the current state of a sub-environment."""
        self._states[e] = bytearray(self.states[e].tobytes())
        self._actions[e] = bytearray()
        self._infos[e] = []

    def add(
        self,
        actions: NDArray[np.uint16],
        observations: Any,
        rewards: NDArray[np.float32],
        dones: NDArray[np.bool_],
        infos: list[dict[str, Any]],
    ) -> list[Episode]:
        """Add the results of a step, and return the episodes that it ends.

        Args:
            actions: uint16[E].
            observations, rewards, dones, infos: as a VecEnv returns them.
        """
        n_envs = len(self._states)
        if self._task.copies_infos:
            for e in range(n_envs):
                self._infos[e].append(as_json(own_info(infos[e])))
        is_done = dones.tolist()
        if True in is_done:
            self.states, next_goals = self._task.pack(observations)
        else:
            self.states = self._task.pack_states(observations)
            next_goals = self.goals
        state_data = self.states.tobytes()
        action_data = actions.tobytes()
        width = len(state_data) // n_envs
        episodes = []
        for e in range(n_envs):
            self._actions[e] += action_data[_ACTION_BYTES * e : _ACTION_BYTES * (e + 1)]
            if is_done[e]:
                self._states[e] += self._task.pack_final(infos[e]).tobytes()
            else:
                self._states[e] += state_data[width * e : width * (e + 1)]
            if is_done[e] or len(self._actions[e]) == _ACTION_BYTES * MAX_STEPS:
                episodes.append(self._finished(e, rewards[e], is_done[e], infos[e]))
                self._restart(e)
        self.goals = next_goals
        return episodes

    def _finished(self, e: int, reward: float, done: bool, info: dict[str, Any]) -> Episode:
        """Return the episode of a sub-environment, which its last step ended or cut off."""
        actions = np.frombuffer(self._actions[e], np.uint16)
        states = np.frombuffer(self._states[e], np.uint64)
        trajectories = Trajectories(
            states.reshape(len(actions) + 1, 1, -1),
            actions[:, np.newaxis],
            self.goals[e : e + 1],
            np.array([len(actions)], np.int32),
        )
        infos = None
        last = None
        if self._task.copies_infos:
            infos = [self._infos[e]]
            last = infos[0][-1]
        succeeded = self._task.has_succeeded(reward, self.goals[e], info, last)
        terminated = is_terminated(done, info)
        # The replay buffer does not need the return.
        outcomes = Outcomes(np.zeros(1), np.array([succeeded]), np.array([terminated]), infos)
        return Episode(trajectories, outcomes)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return the episodes as arrays.

        `lengths` int64[E] are their steps, `goals` uint64[E, Wg], `states` uint64[sum of lengths + E, Ws] and
        `actions` uint16[sum of lengths], one episode after the other.
        """
        return {
            "lengths": np.array([len(actions) // _ACTION_BYTES for actions in self._actions], np.int64),
            "goals": self.goals,
            "states": np.frombuffer(b"".join(self._states), np.uint64).reshape(-1, self.states.shape[1]),
            "actions": np.frombuffer(b"".join(self._actions), np.uint16),
        }

    def load_state_dict(
        self, state: Mapping[str, NDArray[Any]], infos: list[list[dict[str, Any]]] | None
    ) -> None:
        """Replace the episodes by those of `state_dict`.

        Args:
            state: As `state_dict` returns it.
            infos: Infos of the steps of each episode, or None if they are not stored.

        Raises:
            TypeError, ValueError: The arrays do not fit together. Nothing is changed.
        """
        check_names("state", state, ("lengths", "goals", "states", "actions"))
        check_array("lengths", state["lengths"], np.int64, 1)
        check_array("goals", state["goals"], np.uint64, 2)
        check_array("states", state["states"], np.uint64, 2)
        check_array("actions", state["actions"], np.uint16, 1)
        lengths = state["lengths"]
        n_envs = len(self._states)
        n_steps = int(lengths.sum())
        shapes = (lengths.shape, state["goals"].shape, state["states"].shape, state["actions"].shape)
        expected = ((n_envs,), self.goals.shape, (n_steps + n_envs, self.states.shape[1]), (n_steps,))
        if shapes != expected or lengths.min() < 0 or lengths.max() >= MAX_STEPS:
            raise ValueError(f"the running episodes must have the shapes {expected}, got {shapes}")
        if state["actions"].max(initial=0) >= self._task.n_actions:
            raise ValueError(f"actions must be below {self._task.n_actions}, got {state['actions'].max()}")
        if infos is None:
            infos = [[] for _ in range(n_envs)]
        ends = np.cumsum(lengths)
        for e in range(n_envs):
            first = int(ends[e] - lengths[e])
            last = int(ends[e])
            self._actions[e] = bytearray(state["actions"][first:last].tobytes())
            self._states[e] = bytearray(state["states"][first + e : last + e + 1].tobytes())
        self._infos = infos
        self.goals = state["goals"].copy()
        self.states = state["states"][ends + np.arange(n_envs)].copy()

    @property
    def infos(self) -> list[list[dict[str, Any]]]:
        """Infos of the steps of each episode, empty if they are not stored."""
        return self._infos


class EpisodeReplay(HindsightReplay):
    """HindsightReplay that drops its oldest episodes by the number of transitions.

    `records` is a window on a larger array, and begins with the oldest episode. It has two records for each
    transition, which episodes of one step take. At the end of the larger array, it is copied to the start.

    Args:
        buffer_size: Highest number of transitions, from 1 to 2**38.
        sizes: Numbers of bits of a state and of a goal.
        copies_infos: Store the info of each step.
        options: Further arguments of HindsightReplay.
    """

    FIXED: ClassVar = HindsightReplay.FIXED | {"buffer_size"}

    def __init__(
        self, buffer_size: int, sizes: tuple[int, int], copies_infos: bool = False, **options: Any
    ) -> None:
        self.buffer_size = check_integer("buffer_size", buffer_size, 1, MAX_BUFFER_SIZE)
        super().__init__(3 * self.buffer_size, *sizes, **options)
        self._all_records = self.records
        self.infos: _WindowInfos | None = None
        if copies_infos:
            self.infos = _WindowInfos(len(self.records))
        self._move_to(0)

    def _move_to(self, first: int) -> None:
        """Let the window begin at a row of the larger array."""
        self._first = first
        self.records = self._all_records[first : first + 2 * self.buffer_size]
        if self.infos is not None:
            self.infos.first = first

    def size(self) -> int:
        """Return the number of stored transitions."""
        return len(self)

    @synchronized
    def add_episode(self, trajectories: Trajectories, outcomes: Outcomes) -> None:
        """Append one episode, and drop the oldest ones above `buffer_size`.

        Of an episode with more steps than `buffer_size`, the last ones are stored.

        Args:
            trajectories: The episode, E = 1.
            outcomes: Its outcome.
        """
        states, actions, goals, lengths = trajectories
        excess = int(lengths[0]) - self.buffer_size
        if excess > 0:
            trajectories = Trajectories(states[excess:], actions[excess:], goals, lengths - np.int32(excess))
            if outcomes.infos is not None:
                outcomes = outcomes._replace(infos=[outcomes.infos[0][excess:]])
        self._drop(self.buffer_size - int(trajectories.lengths[0]))
        add_with_outcomes(self, trajectories, outcomes)

    def _drop(self, n_transitions: int) -> None:
        """Drop the oldest episodes until at most `n_transitions` are stored."""
        n_records = 0
        n_left = len(self)
        while n_left > n_transitions:
            n_steps = int(self.records[n_records, -1] >> _STEPS_SHIFT & _STEPS_BITS)
            n_records += n_steps + 1
            n_left -= n_steps
        if n_records == 0:
            return
        size = int(self.cursor[1]) - n_records
        first = self._first + n_records
        if first > self.buffer_size:
            self._all_records[:size] = self._all_records[first : first + size]
            if self.infos is not None:
                self.infos.copy_to_start(first, size)
            first = 0
        self._move_to(first)
        self.cursor[:] = (size, size, n_left)

    def _load_records(
        self,
        n_records: int,
        read: Callable[[slice, Words], None],
        cursor: NDArray[np.int64],
        n_actions: int | None = None,
    ) -> None:
        """Replace all stored episodes, also by those of another `buffer_size`."""
        size = int(cursor[1])
        n_transitions = int(cursor[2])
        if n_transitions > self.buffer_size or size > len(self.records):
            raise ValueError(f"buffer_size must be at least {n_transitions:,}, got {self.buffer_size:,}")
        own_cursor = np.array([size % len(self.records), size, n_transitions])
        super()._load_records(n_records, read, own_cursor, n_actions)
        self._all_records[:size] = self.records[:size]
        self._move_to(0)


class _WindowInfos(InfoRing):
    """Infos of the records in a window.

    Attributes:
        first: Row where the window begins.
    """

    first = 0

    def add(self, head: int, infos: list[dict[str, Any]]) -> None:
        super().add(self.first + head, infos)

    def take(self, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
        return super().take(self.first + rows)

    def to_array(self, size: int) -> NDArray[np.uint8]:
        return infos_as_array(self._infos[self.first : self.first + size])

    def copy_to_start(self, first: int, size: int) -> None:
        """Copy the infos of `size` rows from `first` on to the start."""
        self._infos[:size] = self._infos[first : first + size]
