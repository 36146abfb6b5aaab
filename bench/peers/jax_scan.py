"""JAX, with a whole epoch in one compiled call.

The epoch is a scan over cycles. A cycle plays 16 episodes in lockstep, stores and relabels them, and makes
its updates. Nothing returns to Python within an epoch, and Python waits only for the last epoch. The buffers
are donated.
"""

import functools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, random
from protocol import Result, main


class TrainState(NamedTuple):
    params: list
    moment1: list
    moment2: list
    updates: jax.Array


class Carry(NamedTuple):
    train_state: TrainState
    # int8[capacity, 3 n + 1]: state, goal and final state of the episode, all +-1, then the action
    ring: jax.Array
    added: jax.Array  # number of transitions so far
    key: jax.Array


def q_values(params, x):
    w1, b1, w2, b2 = params
    return jax.nn.relu(x @ w1 + b1) @ w2 + b2


def flipped(states, actions):
    """Return the states [..., n] of +-1 with the bit of their action flipped."""
    return jnp.where(jnp.arange(states.shape[-1]) == actions[..., None], -states, states)


def play(p, params, key, env_steps):
    """Play the episodes of a cycle.

    Returns rows of the ring [T E, 3n + 1], a mask of the rows that were played, and the success rate.
    """
    n = p.n_bits
    n_envs = p.episodes_per_cycle
    keys = random.split(key, 3)
    states, goals = 2 * random.bernoulli(keys[0], shape=(2, n_envs, n)).astype(jnp.int8) - 1
    same = (states == goals).all(axis=1)
    states = states.at[:, 0].multiply(jnp.where(same, -1, 1).astype(jnp.int8))  # one episode in 2^n
    uniforms, explored = random.uniform(keys[1], (n, n_envs)), random.randint(keys[2], (n, n_envs), 0, n)

    def step(carry):
        t, steps, states, active, record = carry
        greedy = q_values(params, jnp.concatenate([states, goals], axis=1).astype(jnp.float32)).argmax(axis=1)
        epsilon = jnp.maximum(p.epsilon_end, 1 / (steps / p.epsilon_decay_steps + 1))
        actions = jnp.where(uniforms[t] < epsilon, explored[t], greedy)
        new = tuple(old.at[t].set(now) for old, now in zip(record, (states, actions, active), strict=True))
        states = jnp.where(active[:, None], flipped(states, actions), states)
        return t + 1, steps + active.sum(), states, active & (states != goals).any(axis=1), new

    record = (
        jnp.zeros((n, n_envs, n), jnp.int8),
        jnp.zeros((n, n_envs), jnp.int32),
        jnp.zeros((n, n_envs), bool),
    )
    start = (0, env_steps, states, jnp.ones(n_envs, bool), record)
    _, _, final, _, record = lax.while_loop(lambda carry: (carry[0] < n) & carry[3].any(), step, start)
    fixed = jnp.broadcast_to(jnp.concatenate([goals, final], axis=1), (n, n_envs, 2 * n))
    rows = jnp.concatenate([record[0], fixed, record[1][..., None].astype(jnp.int8)], axis=2)
    return rows.reshape(n * n_envs, -1), record[2].ravel(), (final == goals).all(axis=1).mean()


def store(ring, added, rows, played):
    """Store the rows that were played, in order.

    The other rows get an index past the end and are dropped.
    """
    count = jnp.cumsum(played)
    indices = jnp.where(played, (added + count - 1) % len(ring), len(ring))
    return ring.at[indices].set(rows, mode="drop"), added + count[-1]


def sample(p, ring, added, key):
    """Return the minibatches of a cycle [U, B, ...].

    Each transition is relabelled with the final state of its episode with probability 1/2.
    """
    n, shape, keys = p.n_bits, (p.updates_per_cycle, p.batch_size), random.split(key)
    rows = ring[random.randint(keys[0], shape, 0, jnp.minimum(added, len(ring)))]
    states, actions = rows[..., :n], rows[..., 3 * n].astype(jnp.int32)
    goals = jnp.where(
        random.bernoulli(keys[1], shape=shape)[..., None], rows[..., 2 * n : 3 * n], rows[..., n : 2 * n]
    )
    next_states = flipped(states, actions)
    reached = (next_states == goals).all(axis=-1)
    x, x_next = (jnp.concatenate([s, goals], axis=-1).astype(jnp.float32) for s in (states, next_states))
    return x, x_next, actions, reached


