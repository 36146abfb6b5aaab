"""Updates of the Q-network: TD error, gradient, Adam and target network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Minibatches, Words
from herfast.networks.arrays import LANES, Adam, Floats, Integers, Layout, Network, UpdateOptions, Workspace
from herfast.networks.kernels.backward import backward, dueling_backward, dueling_forward
from herfast.networks.kernels.packed_layer import transpose_bits
from herfast.networks.kernels.simd import (
    add,
    divide,
    fma,
    inner,
    load,
    mul,
    offset,
    splat,
    square_root,
    store,
    sub,
)
from herfast.networks.kernels.td_error import online_pass, target_pass, temporal_difference

BETA1, BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8


@inner
def adam_step(params: Floats, size: int, adam: Adam, learning_rate: float, step: int) -> None:
    """Make one step of Adam (Kingma and Ba 2015, algorithm 1).

    `step` is t below and counts from 1.
    p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
    The bias corrections are computed outside of the loop.
    """
    root = np.sqrt(1.0 - BETA2 ** np.float64(step))
    rate = splat(np.float32(learning_rate * root / (1.0 - BETA1 ** np.float64(step))))
    epsilon = splat(np.float32(ADAM_EPSILON * root))
    beta1, beta2 = splat(np.float32(BETA1)), splat(np.float32(BETA2))
    share1 = splat(np.float32(1.0) - np.float32(BETA1))
    share2 = splat(np.float32(1.0) - np.float32(BETA2))
    for i in range(0, size, LANES):
        d = load(adam.d_params, i)
        m = fma(beta1, load(adam.moment1, i), mul(share1, d))
        v = fma(beta2, load(adam.moment2, i), mul(mul(share2, d), d))
        store(adam.moment1, i, m)
        store(adam.moment2, i, v)
        change = divide(mul(rate, m), add(square_root(v), epsilon))
        store(params, i, sub(load(params, i), change))


@inner
def polyak_update(target: Network, online: Network, size: int, polyak: float) -> None:
    """Set target = polyak target + (1 - polyak) online."""
    keep, take = splat(np.float32(polyak)), splat(np.float32(1.0 - polyak))
    for i in range(0, size, LANES):
        new = mul(take, load(online.params, i))
        if polyak > 0.0:
            new = fma(keep, load(target.params, i), new)
        store(target.params, i, new)


@inner
def update(
    online: Network,
    target: Network,
    shape: Layout,
    adam: Adam,
    batch: Minibatches,
    options: UpdateOptions,
    learning_rate: float,
    count: int,
    work: Workspace,
) -> Any:
    """Make one update on `batch` and return the loss before it.

    `count` is the number of this update, from 1. It determines when the target network is updated.

    The order of the passes matters. The target pass uses the codes and, with double_q, the best actions of
    the online pass. The backward pass overwrites the activations at the next states with gradients.
    """
    rows = work.scratch.rows
    for b in range(rows):
        work.taken[b] = np.int32(batch.actions[b])
    words, columns = work.column_words, work.columns
    transpose_bits(batch.states, shape.n_state_bits, shape.state_words, rows, words, work.square, columns)
    columns = offset(columns, shape.n_state_bits * words)
    transpose_bits(batch.goals, shape.n_goal_bits, shape.goal_words, rows, words, work.square, columns)
    online_pass(online, shape, batch, options, work)
    target_pass(work.h_target, shape.dense, target, shape, batch, options, work)
    loss = temporal_difference(batch, options, work)
    backward(shape.dense, online, shape, work, adam)
    dueling_backward(shape.value, adam.d_head, shape, adam.d_params)
    adam_step(online.params, shape.n_parameters, adam, learning_rate, count)
    dueling_forward(shape.value, online.params, shape, online.head)
    if count % options.target_update == 0:
        polyak_update(target, online, shape.n_parameters, options.polyak)
        dueling_forward(shape.value, target.params, shape, target.head)
    return loss


@inner
def fit(
    online: Network,
    target: Network,
    shape: Layout,
    adam: Adam,
    options: UpdateOptions,
    work: Workspace,
    states: Words,
    next_states: Words,
    goals: Words,
    actions: NDArray[np.uint16],
    rewards: Floats,
    terminated: NDArray[np.uint8],
    steps_to_goal: NDArray[np.int32],
    n_updates: int,
    learning_rates: NDArray[np.float64],
    count: Integers,
    out_losses: NDArray[np.float64],
) -> None:
    """Make one update per minibatch and set the loss of each in `out_losses`.

    The arrays of the minibatches are those of `Minibatches`, [U, B, ...]. The target network is updated every
    `options.target_update` updates. `count` [1] is the number of updates so far. It is increased here, so
    that no interrupt can come between an update and its count.
    """
    rows = work.scratch.rows
    state_size, goal_size = rows * shape.state_words, rows * shape.goal_words
    for u in range(n_updates):
        batch = Minibatches(
            offset(states, u * state_size),
            offset(next_states, u * state_size),
            offset(goals, u * goal_size),
            offset(actions, u * rows),
            offset(rewards, u * rows),
            offset(terminated, u * rows),
            offset(steps_to_goal, u * rows),
        )
        out_losses[u] = update(
            online, target, shape, adam, batch, options, learning_rates[u], count[0] + 1, work
        )
        count[0] += 1
