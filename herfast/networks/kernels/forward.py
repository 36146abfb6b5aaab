"""Forward pass, from states and goals to Q values.

The conventions are those of packed_layer.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from herfast.common.batches import Words
from herfast.networks.arrays import LANES, NARROW, Actions, Floats, Integers, Layout, Network, Scratch, Team
from herfast.networks.kernels.dense_layer import dots, matmul
from herfast.networks.kernels.packed_layer import encode, first_layer, preactivation
from herfast.networks.kernels.simd import (
    add,
    inlined,
    inner,
    load,
    load_narrow,
    mul,
    narrowed,
    offset,
    relu,
    splat,
    store,
    store_integers,
    store_sums,
    where_greater,
)
from herfast.networks.kernels.team import share, wait


@inner
def preactivate(
    params: Floats,
    shape: Layout,
    states: Words,
    goals: Words,
    start: int,
    end: int,
    work: Scratch,
    z: Floats,
) -> None:
    """Compute the first layer's pre-activations z[b] [width], start <= b < end."""
    encode(states, goals, start, end, shape, work)
    for column in range(0, shape.width, LANES):
        n_tables = first_layer(params, shape, column, start, end, work)
        bias = load(params, shape.biases + column)
        for b in range(start, end):
            store(z, b * shape.width + column, preactivation(bias, b, n_tables, work))


@inner
def hidden_layers(
    dense: Integers | None,
    params: Floats,
    shape: Layout,
    h: Floats,
    layer_size: int,
    rows: int,
    team: Team,
) -> None:
    """Compute h[l] = relu(h[l - 1] W_l + b_l) for the layers after the first.

    `dense` is shape.dense. h [L, layer_size] has activations [rows, stride] in each row.
    """
    if dense is not None:
        stride = shape.stride
        for layer in range(shape.n_dense):
            terms, width = dense[4 * layer], dense[4 * layer + 1]
            weights, biases = dense[4 * layer + 2], dense[4 * layer + 3]
            start, end = share(width, team)
            x, out = offset(h, layer * layer_size), offset(h, (layer + 1) * layer_size + start)
            for b in range(rows):
                for column in range(start, end, LANES):
                    store(out, b * stride + column - start, load(params, biases + column))
            w = offset(params, weights + start)
            wait(team)
            matmul(x, stride, np.int64(1), w, width, out, stride, rows, terms, end - start)
            for b in range(rows):
                for column in range(b * stride, b * stride + end - start, LANES):
                    store(out, column, relu(load(out, column)))


@inner
def all_values(h: Floats, rows: int, network: Network, shape: Layout, q: Floats, q_row: int) -> None:
    """Compute q[a, b] = h_b . head_a + bias_a, h being the last layer's activations.

    q_row, the length of a row of q, is a multiple of 32 and at least `rows`.
    """
    terms, n_actions = shape.last_width, shape.n_actions
    dots(h, shape.stride, rows, network.head, terms, n_actions, terms, q, q_row)
    for a in range(n_actions):
        bias = splat(network.head[n_actions * terms + a])
        for b in range(a * q_row, a * q_row + rows, LANES):
            store(q, b, add(load(q, b), bias))


@inlined
def add_products(
    h: Any, network: Network, shape: Layout, a: Any, column: int, products: Floats, b: int
) -> None:
    """Add h head_a in 32 columns, reduced to 8 floats, to products[b].

    Column 0 overwrites products[b]. `values_of` adds up the 8 floats.
    """
    part = narrowed(mul(h, load(network.head, a * shape.last_width + column)))
    store(products, b * NARROW, part if column == 0 else add(part, load_narrow(products, b * NARROW)))


@inner
def all_products(
    h: Floats, network: Network, shape: Layout, actions: Actions, start: int, end: int, products: Floats
) -> None:
    """Compute products[b] = h_b head_a over all columns, for a = actions[b].

    It is done for start <= b < end, also in the following functions.
    """
    # The order of sums is that of `add_products`. They stay in registers, which takes a quarter less time.
    for b in range(start, end):
        row, weights = b * shape.stride, np.int64(actions[b]) * shape.last_width
        total = narrowed(mul(load(h, row), load(network.head, weights)))
        for column in range(LANES, shape.last_width, LANES):
            part = mul(load(h, row + column), load(network.head, weights + column))
            total = add(narrowed(part), total)
        store(products, b * NARROW, total)


@inner
def values_of(
    actions: Actions, start: int, end: int, products: Floats, network: Network, shape: Layout, out: Floats
) -> None:
    """Compute out[b] = h_b . head_a + bias_a for a = actions[b], from products[b]."""
    for b in range(start, end, 4):
        first = b * NARROW
        one, two = load_narrow(products, first), load_narrow(products, first + NARROW)
        three, four = load_narrow(products, first + 2 * NARROW), load_narrow(products, first + 3 * NARROW)
        store_sums(out, b, one, two, three, four)
    for b in range(start, end):
        out[b] += network.head[shape.n_actions * shape.last_width + np.int64(actions[b])]


@inner
def best_actions(
    h: Floats, network: Network, shape: Layout, start: int, end: int, work: Scratch, out_values: Floats
) -> None:
    """Compute the values of all actions, the highest one, and the action that has it.

    Sets work.q, `out_values` and work.best of the samples from `start` to `end`, with the activations h.
    """
    rows, q_row, q = end - start, work.padded_rows, offset(work.q, start)
    all_values(offset(h, start * shape.stride), rows, network, shape, q, q_row)
    best = offset(work.best, start)
    max_and_argmax(q, q_row, shape.n_actions, rows, offset(out_values, start), best)


@inner
def max_and_argmax(
    q: Floats, q_row: int, n_actions: int, rows: int, out_values: Floats, out_actions: Actions
) -> None:
    """Compute the maximum of each column of q and the lowest index that has it.

    32 columns are compared at once. The outputs are written up to a multiple of 32.
    NaN is the maximum only at index 0 and is ignored elsewhere. Divergence is detected in the weights.
    """
    for b in range(0, rows, LANES):
        highest, best = load(q, b), splat(np.float32(0.0))
        for a in range(1, n_actions):
            values = load(q, a * q_row + b)
            best = where_greater(values, highest, splat(np.float32(a)), best)
            highest = where_greater(values, highest, values, highest)
        store(out_values, b, highest)
        store_integers(out_actions, b, best)
