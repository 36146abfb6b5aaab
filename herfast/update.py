"""One update of the Q-network: values, Double-DQN targets, the gradient, Adam, the target network.

Everything is linked into the entry points of kernels.py; layers.py states the conventions.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from herfast.buffers import Adam, Network, Rules, Workspace
from herfast.data import Minibatches
from herfast.dense import dots, matmul
from herfast.forward import add_products, all_products, all_values, hidden_layers, highest, values_of
from herfast.layers import (
    CODES,
    SUMS,
    Floats,
    Integers,
    changed,
    encode,
    first_layer,
    first_layer_gradient,
    inlined,
    inner,
    preactivation,
    relu,
    tabulate,
    transpose_bits,
)
from herfast.simd import LANES, add, fma, load, mul, splat, store, where_positive

BETA1, BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8


@inner
def online_pass(online: Network, shape: Integers, batch: Minibatches, rules: Rules, work: Workspace) -> None:
    """work.h = activations at s, q_taken = Q(s, a_t) and, with double_q, best = argmax_a Q(s', a)."""
    rows, stride, params = batch.states.shape[0], work.h.shape[2], online.params
    _, width, weights, biases = shape[0]
    encode(batch.states, batch.goals, rules.sizes, work.codes)
    for column in range(0, width, LANES):
        n_tables = first_layer(params, shape, column, work.codes, rows, rules.sizes, work.tables, work.block)
        bias = load(params, biases + column)
        for b in range(rows):
            z = preactivation(bias, work.codes, b, work.tables, n_tables, work.block)
            store(work.h[0], b * stride + column, relu(z))
            if rules.double_q:
                z = changed(z, params, weights + column, width, batch.states, batch.next_states, b)
                store(work.h_next[0], b * stride + column, relu(z))
    hidden_layers(params, shape, work.h, rows)
    all_products(work.h, online, shape, batch.actions, work.products)
    values_of(batch.actions, work.products, online, shape, work.q_taken)
    if rules.double_q:
        hidden_layers(params, shape, work.h_next, rows)
        all_values(work.h_next, rows, online, shape, work.q)
        highest(work.q, work.highest, work.best)


@inner
def target_pass(target: Network, shape: Integers, batch: Minibatches, rules: Rules, work: Workspace) -> None:
    """work.q_next = Q_target(s', best), or its maximum without double_q; work.gap where it is asked for.

    After the online pass, whose codes of the states serve again where their values are wanted too.
    """
    rows, stride, params = batch.states.shape[0], work.h.shape[2], target.params
    chosen = rules.double_q and shape.shape[0] == 2  # then nothing else wants the next states' activations: 1 us saved
    _, width, weights, biases = shape[0]
    gap = rules.advantage_gap > 0.0
    if not gap:
        encode(batch.next_states, batch.goals, rules.sizes, work.codes)
    for column in range(0, width, LANES):
        n_tables = first_layer(params, shape, column, work.codes, rows, rules.sizes, work.tables, work.block)
        bias = load(params, biases + column)
        for b in range(rows):
            z = preactivation(bias, work.codes, b, work.tables, n_tables, work.block)
            if gap:
                store(work.h_target[0], b * stride + column, relu(z))
                z = changed(z, params, weights + column, width, batch.states, batch.next_states, b)
            if chosen:
                add_products(relu(z), target, shape, work.best[b], column, work.products, b)
            else:
                store(work.h_next[0], b * stride + column, relu(z))
    hidden_layers(params, shape, work.h_next, rows)
    if rules.double_q:
        if not chosen:
            all_products(work.h_next, target, shape, work.best, work.products)
        values_of(work.best, work.products, target, shape, work.q_next)
    else:
        all_values(work.h_next, rows, target, shape, work.q)
        highest(work.q, work.q_next, work.best)
    if gap:
        hidden_layers(params, shape, work.h_target, rows)
        all_values(work.h_target, rows, target, shape, work.q)
        highest(work.q, work.gap, work.best)
        for b in range(rows):
            work.gap[b] -= work.q[np.int64(batch.actions[b]), b]


@inner
def temporal_difference(batch: Minibatches, rules: Rules, work: Workspace) -> Any:
    """The loss, mean (Q(s, a_t) - y)^2; work.d_q = 2 (Q(s, a_t) - y) / B.

    y = r + gamma c Q_next, c = 0 on a masked terminal step, else 1; then, where the rules ask for it, clipped into
    [-1 / (1 - gamma), 0]; raised to -(1 - gamma^(j - 1)) / (1 - gamma), j = steps_to_goal; lowered by the gap's share.
    """
    rows = batch.states.shape[0]
    worst = -1.0 / (1.0 - rules.gamma)
    loss = 0.0
    for b in range(rows):
        discount = 0.0 if batch.terminated[b] and rules.mask_terminal else rules.gamma
        y = batch.rewards[b] + discount * work.q_next[b]
        if rules.clip_targets:
            y = worst if y < worst else y
            y = 0.0 if y > 0.0 else y
        if rules.hindsight_bound and batch.steps_to_goal[b] > 0:
            bound = worst * (1.0 - rules.gamma ** np.float64(batch.steps_to_goal[b] - 1))
            y = bound if y < bound else y
        if rules.advantage_gap > 0.0:
            y -= rules.advantage_gap * work.gap[b]
        error = work.q_taken[b] - y
        work.d_q[b] = np.float32(2.0 * error / rows)
        loss += error * error
    return loss / rows


@inlined
def output_gradient(
    online: Network, shape: Integers, batch: Minibatches, column: int, b: int, work: Workspace, adam: Adam
) -> Any:
    """In 32 columns: d_head[a_t] += d_q h, the only row that sample b has. Returns d_q head[a_t] where h > 0."""
    row = np.int64(batch.actions[b]) * shape[-1, 0] + column
    d_q, h = splat(work.d_q[b]), load(work.h[-1], b * work.h.shape[2] + column)
    store(adam.d_head, row, fma(d_q, h, load(adam.d_head, row)))
    return where_positive(h, mul(d_q, load(online.head, row)))


@inlined
def first_d_z(
    online: Network, shape: Integers, batch: Minibatches, column: int, b: int, work: Workspace, adam: Adam
) -> Any:
    """In 32 columns, d_z of the first layer and sample b; 0 for one past the batch."""
    if b >= batch.states.shape[0]:
        return splat(np.float32(0.0))
    if shape.shape[0] > 2:
        return load(work.h_next[0], b * work.h.shape[2] + column)
    return output_gradient(online, shape, batch, column, b, work, adam)


@inner
def dense_gradient(online: Network, shape: Integers, layer: int, rows: int, work: Workspace, adam: Adam) -> None:
    """d_b = sum of d_z, d_W = h^T d_z, and below d_z W^T where h > 0; d_z is h_next[layer], below h_next[layer - 1]."""
    terms, width, weights, biases = shape[layer]
    d_z, h, below, stride = work.h_next[layer], work.h[layer - 1], work.h_next[layer - 1], work.h.shape[2]
    for column in range(0, width, LANES):
        total = splat(np.float32(0.0))
        for b in range(rows):
            total = add(total, load(d_z, b * stride + column))
        store(adam.d_params, biases + column, total)
    for i in range(weights, weights + terms * width):
        adam.d_params[i] = np.float32(0.0)
    matmul(h, 1, stride, d_z, 0, stride, adam.d_params, weights, width, terms, rows, width)
    dots(online.params, weights, width, terms, d_z, 0, stride, rows, width, below, stride)
    for b in range(rows):
        for row in range(b * stride, b * stride + terms, LANES):
            store(below, row, where_positive(load(h, row), load(below, row)))


@inner
def backward(online: Network, shape: Integers, batch: Minibatches, work: Workspace, adam: Adam) -> None:
    """The loss's gradient, from work.d_q."""
    rows, last = batch.states.shape[0], shape.shape[0] - 2
    for i in range(adam.d_head.size):
        adam.d_head[i] = np.float32(0.0)
    for b in range(rows):
        adam.d_head[shape[-1, 0] * shape[-1, 1] + np.int64(batch.actions[b])] += work.d_q[b]
    if last > 0:
        for b in range(rows):
            for column in range(0, shape[-1, 0], LANES):
                d_z = output_gradient(online, shape, batch, column, b, work, adam)
                store(work.h_next[last], b * work.h.shape[2] + column, d_z)
    for layer in range(last, 0, -1):
        dense_gradient(online, shape, layer, rows, work, adam)
    for column in range(0, shape[0, 1], LANES):
        d_bias = splat(np.float32(0.0))
        for first in range(0, rows, 4 * CODES):
            n_tables = min(CODES, (rows - first + 3) >> 2)
            for t in range(n_tables):
                b = first + 4 * t
                row0 = first_d_z(online, shape, batch, column, b, work, adam)
                row1 = first_d_z(online, shape, batch, column, b + 1, work, adam)
                row2 = first_d_z(online, shape, batch, column, b + 2, work, adam)
                row3 = first_d_z(online, shape, batch, column, b + 3, work, adam)
                d_bias = add(d_bias, tabulate(row0, row1, row2, row3, work.tables, t * SUMS))
            first_layer_gradient(work.columns, first, n_tables, shape, column, work.tables, work.sums, adam.d_params)
        store(adam.d_params, shape[0, 3] + column, d_bias)


@inner
def fold(params: Floats, shape: Integers, head: Floats) -> None:
    """head_a = A_a + (V - mean_a A), weights and biases alike; V's weights and bias lie behind A's biases in params."""
    terms, n_actions, weights, biases = shape[-1]
    values = biases + n_actions
    minus_share = np.float32(-1.0 / n_actions)
    for column in range(0, terms, LANES):
        shift = load(params, values + column)
        for a in range(n_actions):
            shift = fma(splat(minus_share), load(params, weights + a * terms + column), shift)
        for a in range(n_actions):
            store(head, a * terms + column, add(shift, load(params, weights + a * terms + column)))
    bias_shift = params[values + terms]
    for a in range(n_actions):
        bias_shift += minus_share * params[biases + a]
    for a in range(n_actions):
        head[n_actions * terms + a] = params[biases + a] + bias_shift


@inner
def unfold(d_head: Floats, shape: Integers, d_params: Floats) -> None:
    """The gradient of `fold`: d_V = sum_a d_head_a, d_A_a = d_head_a - d_V / A."""
    terms, n_actions, weights, biases = shape[-1]
    values = biases + n_actions
    minus_share = np.float32(-1.0 / n_actions)
    for column in range(0, terms, LANES):
        total = splat(np.float32(0.0))
        for a in range(n_actions):
            total = add(total, load(d_head, a * terms + column))
        store(d_params, values + column, total)
        mean = mul(splat(minus_share), total)
        for a in range(n_actions):
            store(d_params, weights + a * terms + column, add(mean, load(d_head, a * terms + column)))
    bias_total = np.float32(0.0)
    for a in range(n_actions):
        bias_total += d_head[n_actions * terms + a]
    d_params[values + terms] = bias_total
    for a in range(n_actions):
        d_params[biases + a] = d_head[n_actions * terms + a] + minus_share * bias_total


@inner
def adam_step(params: Floats, adam: Adam, learning_rate: float, step: int) -> None:
    """p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon), the corrections drawn out of the loop."""
    root = np.sqrt(1.0 - BETA2 ** np.float64(step))
    rate = np.float32(learning_rate * root / (1.0 - BETA1 ** np.float64(step)))
    epsilon = np.float32(ADAM_EPSILON * root)
    beta1, beta2, one = np.float32(BETA1), np.float32(BETA2), np.float32(1.0)
    d_params, moment1, moment2 = adam.d_params, adam.moment1, adam.moment2
    for i in range(params.size):
        d = d_params[i]
        m = beta1 * moment1[i] + (one - beta1) * d
        v = beta2 * moment2[i] + (one - beta2) * d * d
        moment1[i] = m
        moment2[i] = v
        params[i] -= rate * m / (np.sqrt(v) + epsilon)


@inner
def follow(target: Network, online: Network, polyak: float) -> None:
    """target = polyak target + (1 - polyak) online."""
    keep, take = np.float32(polyak), np.float32(1.0 - polyak)
    for i in range(online.params.size):
        old = keep * target.params[i] if polyak > 0.0 else np.float32(0.0)
        target.params[i] = old + take * online.params[i]


@partial(inner, inline="always")  # compiled within `fit` alone: 2 of 12 seconds less
def update(
    online: Network,
    target: Network,
    shape: Integers,
    adam: Adam,
    batch: Minibatches,
    rules: Rules,
    learning_rate: float,
    count: int,
    work: Workspace,
) -> Any:
    """The update number `count`, from 1: learns from `batch` and returns the loss before it."""
    transpose_bits(batch.states, rules.sizes[0], work.square, work.columns, 0)
    transpose_bits(batch.goals, rules.sizes[1], work.square, work.columns, rules.sizes[0])
    online_pass(online, shape, batch, rules, work)
    target_pass(target, shape, batch, rules, work)
    loss = temporal_difference(batch, rules, work)
    backward(online, shape, batch, work, adam)
    if rules.dueling:
        unfold(adam.d_head, shape, adam.d_params)
    adam_step(online.params, adam, learning_rate, count)
    if rules.dueling:
        fold(online.params, shape, online.head)
    if count % rules.target_update == 0:
        follow(target, online, rules.polyak)
        if rules.dueling:
            fold(target.params, shape, target.head)
    return loss
