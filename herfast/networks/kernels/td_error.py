"""The temporal-difference error: values of a minibatch, Double-DQN targets, and the loss."""

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
from herfast.networks.kernels.packed_layer import apply_flips, encode, first_layer, preactivation, relu
from herfast.networks.kernels.simd import LANES, Integers, inner, load, store


@inner
def online_pass(online: Network, shape: Integers, batch: Minibatches, options: UpdateOptions, work: Workspace) -> None:
    """work.h = activations at s, q_taken = Q(s, a_t) and, with double_q, best = argmax_a Q(s', a)."""
    rows, stride, params = batch.states.shape[0], work.h.shape[2], online.params
    _, width, weights, biases = shape[0]
    encode(batch.states, batch.goals, options.sizes, work.codes)
    for column in range(0, width, LANES):
        n_tables = first_layer(params, shape, column, work.codes, rows, options.sizes, work.tables, work.block)
        bias = load(params, biases + column)
        for b in range(rows):
            z = preactivation(bias, work.codes, b, work.tables, n_tables, work.block)
            store(work.h[0], b * stride + column, relu(z))
            if options.double_q:
                z = apply_flips(z, params, weights + column, width, batch.states, batch.next_states, b)
                store(work.h_next[0], b * stride + column, relu(z))
    hidden_layers(params, shape, work.h, rows)
    all_products(work.h, online, shape, batch.actions, work.products)
    values_of(batch.actions, work.products, online, shape, work.q_taken)
    if options.double_q:
        hidden_layers(params, shape, work.h_next, rows)
        all_values(work.h_next, rows, online, shape, work.q)
        max_and_argmax(work.q, work.max_q, work.best)


@inner
def target_pass(target: Network, shape: Integers, batch: Minibatches, options: UpdateOptions, work: Workspace) -> None:
    """work.q_next = Q_target(s', best), or its maximum without double_q; work.gap where it is asked for.

    After the online pass, whose codes of the states serve again where their values are wanted too.
    """
    rows, stride, params = batch.states.shape[0], work.h.shape[2], target.params
    chosen = (
        options.double_q and shape.shape[0] == 2
    )  # then nothing else wants the next states' activations: 1 us saved
    _, width, weights, biases = shape[0]
    gap = options.advantage_gap > 0.0
    if not gap:
        encode(batch.next_states, batch.goals, options.sizes, work.codes)
    for column in range(0, width, LANES):
        n_tables = first_layer(params, shape, column, work.codes, rows, options.sizes, work.tables, work.block)
        bias = load(params, biases + column)
        for b in range(rows):
            z = preactivation(bias, work.codes, b, work.tables, n_tables, work.block)
            if gap:
                store(work.h_target[0], b * stride + column, relu(z))
                z = apply_flips(z, params, weights + column, width, batch.states, batch.next_states, b)
            if chosen:
                add_products(relu(z), target, shape, work.best[b], column, work.products, b)
            else:
                store(work.h_next[0], b * stride + column, relu(z))
    hidden_layers(params, shape, work.h_next, rows)
    if options.double_q:
        if not chosen:
            all_products(work.h_next, target, shape, work.best, work.products)
        values_of(work.best, work.products, target, shape, work.q_next)
    else:
        all_values(work.h_next, rows, target, shape, work.q)
        max_and_argmax(work.q, work.q_next, work.best)
    if gap:
        hidden_layers(params, shape, work.h_target, rows)
        all_values(work.h_target, rows, target, shape, work.q)
        max_and_argmax(work.q, work.gap, work.best)
        for b in range(rows):
            work.gap[b] -= work.q[np.int64(batch.actions[b]), b]


@inner
def temporal_difference(batch: Minibatches, options: UpdateOptions, work: Workspace) -> Any:
    """The loss, mean (Q(s, a_t) - y)^2; work.d_q = 2 (Q(s, a_t) - y) / B.

    y = r + gamma c Q_next, c = 0 on a masked terminal step, else 1; then, where the options ask for it, clipped into
    [-1 / (1 - gamma), 0]; raised to -(1 - gamma^(j - 1)) / (1 - gamma), j = steps_to_goal; lowered by the gap's share.
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
