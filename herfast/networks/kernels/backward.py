"""Backward pass: the gradient of the loss, and the dueling output layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from herfast.networks.arrays import (
    CODES,
    LANES,
    SUMS,
    Adam,
    Floats,
    Integers,
    Layout,
    Network,
    Team,
    Workspace,
)
from herfast.networks.kernels.dense_layer import dots, matmul
from herfast.networks.kernels.packed_layer import first_layer_gradient, tabulate
from herfast.networks.kernels.simd import (
    add,
    fma,
    inlined,
    inner,
    load,
    mul,
    offset,
    splat,
    store,
    where_positive,
)
from herfast.networks.kernels.team import share, wait


@inlined
def output_gradient(
    online: Network, shape: Layout, column: int, b: int, h: Floats, work: Workspace, adam: Adam
) -> Any:
    """Add the gradient of the output weights of sample b in 32 columns.

    Only the row of the action taken has a gradient: d_head[a_t] += d_q h.
    Returns d_q head[a_t] where h > 0, else 0: the gradient of the last hidden layer's pre-activations.
    `h` has the activations of that layer.
    """
    row = np.int64(work.taken[b]) * shape.last_width + column
    d_q, activations = splat(work.d_q[b]), load(h, b * shape.stride + column)
    store(adam.d_head, row, fma(d_q, activations, load(adam.d_head, row)))
    return where_positive(activations, mul(d_q, load(online.head, row)))


@inlined
def first_layer_d_z(
    dense: Integers | None,
    online: Network,
    shape: Layout,
    column: int,
    b: int,
    work: Workspace,
    adam: Adam,
) -> Any:
    """Return d_z of the first layer in 32 columns of sample b, 0 past the batch."""
    if b >= work.scratch.rows:
        return splat(np.float32(0.0))
    if dense is None:
        return output_gradient(online, shape, column, b, work.scratch.h, work, adam)
    return load(work.d_z, b * shape.stride + column)


@inner
def dense_gradients(
    dense: Integers | None, online: Network, shape: Layout, work: Workspace, adam: Adam, team: Team
) -> None:
    """Compute the gradients of the hidden layers after the first.

    For each layer, d_b = sum_b d_z, d_W = h^T d_z, and below: d_z W^T where h > 0, else 0. The last of these
    is d_z of the first layer. d_z of a layer shares its memory with the activations `h_next` of that layer.
    """
    if dense is not None:
        rows, stride, layer_size = work.scratch.rows, shape.stride, work.scratch.rows * shape.stride
        last_h = offset(work.scratch.h, shape.n_dense * layer_size)
        last_d_z = offset(work.d_z, shape.n_dense * layer_size)
        start, end = share(shape.last_width, team)
        for b in range(rows):
            for column in range(start, end, LANES):
                d_z_b = output_gradient(online, shape, column, b, last_h, work, adam)
                store(last_d_z, b * stride + column, d_z_b)
        for layer in range(shape.n_dense - 1, -1, -1):
            terms, width = dense[4 * layer], dense[4 * layer + 1]
            weights, biases = dense[4 * layer + 2], dense[4 * layer + 3]
            h, below = offset(work.scratch.h, layer * layer_size), offset(work.d_z, layer * layer_size)
            d_z = offset(below, layer_size)
            start, end = share(width, team)
            for column in range(start, end, LANES):
                total = splat(np.float32(0.0))
                for b in range(rows):
                    total = add(total, load(d_z, b * stride + column))
                store(adam.d_params, biases + column, total)
                for i in range(terms):
                    store(adam.d_params, weights + i * width + column, splat(np.float32(0.0)))
            part, d_weights = offset(d_z, start), offset(adam.d_params, weights + start)
            matmul(h, np.int64(1), stride, part, stride, d_weights, width, terms, rows, end - start)
            wait(team)
            start, end = share(terms, team)
            part, rows_of_w = offset(below, start), offset(online.params, weights + start * width)
            dots(rows_of_w, width, end - start, d_z, stride, rows, width, part, stride)
            for b in range(rows):
                for row in range(b * stride + start, b * stride + end, LANES):
                    store(below, row, where_positive(load(h, row), load(below, row)))


@inner
def backward(
    dense: Integers | None, online: Network, shape: Layout, work: Workspace, adam: Adam, team: Team
) -> None:
    """Compute the gradient of the loss by all parameters, from work.d_q."""
    rows, n_weights = work.scratch.rows, shape.last_width * shape.n_actions
    start, end = share(shape.last_width, team)
    for a in range(shape.n_actions):
        for column in range(a * shape.last_width + start, a * shape.last_width + end, LANES):
            store(adam.d_head, column, splat(np.float32(0.0)))
    if team.thread == 0:
        for a in range(shape.n_actions):
            adam.d_head[n_weights + a] = np.float32(0.0)
        for b in range(rows):
            adam.d_head[n_weights + np.int64(work.taken[b])] += work.d_q[b]
    dense_gradients(dense, online, shape, work, adam, team)
    words = work.column_words
    start, end = share(shape.width, team)
    for column in range(start, end, LANES):
        d_bias = splat(np.float32(0.0))
        for w in range(words):
            first = w * 4 * CODES
            n_tables = (rows - first + 3) >> 2
            if n_tables > CODES:
                n_tables = CODES
            for t in range(n_tables):
                b = first + 4 * t
                row0 = first_layer_d_z(dense, online, shape, column, b, work, adam)
                row1 = first_layer_d_z(dense, online, shape, column, b + 1, work, adam)
                row2 = first_layer_d_z(dense, online, shape, column, b + 2, work, adam)
                row3 = first_layer_d_z(dense, online, shape, column, b + 3, work, adam)
                table = t * SUMS
                total = tabulate(row0, row1, row2, row3, shape, work.scratch.tables, table)
                d_bias = add(d_bias, total)
            first_layer_gradient(
                work.columns, w, words, n_tables, shape, column, work.scratch.tables, work.sums, adam.d_params
            )
        store(adam.d_params, shape.biases + column, d_bias)


@inner
def dueling_forward(value: int | None, params: Floats, shape: Layout, head: Floats, team: Team) -> None:
    """Compute the output layer of a dueling network: head_a = A_a + (V - mean_a A).

    The formula holds for weights and biases. `value` is shape.value; without it nothing is done.
    """
    if value is not None:
        terms, n_actions, weights = shape.last_width, shape.n_actions, shape.output
        biases = weights + n_actions * terms
        minus_share = np.float32(-1.0 / n_actions)
        start, end = share(terms, team)
        for column in range(start, end, LANES):
            shift = load(params, value + column)
            for a in range(n_actions):
                shift = fma(splat(minus_share), load(params, weights + a * terms + column), shift)
            for a in range(n_actions):
                store(head, a * terms + column, add(shift, load(params, weights + a * terms + column)))
        if team.thread == 0:
            bias_shift = params[value + terms]
            for a in range(n_actions):
                bias_shift += minus_share * params[biases + a]
            for a in range(n_actions):
                head[n_actions * terms + a] = params[biases + a] + bias_shift


@inner
def dueling_backward(value: int | None, d_head: Floats, shape: Layout, d_params: Floats, team: Team) -> None:
    """Compute the gradient of `dueling_forward`.

    d_V = sum_a d_head_a and d_A_a = d_head_a - d_V / A, A being the number of actions.
    """
    if value is not None:
        terms, n_actions, weights = shape.last_width, shape.n_actions, shape.output
        biases = weights + n_actions * terms
        minus_share = np.float32(-1.0 / n_actions)
        start, end = share(terms, team)
        for column in range(start, end, LANES):
            total = splat(np.float32(0.0))
            for a in range(n_actions):
                total = add(total, load(d_head, a * terms + column))
            store(d_params, value + column, total)
            mean = mul(splat(minus_share), total)
            for a in range(n_actions):
                store(d_params, weights + a * terms + column, add(mean, load(d_head, a * terms + column)))
        if team.thread == 0:
            bias_total = np.float32(0.0)
            for a in range(n_actions):
                bias_total += d_head[n_actions * terms + a]
            d_params[value + terms] = bias_total
            for a in range(n_actions):
                d_params[biases + a] = d_head[n_actions * terms + a] + minus_share * bias_total


@inner
def update_dueling_head(network: Network, shape: Layout, barrier: Integers) -> None:
    """Compute network.head from network.params, for dueling networks."""
    dueling_forward(shape.value, network.params, shape, network.head, Team(0, 1, barrier))
