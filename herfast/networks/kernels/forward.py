"""Forward pass, from states and goals to Q values.

The conventions are those of packed_layer.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words
from herfast.networks.kernels.arrays import Network, Scratch
from herfast.networks.kernels.dense_layer import dots, matmul
from herfast.networks.kernels.packed_layer import (
    BIASES,
    FIRST,
    INPUTS,
    LAST,
    OUTPUTS,
    encode,
    first_layer,
    preactivation,
    relu,
)
from herfast.networks.kernels.simd import (
    LANES,
    NARROW,
    Floats,
    Integers,
    add,
    inlined,
    inner,
    load,
    load_narrow,
    mul,
    narrowed,
    store,
    store_sums,
)


@inner
def preactivate(
    params: Floats, shape: Integers, states: Words, goals: Words, sizes: Any, work: Scratch, z: Floats
) -> None:
    """Compute the first layer's pre-activations z of all rows."""
    rows = states.shape[0]
    encode(states, goals, sizes, work.codes)
    for column in range(0, shape[FIRST, OUTPUTS], LANES):
        n_tables = first_layer(params, shape, column, work.codes, rows, sizes, work.tables, work.block)
        bias = load(params, shape[FIRST, BIASES] + column)
        for b in range(rows):
            total = preactivation(bias, work.codes, b, work.tables, n_tables, work.block)
            store(z, b * z.shape[1] + column, total)


@inner
def hidden_layers(params: Floats, shape: Integers, h: Floats, rows: int) -> None:
    """Compute h[l] = relu(h[l - 1] W_l + b_l) for the layers after the first."""
    stride = h.shape[2]
    for layer in range(1, shape.shape[0] - 1):
        terms, width, weights, biases = shape[layer]
        for b in range(rows):
            for column in range(0, width, LANES):
                store(h[layer], b * stride + column, load(params, biases + column))
        matmul(h[layer - 1], stride, 1, params, weights, width, h[layer], 0, stride, rows, terms, width)
        for b in range(rows):
            for column in range(b * stride, b * stride + width, LANES):
                store(h[layer], column, relu(load(h[layer], column)))


@inner
def all_values(h: Floats, rows: int, network: Network, shape: Integers, q: Floats) -> None:
    """Compute q[a, b] = h_b . head_a + bias_a, h being the last layer's activations."""
    terms, n_actions = shape[LAST, INPUTS], shape[LAST, OUTPUTS]
    dots(h[-1], 0, h.shape[2], rows, network.head, 0, terms, n_actions, terms, q, q.shape[1])
    for a in range(n_actions):
        bias = network.head[n_actions * terms + a]
        for b in range(rows):
            q[a, b] += bias


@inlined
def add_products(
    h: Any, network: Network, shape: Integers, a: Any, column: int, products: Floats, b: int
) -> None:
    """Add h head_a in 32 columns, reduced to 8 floats, to products[b].

    Column 0 overwrites products[b]. `values_of` adds up the 8 floats.
    """
    part = narrowed(mul(h, load(network.head, np.int64(a) * shape[LAST, INPUTS] + column)))
    store(products, b * NARROW, part if column == 0 else add(part, load_narrow(products, b * NARROW)))


@inner
def all_products(
    h: Floats, network: Network, shape: Integers, actions: NDArray[Any], products: Floats
) -> None:
    """Compute products[b] = h_b head_a over all columns, for a = actions[b]."""
    for b in range(actions.size):
        for column in range(0, shape[LAST, INPUTS], LANES):
            activations = load(h[-1], b * h.shape[2] + column)
            add_products(activations, network, shape, actions[b], column, products, b)


@inner
def values_of(
    actions: NDArray[Any], products: Floats, network: Network, shape: Integers, out: Floats
) -> None:
    """Compute out[b] = h_b . head_a + bias_a for a = actions[b], from products[b]."""
    for b in range(0, actions.size, 4):
        first = b * NARROW
        one, two = load_narrow(products, first), load_narrow(products, first + NARROW)
        three, four = load_narrow(products, first + 2 * NARROW), load_narrow(products, first + 3 * NARROW)
        store_sums(out, b, one, two, three, four)
    for b in range(actions.size):
        out[b] += network.head[shape[LAST, OUTPUTS] * shape[LAST, INPUTS] + np.int64(actions[b])]


@inner
def max_and_argmax(q: Floats, out_values: Floats, out_actions: NDArray[np.int32]) -> None:
    """Compute the maximum of each column of q and the lowest index that has it.

    All columns are compared at once: 0.3 us for 128 samples and 20 actions, one sample at a time 1.8 us.
    NaN is the maximum only at index 0 and is ignored elsewhere. Divergence is detected in the weights.
    """
    for b in range(out_actions.size):
        out_values[b], out_actions[b] = q[0, b], np.int32(0)
    for a in range(1, q.shape[0]):
        for b in range(out_actions.size):
            higher = q[a, b] > out_values[b]
            out_values[b] = q[a, b] if higher else out_values[b]
            out_actions[b] = np.int32(a) if higher else out_actions[b]
