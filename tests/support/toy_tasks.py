"""Minimal tasks on arrays of booleans."""

from dataclasses import dataclass

import numpy as np

from herfast import GoalTask


@dataclass(frozen=True)
class LampTask(GoalTask):
    """Two lamps and a selector, as in support.toy_env."""

    max_steps: int = 6
    n_state_bits = 3
    n_goal_bits = 2
    n_actions = 2
    encoding = "signed"

    def reset(self, rng, n_episodes):
        states = rng.integers(0, 8, n_episodes)
        goals = (states & 3) ^ rng.integers(1, 4, n_episodes)
        return bits_of(states, 3), bits_of(goals, 2)

    def step(self, states, actions):
        states = states.copy()
        rows = np.arange(len(states))
        selected = states[:, 2].astype(int)
        states[rows, selected] ^= actions == 0
        states[:, 2] ^= actions == 1
        return states


class Coins(GoalTask):
    """Five coins, of which each action turns one. It takes no arguments."""

    n_state_bits = n_goal_bits = n_actions = max_steps = 5

    def reset(self, rng, n_episodes):
        states = rng.integers(0, 32, n_episodes)
        return bits_of(states, 5), bits_of(states ^ rng.integers(1, 32, n_episodes), 5)

    def step(self, states, actions):
        return states ^ (actions[:, None] == np.arange(5))


@dataclass(frozen=True)
class Masks(GoalTask):
    """Each action flips its own random half of the bits. Any sizes are possible."""

    n_state_bits: int
    n_goal_bits: int
    n_actions: int = 3
    max_steps: int = 4

    @property
    def masks(self):
        sizes = (self.n_actions, self.n_state_bits)
        return np.random.default_rng(5).integers(0, 2, sizes).astype(bool)

    def reset(self, rng, n_episodes):
        states = rng.integers(0, 2, (n_episodes, self.n_state_bits)).astype(bool)
        actions = rng.integers(0, self.n_actions, n_episodes)
        return states, self.step(states, actions)[:, : self.n_goal_bits]

    def step(self, states, actions):
        return states ^ self.masks[actions]


def bits_of(numbers, n_bits):
    return (numbers[:, None] >> np.arange(n_bits) & 1).astype(bool)
