"""Reference of csrc/episode_index.h.

An episode is the list of its slots. The oldest episode comes first.
"""

from numpy.random import BitGenerator
from reference.draw import below


class EpisodeIndex:
    """Ring of the transitions of several environments that step together."""

    def __init__(self, n_slots: int, n_envs: int) -> None:
        self.n_slots = n_slots
        self.n_envs = n_envs
        self.next_slot = 0
        self.running: list[list[int]] = [[] for _ in range(n_envs)]
        self.finished: list[list[list[int]]] = [[] for _ in range(n_envs)]

    def add(self, done: list[bool]) -> None:
        """Store a transition of each environment and end the episodes that are done."""
        slot = self.next_slot
        for env in range(self.n_envs):
            if self.finished[env] and slot in self.finished[env][0]:
                del self.finished[env][0]
            self.running[env].append(slot)
        self.next_slot = (slot + 1) % self.n_slots
        for env in range(self.n_envs):
            if done[env]:
                self.end_episode(env)

    def end_episode(self, env: int) -> None:
        """End the running episode. Laps that it overwrote itself are no part of it."""
        length = len(self.running[env]) % self.n_slots
        if length:
            self.finished[env].append(self.running[env][-length:])
        self.running[env] = []

    def transitions(self) -> list[tuple[int, int]]:
        """Slot and environment of each transition that can be drawn, in order."""
        return [
            (slot, env) for env in range(self.n_envs) for episode in self.finished[env] for slot in episode
        ]

    def sample(self, raw: BitGenerator, strategy: str, n: int, n_goals: int) -> tuple[list[int], list[int]]:
        """Draw rows of transitions and of goals, as slot * n_envs + env."""
        candidates = self.transitions()
        chosen = [candidates[below(raw, len(candidates))] for _ in range(n)]
        goals = [self._goal(raw, strategy, *transition) for transition in chosen[n - n_goals :]]
        rows = [slot * self.n_envs + env for slot, env in chosen]
        return rows, [slot * self.n_envs + env for slot, env in goals]

    def _goal(self, raw: BitGenerator, strategy: str, slot: int, env: int) -> tuple[int, int]:
        if strategy == "random":
            candidates = self.transitions()
            return candidates[below(raw, len(candidates))]
        (episode,) = (episode for episode in self.finished[env] if slot in episode)
        if strategy == "final":
            return episode[-1], env
        first = episode.index(slot) if strategy == "future" else 0
        return episode[first + below(raw, len(episode) - first)], env
