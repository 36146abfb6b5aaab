"""From states and goals to values: what acting and learning have in common. Written in layers.py's conventions."""

from __future__ import annotations

from typing import Any

import numpy as np

from herfast.buffers import Network, Workspace
from herfast.layers import Floats, Integers, Words, dots, encode, first_layer, inner, matmul
from herfast.simd import LANES, get, load, relu, store


@inner
def preactivate(params: Floats, shape: Integers, states: Words, goals: Words, sizes: Any, work: Workspace) -> None:
    """work.z = the first layer's pre-activations of all rows, from scratch."""
    encode(states, goals, sizes, work.codes)
    for column in range(0, shape[0, 1], LANES):
        first_layer(params, shape, column, work.codes, states.shape[0], sizes, work.tables, work.block)
        for b in range(states.shape[0]):
            store(work.z, b * work.z.shape[1] + column, load(work.block, b * LANES))


@inner
def hidden_layers(params: Floats, shape: Integers, h: Floats, rows: int) -> None:
    """h[l] = relu(h[l - 1] W_l + b_l) for the layers after the first."""
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
    """q[b, a] = h_b . head_a + bias_a, h_b being the last hidden layer's activations."""
    terms, n_actions = shape[-1, 0], shape[-1, 1]
    dots(h[-1], rows, network.head, 0, n_actions, terms, q)
    for b in range(rows):
        for a in range(n_actions):
            q[b, a] += network.head[n_actions * terms + a]


@inner
def one_value(h: Floats, b: int, network: Network, shape: Integers, a: Any) -> Any:
    """h_b . head_a + bias_a."""
    terms, n_actions = shape[-1, 0], shape[-1, 1]
    total = np.float32(0.0)
    for k in range(terms):
        total += get(h[-1], b * h.shape[2] + k) * get(network.head, a * terms + k)
    return total + network.head[n_actions * terms + a]


@inner
def argmax(values: Floats) -> int:
    """The lowest index of the highest value."""
    best = 0
    for a in range(1, values.size):
        best = a if values[a] > values[best] else best
    return best
