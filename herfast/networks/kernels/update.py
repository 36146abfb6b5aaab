"""Updates of the Q-network: TD error, gradient, Adam and target network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Minibatches, Words
from herfast.networks.arrays import (
    LANES,
    Adam,
    Floats,
    Integers,
    Layout,
    Network,
    Team,
    UpdateOptions,
    Workspace,
)
from herfast.networks.kernels.backward import backward, dueling_backward, dueling_forward
from herfast.networks.kernels.packed_layer import encode, transpose_bits
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
from herfast.networks.kernels.team import share, wait

BETA1, BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8


@inner
def adam_step(params: Floats, size: int, adam: Adam, learning_rate: float, step: int, team: Team) -> None:
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
    start, end = share(size, team)
    for i in range(start, end, LANES):
        d = load(adam.d_params, i)
        m = fma(beta1, load(adam.moment1, i), mul(share1, d))
        v = fma(beta2, load(adam.moment2, i), mul(mul(share2, d), d))
        store(adam.moment1, i, m)
        store(adam.moment2, i, v)
        change = divide(mul(rate, m), add(square_root(v), epsilon))
        store(params, i, sub(load(params, i), change))


@inner
def polyak_update(target: Network, online: Network, size: int, polyak: float, team: Team) -> None:
    """Set target = polyak target + (1 - polyak) online."""
    keep, take = splat(np.float32(polyak)), splat(np.float32(1.0 - polyak))
    start, end = share(size, team)
    for i in range(start, end, LANES):
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
    team: Team,
) -> None:
    """Make one update on `batch`.

    The squared errors before it are left in work.squares.
    `count` is the number of this update, from 1. It determines when the target network is updated.

    The order of the passes matters. The target pass uses the codes and, with double_q, the best actions of
    the online pass. The backward pass overwrites the activations at the next states with gradients.
    """
    size = shape.n_parameters
    prepare(shape, batch, work, team)
    wait(team)
    online_pass(online, shape, batch, options, work, team)
    target_pass(work.h_target, shape.dense, target, shape, batch, options, work, team)
    temporal_difference(batch, options, work, team)
    wait(team)
    backward(shape.dense, online, shape, work, adam, team)
    dueling_backward(shape.value, adam.d_head, shape, adam.d_params, team)
    wait(team)
    adam_step(online.params, size, adam, learning_rate, count, team)
    if count % options.target_update == 0:
        polyak_update(target, online, size, options.polyak, team)
    if shape.value is not None:
        wait(team)
        dueling_forward(shape.value, online.params, shape, online.head, team)
        if count % options.target_update == 0:
            dueling_forward(shape.value, target.params, shape, target.head, team)


@inner
def prepare(shape: Layout, batch: Minibatches, work: Workspace, team: Team) -> None:
    """Set work.taken, work.columns, and the codes of s."""
    words, columns = work.column_words, work.columns
    start, end = share(work.scratch.rows, team)
    for b in range(start, end):
        work.taken[b] = np.int32(batch.actions[b])
    n_bits, row_words, rows = shape.n_state_bits, shape.state_words, work.scratch.rows
    transpose_bits(batch.states, n_bits, row_words, rows, words, team, work.square, columns)
    columns = offset(columns, n_bits * words)
    n_bits, row_words = shape.n_goal_bits, shape.goal_words
    transpose_bits(batch.goals, n_bits, row_words, rows, words, team, work.square, columns)
    encode(batch.states, batch.goals, start, end, shape, work.scratch)


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
    thread: int,
    n_threads: int,
) -> None:
    """Make one update per minibatch and set the loss of each in `out_losses`.

    `n_threads` threads make each update together. They call this function at the same time, each with its
    number `thread` and with `work` of its own.
    The arrays of the minibatches are those of `Minibatches`, [U, B, ...]. The target network is updated every
    `options.target_update` updates. `count` [1] is the number of updates so far. It is increased here, so
    that no interrupt can come between an update and its count.
    """
    team = Team(thread, n_threads, work.scratch.barrier)
    rows, first_count = work.scratch.rows, count[0]
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
        number = first_count + u + 1
        update(online, target, shape, adam, batch, options, learning_rates[u], number, work, team)
        wait(team)  # the next update begins where this one has ended
        if thread == 0:
            loss = 0.0
            for b in range(rows):
                loss += work.squares[b]
            out_losses[u] = loss / rows
            count[0] = number
