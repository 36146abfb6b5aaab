"""Update of a Q-network in dense NumPy, the baseline of test_network.py.

It is optimised for speed. The algorithm is that of herfast.networks without packed bits. All arrays are
float32 and preallocated. States and next states are stacked, so that each layer is one GEMM. One-hot products
are replaced by indexing where that is faster.
"""

import numpy as np

BETA1, BETA2, EPSILON = np.float32(0.9), np.float32(0.999), 1e-8


class DenseNetwork:
    """Online and target network [2n, hidden, n] with Adam, as set by a Config."""

    def __init__(self, parameters, target, config, batch_size):
        """Copy `parameters` and `target`, dicts as returned by QNetwork.parameters."""
        self.config = config
        self.step = 0
        self.rows = np.arange(batch_size)
        self.shapes = [array.shape for array in parameters.values()]
        self.cuts = np.cumsum([array.size for array in parameters.values()])[:-1]
        self.params, self.target = (
            np.concatenate([a.ravel() for a in p.values()]) for p in (parameters, target)
        )
        self.d, self.m, self.v = (np.zeros_like(self.params) for _ in range(3))
        self.scratch, self.root = np.empty_like(self.params), np.empty_like(self.params)
        inputs, actions = self.shapes[0][0], self.shapes[2 * len(config.hidden)][0]
        both = 2 * batch_size  # states and next states
        self.x = np.empty((both, inputs), np.float32)
        self.h, self.h_target = (
            [np.empty((both, width), np.float32) for width in config.hidden] for _ in range(2)
        )
        self.q, self.q_target = (np.empty((both, actions), np.float32) for _ in range(2))
        self.head, self.d_head = (np.empty((actions, config.hidden[-1]), np.float32) for _ in range(2))
        self.d_q = np.zeros((batch_size, actions), np.float32)
        self.d_h = [np.empty((batch_size, width), np.float32) for width in config.hidden]
        self.mask = [np.empty((batch_size, width), np.bool_) for width in config.hidden]

    def layers(self, flat):
        """Return weights and biases of all layers as views of `flat`, V last."""
        return [
            part.reshape(shape) for part, shape in zip(np.split(flat, self.cuts), self.shapes, strict=True)
        ]

    def output(self, layers):
        """Return weights [A, H] and biases [A] of Q; Q = V + A - mean A with dueling."""
        if not self.config.dueling:
            return layers[-2:]
        w, b, value, value_bias = layers[-4:]
        np.subtract(w, w.mean(axis=0), out=self.head)
        self.head += value
        return self.head, b - b.mean() + value_bias

    def forward(self, flat, x, hs, q):
        layers = self.layers(flat)
        for h, w, b in zip(hs, layers[0::2], layers[1::2], strict=False):
            np.matmul(x, w, out=h)
            h += b
            np.maximum(h, 0, out=h)
            x = h
        w, b = self.output(layers)
        np.matmul(x, w.T, out=q)
        q += b

    def update(self, batch):
        """Make one update and return the loss.

        `batch` is a dict with dense inputs x and x_next, float32[B, 2n] of +-1.
        """
        config, rows, n, actions = self.config, self.rows, len(self.rows), batch["actions"]
        self.x[:n], self.x[n:] = batch["x"], batch["x_next"]
        first = 0 if config.advantage_gap else n
        self.forward(self.target, self.x[first:], [h[first:] for h in self.h_target], self.q_target[first:])
        self.forward(self.params, self.x, self.h, self.q)
        q_next = self.q_target[n:]
        chosen = (self.q[n:] if config.double_q else q_next).argmax(axis=1)
        y = batch["rewards"] + np.float32(config.gamma) * ~batch["terminated"] * q_next[rows, chosen]
        if config.hindsight_bound:
            bound = (config.gamma ** (batch["steps_to_goal"] - 1.0) - 1) / (1 - config.gamma)
            np.maximum(y, bound.astype(np.float32), out=y, where=batch["steps_to_goal"] > 0)
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
        n, rows, layers, d_layers = len(actions), self.rows, self.layers(self.params), self.layers(self.d)
        depth, dueling = len(self.config.hidden), self.config.dueling
        self.d_q[rows, actions] = d
        d_w, d_b = (self.d_head, np.sum(self.d_q, axis=0)) if dueling else d_layers[-2:]
        np.matmul(self.d_q.T, self.h[-1][:n], out=d_w)
        if dueling:
            np.sum(d_w, axis=0, out=d_layers[-2])
            np.subtract(d_w, d_layers[-2] / len(d_w), out=d_layers[-4])
            d_layers[-1][...] = d_b.sum()
            np.subtract(d_b, d_b.mean(), out=d_layers[-3])
        else:
            np.sum(self.d_q, axis=0, out=d_b)
        self.d_q[rows, actions] = 0
        weights = self.head if dueling else layers[-2]
        np.take(weights, actions, axis=0, out=self.d_h[-1], mode="clip")
        self.d_h[-1] *= d[:, None]
        for layer in range(depth - 1, -1, -1):
            np.greater(self.h[layer][:n], 0, out=self.mask[layer])
            self.d_h[layer] *= self.mask[layer]
            below = self.h[layer - 1][:n] if layer else self.x[:n]
            np.matmul(below.T, self.d_h[layer], out=d_layers[2 * layer])
            np.sum(self.d_h[layer], axis=0, out=d_layers[2 * layer + 1])
            if layer:
                np.matmul(self.d_h[layer], layers[2 * layer].T, out=self.d_h[layer - 1])

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
        """Compute only the matrix products of an update, for comparison.

        With one hidden layer these are six; each further layer adds two.
        """
        n, layers, d_layers = len(self.rows), self.layers(self.params), self.layers(self.d)
        weights = layers[0 : 2 * len(self.config.hidden) : 2]
        for x, hs, q in (
            (self.x, self.h, self.q),
            (self.x[n:], [h[n:] for h in self.h_target], self.q_target[n:]),
        ):
            for h, w in zip(hs, weights, strict=True):
                x = np.matmul(x, w, out=h)
            np.matmul(x, layers[2 * len(hs)].T, out=q)
        np.matmul(self.d_q.T, self.h[-1][:n], out=self.d_head)
        below = self.x
        for layer, d_h in enumerate(self.d_h):
            np.matmul(below[:n].T, d_h, out=d_layers[2 * layer])
            below = self.h[layer]
