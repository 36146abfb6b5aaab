"""Ring of transitions in NumPy, for the peers without a replay buffer.

It is preallocated. Each transition is stored twice, with its own goal and with the final one.
"""

import numpy as np


class Ring:
    """Rows of state and goal as +-1, action, and a flag that the goal is reached.

    The next state is not stored, since it differs only in the bit of the action.
    """

    def __init__(self, transitions, n_bits):
        self.n_bits, self.capacity, self.added = n_bits, 2 * transitions, 0
        self.x = np.empty((self.capacity, 2 * n_bits), np.int8)
        self.actions = np.empty(self.capacity, np.int64)
        self.reached = np.empty(self.capacity, np.bool_)

    def add(self, states, actions, goal):
        """Add one episode: states [L + 1, n], actions [L], its goal [n]."""
        for row_goal in (goal, states[-1]):
            rows = (self.added + np.arange(len(actions))) % self.capacity
            self.x[rows, : self.n_bits] = states[:-1]
            self.x[rows, self.n_bits :] = row_goal
            self.actions[rows] = actions
            self.reached[rows] = (states[1:] == row_goal).all(axis=1)
            self.added += len(actions)

    def sample(self, rng, shape):
        """Draw minibatches of `shape`.

        Returns x and x_next float32[..., 2n], actions int64, rewards float32 and reached bool.
        """
        rows = rng.integers(min(self.added, self.capacity), size=shape)
        x, actions, reached = self.x[rows].astype(np.float32), self.actions[rows], self.reached[rows]
        x_next = x.copy()
        flat = x_next.reshape(-1, 2 * self.n_bits)
        flat[np.arange(len(flat)), actions.ravel()] *= -1
        return x, x_next, actions, reached.astype(np.float32) - 1, reached
