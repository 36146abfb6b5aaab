"""A plain NumPy ring for the peers without one: preallocated, each transition twice, for its own and the final goal."""

import numpy as np


class Ring:
    """Rows: [state, goal] in +-1, the action, and whether the next state, which is one flip off, is the goal."""

    def __init__(self, transitions, n_bits):
        self.n_bits, self.capacity, self.added = n_bits, 2 * transitions, 0
        self.x = np.empty((self.capacity, 2 * n_bits), np.int8)
        self.actions = np.empty(self.capacity, np.int64)
        self.reached = np.empty(self.capacity, np.bool_)

    def add(self, states, actions, goal):
        """One episode: states [L + 1, n], actions [L], its goal [n]."""
        for wanted in (goal, states[-1]):
            rows = (self.added + np.arange(len(actions))) % self.capacity
            self.x[rows, : self.n_bits] = states[:-1]
            self.x[rows, self.n_bits :] = wanted
            self.actions[rows] = actions
            self.reached[rows] = (states[1:] == wanted).all(axis=1)
            self.added += len(actions)

    def sample(self, rng, shape):
        """Minibatches of `shape`: x and x_next float32 [..., 2n], actions int64, rewards float32, reached bool."""
        rows = rng.integers(min(self.added, self.capacity), size=shape)
        x, actions, reached = self.x[rows].astype(np.float32), self.actions[rows], self.reached[rows]
        x_next = x.copy()
        flat = x_next.reshape(-1, 2 * self.n_bits)
        flat[np.arange(len(flat)), actions.ravel()] *= -1
        return x, x_next, actions, reached.astype(np.float32) - 1, reached
