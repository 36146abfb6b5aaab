"""JAX, a whole epoch in one compiled call: a scan over cycles that play 16 games in lockstep, store, relabel, learn.

Nothing returns to Python within an epoch, nor is anything waited for before the last one; the buffers are donated.
"""

import functools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, random
from protocol import Found, main


class Learner(NamedTuple):
    params: list
    moment1: list
    moment2: list
    updates: jax.Array


class Carry(NamedTuple):
    learner: Learner
    ring: jax.Array  # int8 [capacity, 3 n + 1]: state, goal, the episode's final state, all +-1, and the action
    added: jax.Array  # transitions so far
    key: jax.Array


def q_values(params, x):
    w1, b1, w2, b2 = params
    return jax.nn.relu(x @ w1 + b1) @ w2 + b2


def flipped(states, actions):
    """The states [..., n] in +-1 with the bit of their action turned."""
    return jnp.where(jnp.arange(states.shape[-1]) == actions[..., None], -states, states)


def play(p, params, key, env_steps):
    """A cycle's games: ring rows [T E, 3n + 1], which of them were played, and the share that reached the goal."""
    n, games = p.n_bits, p.episodes_per_cycle
    keys = random.split(key, 3)
    states, goals = 2 * random.bernoulli(keys[0], shape=(2, games, n)).astype(jnp.int8) - 1
    same = (states == goals).all(axis=1)
    states = states.at[:, 0].multiply(jnp.where(same, -1, 1).astype(jnp.int8))  # one game in 2^n
    uniforms, explored = random.uniform(keys[1], (n, games)), random.randint(keys[2], (n, games), 0, n)

    def step(carry):
        t, steps, states, active, record = carry
        greedy = q_values(params, jnp.concatenate([states, goals], axis=1).astype(jnp.float32)).argmax(axis=1)
        epsilon = jnp.maximum(p.epsilon_end, 1 / (steps / p.epsilon_decay_steps + 1))
        actions = jnp.where(uniforms[t] < epsilon, explored[t], greedy)
        new = tuple(old.at[t].set(now) for old, now in zip(record, (states, actions, active), strict=True))
        states = jnp.where(active[:, None], flipped(states, actions), states)
        return t + 1, steps + active.sum(), states, active & (states != goals).any(axis=1), new

    record = (jnp.zeros((n, games, n), jnp.int8), jnp.zeros((n, games), jnp.int32), jnp.zeros((n, games), bool))
    start = (0, env_steps, states, jnp.ones(games, bool), record)
    _, _, final, _, record = lax.while_loop(lambda carry: (carry[0] < n) & carry[3].any(), step, start)
    fixed = jnp.broadcast_to(jnp.concatenate([goals, final], axis=1), (n, games, 2 * n))
    rows = jnp.concatenate([record[0], fixed, record[1][..., None].astype(jnp.int8)], axis=2)
    return rows.reshape(n * games, -1), record[2].ravel(), (final == goals).all(axis=1).mean()


def store(ring, added, rows, played):
    """The rows that were played into the ring, in order; the others fall outside and are dropped."""
    count = jnp.cumsum(played)
    places = jnp.where(played, (added + count - 1) % len(ring), len(ring))
    return ring.at[places].set(rows, mode="drop"), added + count[-1]


def sample(p, ring, added, key):
    """A cycle's minibatches [U, B, ...], each transition relabelled to its final state with probability 1/2."""
    n, shape, keys = p.n_bits, (p.updates_per_cycle, p.batch_size), random.split(key)
    rows = ring[random.randint(keys[0], shape, 0, jnp.minimum(added, len(ring)))]
    states, actions = rows[..., :n], rows[..., 3 * n].astype(jnp.int32)
    goals = jnp.where(random.bernoulli(keys[1], shape=shape)[..., None], rows[..., 2 * n : 3 * n], rows[..., n : 2 * n])
    next_states = flipped(states, actions)
    reached = (next_states == goals).all(axis=-1)
    x, x_next = (jnp.concatenate([s, goals], axis=-1).astype(jnp.float32) for s in (states, next_states))
    return x, x_next, actions, reached


def update(p, target, learner, batch):
    """One step of Adam on a minibatch."""
    x, x_next, actions, reached = batch
    best = q_values(learner.params, x_next).argmax(axis=1)
    value = jnp.take_along_axis(q_values(target, x_next), best[:, None], axis=1)[:, 0]
    y = jnp.where(reached, 0.0, p.gamma * value - 1)

    def loss(params):
        taken = actions[:, None] == jnp.arange(p.n_bits)  # as quick as a gather, whose gradient is a scatter
        return jnp.mean(((q_values(params, x) * taken).sum(axis=1) - y) ** 2)

    gradients, updates = jax.grad(loss)(learner.params), learner.updates + 1
    moment1 = [p.beta1 * m + (1 - p.beta1) * g for m, g in zip(learner.moment1, gradients, strict=True)]
    moment2 = [p.beta2 * v + (1 - p.beta2) * g * g for v, g in zip(learner.moment2, gradients, strict=True)]
    correction = jnp.sqrt(1 - p.beta2**updates)
    rate = p.learning_rate * correction / (1 - p.beta1**updates)
    moments = zip(learner.params, moment1, moment2, strict=True)
    params = [w - rate * m / (jnp.sqrt(v) + p.adam_epsilon * correction) for w, m, v in moments]
    return Learner(params, moment1, moment2, updates), None


def learn_cycle(p, learner, ring, added, key):
    """A cycle's updates, with the network as it is before them as the target network."""
    return lax.scan(functools.partial(update, p, learner.params), learner, sample(p, ring, added, key))[0]


def epoch(p, carry):
    def cycle(carry, _):
        learner, ring, added, key = carry
        key, play_key, sample_key = random.split(key, 3)
        rows, played, success = play(p, learner.params, play_key, added)
        ring, added = store(ring, added, rows, played)
        learner = learn_cycle(p, learner, ring, added, sample_key)
        return Carry(learner, ring, added, key), success

    return lax.scan(cycle, carry, length=p.cycles_per_epoch)


@functools.cache
def compiled(p):
    """The epoch, and for the clock alone a cycle's updates."""
    return jax.jit(functools.partial(epoch, p), donate_argnums=0), jax.jit(functools.partial(learn_cycle, p))


def learn(protocol, seed):
    run_epoch, run_updates = compiled(protocol)
    params = [jnp.asarray(part) for part in protocol.initial_parameters(np.random.default_rng(seed))]
    zeros = [[jnp.zeros_like(part) for part in params] for _ in range(2)]
    ring = jnp.zeros((protocol.capacity, 3 * protocol.n_bits + 1), jnp.int8)
    carry = Carry(Learner(params, *zeros, jnp.int32(0)), ring, jnp.int32(0), random.key(seed))
    success = []
    for _ in range(protocol.epochs):
        carry, rates = run_epoch(carry)
        success.append(rates)
    jax.block_until_ready(carry)
    episodes = protocol.cycles * protocol.episodes_per_cycle
    clock = functools.partial(seconds_of_updates, protocol, run_updates, carry)
    return Found(np.concatenate(success), int(carry.added), episodes, int(carry.learner.updates), clock)


def seconds_of_updates(protocol, run_updates, carry):
    """Seconds that the run's updates would take alone: compiled by themselves, the median of an epoch's cycles."""
    seconds = []
    for _ in range(protocol.cycles_per_epoch + 1):
        start = time.perf_counter()
        jax.block_until_ready(run_updates(*carry))
        seconds.append(time.perf_counter() - start)
    return np.median(seconds[1:]) * protocol.cycles


if __name__ == "__main__":
    main(learn)
