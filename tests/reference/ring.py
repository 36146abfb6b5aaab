"""Hindsight replay written for reading: a list of records that know their episode, cut to the newest `capacity`."""

from typing import NamedTuple

from numpy.random import BitGenerator
from reference.bits import prefix
from reference.draw import below


class Record(NamedTuple):
    episode: int
    state: int
    goal: int
    action: int
    t: int
    steps_to_end: int


class Transition(NamedTuple):
    state: int
    next_state: int
    goal: int
    action: int
    reward: float
    terminated: bool
    steps_to_goal: int


class Ring:
    def __init__(self, capacity: int, n_goal_bits: int) -> None:
        self.capacity = capacity
        self.n_goal_bits = n_goal_bits
        self.records: list[Record] = []
        self.n_episodes = 0

    def add(self, states: list[int], actions: list[int], goal: int) -> None:
        """One episode: L + 1 states, L actions."""
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
        record, following = self.records[index], self.records[index + 1]
        own = self._stored_of_the_episode(index)
        if k > 0 and below(raw, k + 1) < k:
            allowed = {
                "future": range(index + 1, own.stop),
                "final": own[-1:],
                "episode": own,
                "random": range(len(self.records)),
            }[strategy]
            source = allowed[0 if strategy == "final" else below(raw, len(allowed))]
            goal = prefix(self.records[source].state, self.n_goal_bits)
            steps_to_goal = 0 if strategy == "random" else max(0, source - index)
        else:
            goal = record.goal
            reached = prefix(self.records[own[-1]].state, self.n_goal_bits) == goal
            steps_to_goal = own[-1] - index if reached else 0
        terminated = prefix(following.state, self.n_goal_bits) == goal
        reward = 0.0 if terminated else -1.0
        return Transition(record.state, following.state, goal, record.action, reward, terminated, steps_to_goal)

    def _stored_of_the_episode(self, index: int) -> range:
        """The stored records of the episode that this one belongs to, which lie together."""
        first, last, episode = index, index, self.records[index].episode
        while first > 0 and self.records[first - 1].episode == episode:
            first -= 1
        while last + 1 < len(self.records) and self.records[last + 1].episode == episode:
            last += 1
        return range(first, last + 1)
