"""Backward pass: the gradient of the loss, and the dueling output layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from herfast.common.batches import Minibatches
from herfast.networks.kernels.arrays import Adam, Network, Workspace
from herfast.networks.kernels.dense_layer import dots, matmul
from herfast.networks.kernels.packed_layer import (
    BIASES,
    CODES,
    FIRST,
    INPUTS,
    LAST,
    OUTPUTS,
    SUMS,
    first_layer_gradient,
    tabulate,
)
from herfast.networks.kernels.simd import (
    LANES,
    Floats,
    Integers,
    add,
    fma,
    inlined,
    inner,
    load,
    mul,
    splat,
    store,
    where_positive,
)


@inlined
def output_gradient(
    online: Network, shape: Integers, batch: Minibatches, column: int, b: int, work: Workspace, adam: Adam
) -> Any:
    """Add the gradient of the output weights of sample b in 32 columns.

    Only the row of the action taken has a gradient: d_head[a_t] += d_q h.
    Returns d_q head[a_t] where h > 0, else 0: the gradient of the last hidden layer's pre-activations.
    """
    row = np.int64(batch.actions[b]) * shape[LAST, INPUTS] + column
    d_q, h = splat(work.d_q[b]), load(work.scratch.h[-1], b * work.scratch.h.shape[2] + column)
    store(adam.d_head, row, fma(d_q, h, load(adam.d_head, row)))
    return where_positive(h, mul(d_q, load(online.head, row)))


@inlined
def first_layer_d_z(
    online: Network, shape: Integers, batch: Minibatches, column: int, b: int, work: Workspace, adam: Adam
) -> Any:
    """Return d_z of the first layer in 32 columns of sample b, 0 past the batch."""
    if b >= batch.states.shape[0]:
        return splat(np.float32(0.0))
    if shape.shape[0] > 2:
        return load(work.d_z[0], b * work.scratch.h.shape[2] + column)
    return output_gradient(online, shape, batch, column, b, work, adam)


@inner
def dense_gradient(
    online: Network, shape: Integers, layer: int, rows: int, work: Workspace, adam: Adam
) -> None:
    """Compute the gradient of a dense hidden layer, and d_z of the layer below.

    d_b = sum_b d_z, d_W = h^T d_z, and below: d_z W^T where h > 0, else 0.
    d_z of a layer shares its memory with the activations `h_next` of that layer.
    """
    terms, width, weights, biases = shape[layer]
    d_z, h, below, stride = (
        work.d_z[layer],
        work.scratch.h[layer - 1],
        work.d_z[layer - 1],
        work.scratch.h.shape[2],
    )
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
    """Compute the gradient of the loss by all parameters, from work.d_q."""
    rows, last = batch.states.shape[0], shape.shape[0] - 2
    for i in range(adam.d_head.size):
        adam.d_head[i] = np.float32(0.0)
    for b in range(rows):
        adam.d_head[shape[LAST, INPUTS] * shape[LAST, OUTPUTS] + np.int64(batch.actions[b])] += work.d_q[b]
    if last > 0:
        for b in range(rows):
            for column in range(0, shape[LAST, INPUTS], LANES):
                d_z = output_gradient(online, shape, batch, column, b, work, adam)
                store(work.d_z[last], b * work.scratch.h.shape[2] + column, d_z)
    for layer in range(last, 0, -1):
        dense_gradient(online, shape, layer, rows, work, adam)
    for column in range(0, shape[FIRST, OUTPUTS], LANES):
        d_bias = splat(np.float32(0.0))
        for first in range(0, rows, 4 * CODES):
            n_tables = min(CODES, (rows - first + 3) >> 2)
            for t in range(n_tables):
                b = first + 4 * t
                row0 = first_layer_d_z(online, shape, batch, column, b, work, adam)
                row1 = first_layer_d_z(online, shape, batch, column, b + 1, work, adam)
                row2 = first_layer_d_z(online, shape, batch, column, b + 2, work, adam)
                row3 = first_layer_d_z(online, shape, batch, column, b + 3, work, adam)
                d_bias = add(d_bias, tabulate(row0, row1, row2, row3, work.scratch.tables, t * SUMS))
            first_layer_gradient(
                work.columns, first, n_tables, shape, column, work.scratch.tables, work.sums, adam.d_params
            )
        store(adam.d_params, shape[FIRST, BIASES] + column, d_bias)


@inner
def dueling_forward(params: Floats, shape: Integers, head: Floats) -> None:
    """Compute the output layer of a dueling network: head_a = A_a + (V - mean_a A).

    The formula holds for weights and biases. In `params`, weights and bias of V follow the biases of A.
    """
    terms, n_actions, weights, biases = shape[LAST]
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
def dueling_backward(d_head: Floats, shape: Integers, d_params: Floats) -> None:
    """Compute the gradient of `dueling_forward`.

    d_V = sum_a d_head_a and d_A_a = d_head_a - d_V / A, A being the number of actions.
    """
    terms, n_actions, weights, biases = shape[LAST]
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
