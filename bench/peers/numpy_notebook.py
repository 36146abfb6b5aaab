"""The notebook in NumPy, with its faults fixed.

Episodes are played one at a time. The ring is preallocated, and updates are dense float32.
"""

import numpy as np
from protocol import Clock, Result, main
from ring import Ring


class Network:
    """Parameters w1, b1, w2, b2 as views of one flat vector, and Adam on this vector."""

    def __init__(self, protocol, rng):
        self.protocol, self.step = protocol, 0
        parts = protocol.initial_parameters(rng)
        self.shapes, self.cuts = [p.shape for p in parts], np.cumsum([p.size for p in parts])[:-1]
        self.params = np.concatenate([p.ravel() for p in parts])
        self.target, self.d = self.params.copy(), np.empty_like(self.params)
        self.moment1, self.moment2 = np.zeros_like(self.params), np.zeros_like(self.params)
        self.online_layers, self.target_layers, self.d_layers = map(
            self.views, (self.params, self.target, self.d)
        )

    def views(self, flat):
        return [
            part.reshape(shape) for part, shape in zip(np.split(flat, self.cuts), self.shapes, strict=True)
        ]

    @staticmethod
    def forward(layers, x):
        w1, b1, w2, b2 = layers
        h = np.maximum(x @ w1 + b1, 0)
        return h, h @ w2 + b2

    def act(self, x):
        return int(self.forward(self.online_layers, x)[1].argmax())

    def update(self, x, x_next, actions, rewards, reached):
        rows = np.arange(len(x))
        best = self.forward(self.online_layers, x_next)[1].argmax(axis=1)
        values = self.forward(self.target_layers, x_next)[1][rows, best]
        y = rewards + np.float32(self.protocol.gamma) * values * ~reached
        h, q = self.forward(self.online_layers, x)
        d_q = np.zeros_like(q)
        d_q[rows, actions] = (q[rows, actions] - y) * np.float32(2 / len(x))
        d_h = (d_q @ self.online_layers[2].T) * (h > 0)
        d_w1, d_b1, d_w2, d_b2 = self.d_layers
        np.matmul(x.T, d_h, out=d_w1)
        np.sum(d_h, axis=0, out=d_b1)
        np.matmul(h.T, d_q, out=d_w2)
        np.sum(d_q, axis=0, out=d_b2)
        self.adam()

    def adam(self):
        self.step += 1
        b1, b2 = (np.float32(b) for b in (self.protocol.beta1, self.protocol.beta2))
        self.moment1 *= b1
        self.moment1 += (1 - b1) * self.d
        self.moment2 *= b2
        self.moment2 += (1 - b2) * self.d * self.d
        correction = np.sqrt(1 - self.protocol.beta2**self.step)
        rate = np.float32(self.protocol.learning_rate * correction / (1 - self.protocol.beta1**self.step))
        self.params -= (
            rate
            * self.moment1
            / (np.sqrt(self.moment2) + np.float32(self.protocol.adam_epsilon * correction))
        )


def play(network, protocol, rng, env_steps):
    """Play one episode.

    Returns states [L + 1, n], actions [L] and goal [n], with states and goal of +-1.
    """
    n = protocol.n_bits
    x = rng.choice(np.array([-1, 1], np.float32), 2 * n)
    while (x[:n] == x[n:]).all():
        x = rng.choice(np.array([-1, 1], np.float32), 2 * n)
    states, actions = [x[:n].astype(np.int8)], []
    while len(actions) < n and not (x[:n] == x[n:]).all():
        explores = rng.random() < protocol.epsilon_at(env_steps + len(actions))
        action = int(rng.integers(n)) if explores else network.act(x)
        x[action] = -x[action]
        states.append(x[:n].astype(np.int8))
        actions.append(action)
    return np.array(states), np.array(actions), x[n:].astype(np.int8)


def train(protocol, seed):
    rng, clock = np.random.default_rng(seed), Clock()
    network, ring = Network(protocol, rng), Ring(protocol.capacity, protocol.n_bits)
    success, env_steps = [], 0
    for _ in range(protocol.cycles):
        for _ in range(protocol.episodes_per_cycle):
            states, actions, goal = play(network, protocol, rng, env_steps)
            ring.add(states, actions, goal)
            env_steps += len(actions)
            success.append((states[-1] == goal).all())
        with clock:
            for _ in range(protocol.updates_per_cycle):
                network.update(*ring.sample(rng, protocol.batch_size))
            network.target[:] = network.params
    return Result(success, env_steps, len(success), network.step, clock.seconds)


if __name__ == "__main__":
    main(train)