def update(p, target, train_state, batch):
    """Make one step of Adam on a minibatch."""
    x, x_next, actions, reached = batch
    best = q_values(train_state.params, x_next).argmax(axis=1)
    value = jnp.take_along_axis(q_values(target, x_next), best[:, None], axis=1)[:, 0]
    y = jnp.where(reached, 0.0, p.gamma * value - 1)

    def loss(params):
        taken = actions[:, None] == jnp.arange(p.n_bits)  # as fast as a gather, whose gradient is a scatter
        return jnp.mean(((q_values(params, x) * taken).sum(axis=1) - y) ** 2)

    gradients, updates = jax.grad(loss)(train_state.params), train_state.updates + 1
    moment1 = [p.beta1 * m + (1 - p.beta1) * g for m, g in zip(train_state.moment1, gradients, strict=True)]
    moment2 = [
        p.beta2 * v + (1 - p.beta2) * g * g for v, g in zip(train_state.moment2, gradients, strict=True)
    ]
    correction = jnp.sqrt(1 - p.beta2**updates)
    rate = p.learning_rate * correction / (1 - p.beta1**updates)
    moments = zip(train_state.params, moment1, moment2, strict=True)
    params = [w - rate * m / (jnp.sqrt(v) + p.adam_epsilon * correction) for w, m, v in moments]
    return TrainState(params, moment1, moment2, updates), None


def train_cycle(p, train_state, ring, added, key):
    """Make the updates of a cycle.

    The target network is the network before these updates.
    """
    return lax.scan(
        functools.partial(update, p, train_state.params), train_state, sample(p, ring, added, key)
    )[0]


def epoch(p, carry):
    def cycle(carry, _):
        train_state, ring, added, key = carry
        key, play_key, sample_key = random.split(key, 3)
        rows, played, success = play(p, train_state.params, play_key, added)
        ring, added = store(ring, added, rows, played)
        train_state = train_cycle(p, train_state, ring, added, sample_key)
        return Carry(train_state, ring, added, key), success

    return lax.scan(cycle, carry, length=p.cycles_per_epoch)


@functools.cache
def compiled(p):
    """Return the compiled epoch, and the updates of a cycle, which are only timed."""
    return jax.jit(functools.partial(epoch, p), donate_argnums=0), jax.jit(functools.partial(train_cycle, p))


def train(protocol, seed):
    run_epoch, run_updates = compiled(protocol)
    params = [jnp.asarray(part) for part in protocol.initial_parameters(np.random.default_rng(seed))]
    zeros = [[jnp.zeros_like(part) for part in params] for _ in range(2)]
    ring = jnp.zeros((protocol.capacity, 3 * protocol.n_bits + 1), jnp.int8)
    carry = Carry(TrainState(params, *zeros, jnp.int32(0)), ring, jnp.int32(0), random.key(seed))
    success = []
    for _ in range(protocol.epochs):
        carry, rates = run_epoch(carry)
        success.append(rates)
    jax.block_until_ready(carry)
    episodes = protocol.cycles * protocol.episodes_per_cycle
    clock = functools.partial(seconds_of_updates, protocol, run_updates, carry)
    return Result(np.concatenate(success), int(carry.added), episodes, int(carry.train_state.updates), clock)


def seconds_of_updates(protocol, run_updates, carry):
    """Estimate the seconds of all updates of a run.

    The updates of a cycle are compiled separately. The median time of an epoch's cycles is used.
    """
    seconds = []
    for _ in range(protocol.cycles_per_epoch + 1):
        start = time.perf_counter()
        jax.block_until_ready(run_updates(*carry))
        seconds.append(time.perf_counter() - start)
    return np.median(seconds[1:]) * protocol.cycles


if __name__ == "__main__":
    main(train)
