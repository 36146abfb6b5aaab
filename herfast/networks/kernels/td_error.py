"""Temporal-difference error: values of a minibatch, Double DQN targets and loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from herfast.common.batches import Minibatches
from herfast.networks.kernels.arrays import Network, UpdateOptions, Workspace
from herfast.networks.kernels.forward import (
    add_products,
    all_products,
    all_values,
    hidden_layers,
    max_and_argmax,
    values_of,
)
from herfast.networks.kernels.packed_layer import FIRST, apply_flips, encode, first_layer, preactivation, relu
from herfast.networks.kernels.simd import LANES, Integers, inner, load, store


@inner
def online_pass(
    online: Network, shape: Integers, batch: Minibatches, options: UpdateOptions, work: Workspace
) -> None:
    """Evaluate the online network at s and, with double_q, at s'.

    Sets scratch.h to the activations at s, and q_taken = Q(s, a_t).
    With double_q, also sets scratch.best = argmax_a Q(s', a).
    """
    scratch, rows, params = work.scratch, batch.states.shape[0], online.params
    stride = scratch.h.shape[2]
    _, width, weights, biases = shape[FIRST]
    encode(batch.states, batch.goals, options.sizes, scratch.codes)
    for column in range(0, width, LANES):
        n_tables = first_layer(
            params, shape, column, scratch.codes, rows, options.sizes, scratch.tables, scratch.block
        )
        bias = load(params, biases + column)
        for b in range(rows):
            z = preactivation(bias, scratch.codes, b, scratch.tables, n_tables, scratch.block)
            store(scratch.h[0], b * stride + column, relu(z))
            if options.double_q:
                z = apply_flips(z, params, weights + column, width, batch.states, batch.next_states, b)
                store(work.h_next[0], b * stride + column, relu(z))
    hidden_layers(params, shape, scratch.h, rows)
    all_products(scratch.h, online, shape, batch.actions, work.products)
    values_of(batch.actions, work.products, online, shape, work.q_taken)
    if options.double_q:
        hidden_layers(params, shape, work.h_next, rows)
        all_values(work.h_next, rows, online, shape, scratch.q)
        max_and_argmax(scratch.q, scratch.max_q, scratch.best)


@inner
def target_pass(
    target: Network, shape: Integers, batch: Minibatches, options: UpdateOptions, work: Workspace
) -> None:
    """Evaluate the target network at s' and, with advantage_gap > 0, at s.

    Sets work.q_next = Q_target(s', best), or max_a Q_target(s', a) without double_q.
    With advantage_gap > 0, also sets work.gap = max_a Q_target(s, a) - Q_target(s, a_t).
    Must be called after `online_pass`, which sets scratch.best and the codes of s that the gap reuses.
    """
    scratch, rows, params = work.scratch, batch.states.shape[0], target.params
    stride = scratch.h.shape[2]
    # With double_q and one hidden layer, the activations at s' are not used again. So the products with the
    # output layer are computed here and the activations are not stored, which saves 1 us.
    chosen = options.double_q and shape.shape[0] == 2
    _, width, weights, biases = shape[FIRST]
    gap = options.advantage_gap > 0.0
    if not gap:
        encode(batch.next_states, batch.goals, options.sizes, scratch.codes)
    for column in range(0, width, LANES):
        n_tables = first_layer(
            params, shape, column, scratch.codes, rows, options.sizes, scratch.tables, scratch.block
        )
        bias = load(params, biases + column)
        for b in range(rows):
            z = preactivation(bias, scratch.codes, b, scratch.tables, n_tables, scratch.block)
            if gap:
                store(work.h_target[0], b * stride + column, relu(z))
                z = apply_flips(z, params, weights + column, width, batch.states, batch.next_states, b)
            if chosen:
                add_products(relu(z), target, shape, scratch.best[b], column, work.products, b)
            else:
                store(work.h_next[0], b * stride + column, relu(z))
    hidden_layers(params, shape, work.h_next, rows)
    if options.double_q:
        if not chosen:
            all_products(work.h_next, target, shape, scratch.best, work.products)
        values_of(scratch.best, work.products, target, shape, work.q_next)
    else:
        all_values(work.h_next, rows, target, shape, scratch.q)
        max_and_argmax(scratch.q, work.q_next, scratch.best)
    if gap:
        hidden_layers(params, shape, work.h_target, rows)
        all_values(work.h_target, rows, target, shape, scratch.q)
        max_and_argmax(scratch.q, work.gap, scratch.best)
        for b in range(rows):
            work.gap[b] -= scratch.q[np.int64(batch.actions[b]), b]


@inner
def temporal_difference(batch: Minibatches, options: UpdateOptions, work: Workspace) -> Any:
    """Return the loss, mean (Q(s, a_t) - y)^2, and set its gradient d_q.

    work.d_q = 2 (Q(s, a_t) - y) / B.
    The target is y = r + gamma c Q_next, with c = 0 on a masked terminal step, else 1.
    The following changes are made in this order, each only if the options enable it:

    - clip_targets: y is clipped to [-1 / (1 - gamma), 0].
    - hindsight_bound: y is at least -(1 - gamma^(j - 1)) / (1 - gamma), if j = steps_to_goal > 0.
    - advantage_gap: y is reduced by advantage_gap times work.gap.
    """
    rows = batch.states.shape[0]
    worst = -1.0 / (1.0 - options.gamma)
    loss = 0.0
    for b in range(rows):
        discount = 0.0 if batch.terminated[b] and options.mask_terminal else options.gamma
        y = batch.rewards[b] + discount * work.q_next[b]
        if options.clip_targets:
            y = worst if y < worst else y
            y = 0.0 if y > 0.0 else y
        if options.hindsight_bound and batch.steps_to_goal[b] > 0:
            bound = worst * (1.0 - options.gamma ** np.float64(batch.steps_to_goal[b] - 1))
            y = bound if y < bound else y
        if options.advantage_gap > 0.0:
            y -= options.advantage_gap * work.gap[b]
        error = work.q_taken[b] - y
        work.d_q[b] = np.float32(2.0 * error / rows)
        loss += error * error
    return loss / rows
