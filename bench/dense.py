"""The update of a Q-network with one hidden layer in dense NumPy, as fast as NumPy and BLAS can be made to go.

float32, every output preallocated, states stacked so that each layer is one GEMM, one-hot work replaced by indexing
where that is quicker: the yardstick of bench/test_network.py, the algorithm of herfast.network with nothing packed.
"""

import numpy as np

BETA1, BETA2, EPSILON = np.float32(0.9), np.float32(0.999), 1e-8


class DenseNetwork:
    """Online and target network [2n -> H -> n], Adam, Double DQN; the rules are those of a herfast Config."""

    def __init__(self, parameters, target, config, batch_size):
        """`parameters`, `target`: dicts as QNetwork.parameters gives them, without dueling or folded by the caller."""
        self.config = config
        w1, w2 = parameters["hidden1.weight"], parameters["output.weight"]
        self.inputs, self.width = w1.shape
        self.actions = len(w2)
        sizes = [w1.size, self.width, w2.size, self.actions]
        self.cuts = np.cumsum(sizes)[:-1]
        self.params, self.target = (np.concatenate([p[name].ravel() for name in p]) for p in (parameters, target))
        self.d, self.m, self.v = (np.zeros_like(self.params) for _ in range(3))
        self.scratch, self.root = np.empty_like(self.params), np.empty_like(self.params)
        self.step, rows, shape = 0, 2 * batch_size, (self.width, self.actions)
        self.x = np.empty((rows, self.inputs), np.float32)
        self.h, self.h_target = (np.empty((rows, self.width), np.float32) for _ in range(2))
        self.q, self.q_target = (np.empty((rows, self.actions), np.float32) for _ in range(2))
        self.d_q = np.zeros((batch_size, self.actions), np.float32)
        self.d_h = np.empty((batch_size, self.width), np.float32)
        self.mask = np.empty((batch_size, self.width), np.bool_)
        self.rows = np.arange(batch_size)
        assert shape[0] > 0

    def layers(self, flat):
        w1, b1, w2, b2 = np.split(flat, self.cuts)
        return w1.reshape(self.inputs, self.width), b1, w2.reshape(self.actions, self.width), b2

    def forward(self, flat, x, h, q):
        w1, b1, w2, b2 = self.layers(flat)
        np.matmul(x, w1, out=h)
        h += b1
        np.maximum(h, 0, out=h)
        np.matmul(h, w2.T, out=q)
        q += b2

    def update(self, batch):
        """One update; `batch` is a dict with dense +-1 inputs x, x_next [B, 2n]. Returns the loss."""
        config, rows, n = self.config, self.rows, len(self.rows)
        actions = batch["actions"]
        self.x[:n], self.x[n:] = batch["x"], batch["x_next"]
        self.forward(self.params, self.x, self.h, self.q)
        first = 0 if config.advantage_gap else n
        self.forward(self.target, self.x[first:], self.h_target[first:], self.q_target[first:])
        q_next = self.q_target[n:]
        chosen = (self.q[n:] if config.double_q else q_next).argmax(axis=1)
        y = batch["rewards"] + np.float32(config.gamma) * ~batch["terminated"] * q_next[rows, chosen]
        if config.hindsight_bound:
            bound = (np.float32(config.gamma) ** (batch["steps_to_goal"] - 1) - 1) / np.float32(1 - config.gamma)
            np.maximum(y, bound, out=y, where=batch["steps_to_goal"] > 0)
        if config.advantage_gap:
            q = self.q_target[:n]
            y -= np.float32(config.advantage_gap) * (q.max(axis=1) - q[rows, actions])
        error = self.q[rows, actions] - y
        self.backward(actions, error * np.float32(2 / n))
        self.adam(config.learning_rate)
        if self.step % config.target_update == 0:
            self.target[:] = self.params
        return float(np.mean(error * error))

    def backward(self, actions, d):
        n, rows = len(actions), self.rows
        d_w1, d_b1, d_w2, d_b2 = self.layers(self.d)
        h, w2 = self.h[:n], self.layers(self.params)[2]
        self.d_q[rows, actions] = d
        np.matmul(self.d_q.T, h, out=d_w2)
        np.sum(self.d_q, axis=0, out=d_b2)
        np.take(w2, actions, axis=0, out=self.d_h, mode="clip")
        self.d_h *= d[:, None]
        np.greater(h, 0, out=self.mask)
        self.d_h *= self.mask
        np.matmul(self.x[:n].T, self.d_h, out=d_w1)
        np.sum(self.d_h, axis=0, out=d_b1)
        self.d_q[rows, actions] = 0

    def adam(self, learning_rate):
        self.step += 1
        correction = np.sqrt(1 - float(BETA2) ** self.step)
        rate = np.float32(learning_rate * correction / (1 - float(BETA1) ** self.step))
        self.m *= BETA1
        np.multiply(self.d, 1 - BETA1, out=self.scratch)
        self.m += self.scratch
        self.v *= BETA2
        np.multiply(self.d, self.d, out=self.scratch)
        self.scratch *= 1 - BETA2
        self.v += self.scratch
        np.sqrt(self.v, out=self.root)
        self.root += np.float32(EPSILON * correction)
        np.divide(self.m, self.root, out=self.scratch)
        self.scratch *= rate
        self.params -= self.scratch

    def gemms(self):
        """The six matrix products of an update alone."""
        n = len(self.rows)
        w1, _, w2, _ = self.layers(self.params)
        d_w1, _, d_w2, _ = self.layers(self.d)
        np.matmul(self.x, w1, out=self.h)
        np.matmul(self.h, w2.T, out=self.q)
        np.matmul(self.x[n:], w1, out=self.h_target[n:])
        np.matmul(self.h_target[n:], w2.T, out=self.q_target[n:])
        np.matmul(self.d_q.T, self.h[:n], out=d_w2)
        np.matmul(self.x[:n].T, self.d_h, out=d_w1)
