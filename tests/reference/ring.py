"""Reference hindsight replay buffer, written for readability.

It is a list of the newest `capacity` records. Each record has the number of its episode.
"""

from typing import NamedTuple

from numpy.random import BitGenerator
from reference.bits import prefix
from reference.draw import below


class Record(NamedTuple):
    """A stored state; the last one of an episode has steps_to_end = 0."""

    episode: int
    state: int
    goal: int
    action: int
    t: int
    steps_to_end: int


class Transition(NamedTuple):
    """One sample of a minibatch, with its goal already relabelled."""

    state: int
    next_state: int
    goal: int
    action: int
    reward: float
    terminated: bool
    steps_to_goal: int


class Ring:
    """The newest `capacity` records, oldest first."""

    def __init__(self, capacity: int, n_goal_bits: int) -> None:
        self.capacity = capacity
        self.n_goal_bits = n_goal_bits
        self.records: list[Record] = []
        self.n_episodes = 0

    def add(self, states: list[int], actions: list[int], goal: int) -> None:
        """Add one episode of L + 1 states and L actions."""
        length = len(actions)
        for t, state in enumerate(states):
            action = actions[t] if t < length else 0
            self.records.append(Record(self.n_episodes, state, goal, action, t, length - t))
        del self.records[: -self.capacity]
        self.n_episodes += 1

    def n_transitions(self) -> int:
        return sum(record.steps_to_end > 0 for record in self.records)

    def sample(self, raw: BitGenerator, strategy: str, k: int, batch_size: int) -> list[Transition]:
        candidates = [below(raw, len(self.records)) for _ in range(batch_size)]
        return [self._transition(raw, strategy, k, candidate) for candidate in candidates]

    def _transition(self, raw: BitGenerator, strategy: str, k: int, index: int) -> Transition:
        while self.records[index].steps_to_end == 0:
            index = below(raw, len(self.records))
        record = self.records[index]
        next_state = self.records[index + 1].state
        episode = self._stored_episode(index)
        if k > 0 and below(raw, k + 1) < k:
            allowed = {
                "future": range(index + 1, episode.stop),
                "final": episode[-1:],
                "episode": episode,
                "random": range(len(self.records)),
            }[strategy]
            source = allowed[0 if strategy == "final" else below(raw, len(allowed))]
            goal = prefix(self.records[source].state, self.n_goal_bits)
            steps_to_goal = 0 if strategy == "random" else max(0, source - index)
        else:
            goal = record.goal
            reached = prefix(self.records[episode[-1]].state, self.n_goal_bits) == goal
            steps_to_goal = episode[-1] - index if reached else 0
        terminated = prefix(next_state, self.n_goal_bits) == goal
        reward = 0.0 if terminated else -1.0
        return Transition(record.state, next_state, goal, record.action, reward, terminated, steps_to_goal)

    def _stored_episode(self, index: int) -> range:
        """Return the range of the stored records of this record's episode."""
        first, last, episode = index, index, self.records[index].episode
        while first > 0 and self.records[first - 1].episode == episode:
            first -= 1
        while last + 1 < len(self.records) and self.records[last + 1].episode == episode:
            last += 1
        return range(first, last + 1)
