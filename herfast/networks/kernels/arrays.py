"""The arrays of a network: the layout of its flat parameter vector, and what the kernels work on."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words, n_words
from herfast.networks.kernels.packed_layer import CODES, SUMS
from herfast.networks.kernels.simd import LANES, NARROW, Floats, Integers


class Network(NamedTuple):
    """The numbers of one network."""

    params: Floats  # [P]
    head: Floats  # [A * inputs + A], the output layer as it is played: a view of params unless dueling


class Adam(NamedTuple):
    """The loss's gradient and its moments."""

    d_params: Floats  # [P]
    d_head: Floats  # [A * inputs + A], a view of d_params unless dueling
    moment1: Floats  # [P]
    moment2: Floats  # [P]


class Scratch(NamedTuple):
    """To act in B games; nothing here means anything between two calls. B' is B up to a multiple of 4."""

    block: Floats  # [B, 32], the first layer's pre-activations for some columns, not yet complete
    h: Floats  # [L, B, stride], activations at the state
    q: Floats  # [A, B'], values of all actions
    max_q: Floats  # [B], the highest of them
    best: NDArray[np.int32]  # [B], the action that has it
    codes: Words  # [B, words], state and goal, 4 bits a code
    tables: Floats  # [CODES * SUMS], sums of 4 rows


class Workspace(NamedTuple):
    """To learn from B samples: the fields of Scratch, in their order, and more that means nothing between two calls."""

    block: Floats
    h: Floats
    q: Floats
    max_q: Floats
    best: NDArray[np.int32]
    codes: Words
    tables: Floats
    h_next: Floats  # [L, B, stride], activations at the next state, then gradients by the pre-activations
    h_target: Floats  # [L, B, stride], the target network's activations at the state
    products: Floats  # [B', 8], parts of the value of one action each
    q_taken: Floats  # [B'], the online network's values of the actions taken
    q_next: Floats  # [B'], the target network's values of the next state
    gap: Floats  # [B], max_a Q_target(s, a) - Q_target(s, a_t)
    d_q: Floats  # [B], gradient by q_taken
    columns: Words  # [S + G, B words], state and goal transposed: a row an input
    square: Words  # [64], a transposition at work
    sums: Floats  # [S + G, 32], the first layer's gradient for some columns, not yet complete


class UpdateOptions(NamedTuple):
    """The sizes of state and goal, and Config's part in an update."""

    sizes: tuple[int, int]  # state bits, goal bits
    gamma: float
    double_q: bool
    dueling: bool
    clip_targets: bool
    mask_terminal: bool
    hindsight_bound: bool
    advantage_gap: float
    target_update: int
    polyak: float


def layout(inputs: int, hidden: tuple[int, ...], n_actions: int) -> Integers:
    """The kernels' `shape` int64[L + 1, 4], a row a layer: inputs, outputs, offset of weights, offset of biases."""
    rows, offset = [], 0
    for outputs in [-(-width // LANES) * LANES for width in hidden] + [n_actions]:
        rows.append((inputs, outputs, offset, offset + inputs * outputs))
        offset += inputs * outputs + outputs
        inputs = outputs
    return np.array(rows, np.int64)


def n_parameters(shape: Integers, dueling: bool) -> int:
    """The length of the flat parameter vector: the output layer's end and, with dueling, one row and bias for V."""
    terms, n_actions, _, biases = (int(x) for x in shape[-1])
    return biases + n_actions + (terms + 1 if dueling else 0)


def aligned(*shapes: tuple[int, ...]) -> list[Floats]:
    """Arrays of zeros, each of which starts at a cache line, in one piece of memory."""
    sizes = [-(-math.prod(shape) // 16) * 16 for shape in shapes]
    raw = np.zeros(sum(sizes) + 16, np.float32)
    address: int = raw.__array_interface__["data"][0]
    first, arrays = -(address // 4) % 16, []
    for shape, size in zip(shapes, sizes, strict=True):
        arrays.append(raw[first : first + math.prod(shape)].reshape(shape))
        first += size
    return arrays


def scratch(rows: int, shape: Integers, sizes: tuple[int, int]) -> Scratch:
    """To act in `rows` games; `sizes` are the numbers of state and goal bits."""
    depth, stride, n_actions, fours = len(shape) - 1, int(shape[:-1, 1].max()), int(shape[-1, 1]), -(-rows // 4) * 4
    codes = -(-sizes[0] // 4) + -(-sizes[1] // 4)
    block, h, q, max_q, tables = aligned(
        (rows, LANES), (depth, rows, stride), (n_actions, fours), (rows,), (CODES * SUMS,)
    )
    words = np.zeros((rows, -(-codes // CODES)), np.uint64)
    return Scratch(block, h, q, max_q, np.zeros(rows, np.int32), words, tables)


def workspace(rows: int, shape: Integers, sizes: tuple[int, int]) -> Workspace:
    """To learn from minibatches of `rows`; `sizes` are the numbers of state and goal bits."""
    acting = scratch(rows, shape, sizes)
    fours = acting.q.shape[1]
    h_next, h_target, products, q_taken, q_next, gap, d_q, sums = aligned(
        acting.h.shape, acting.h.shape, (fours, NARROW), (fours,), (fours,), (rows,), (rows,), (sum(sizes), LANES)
    )
    columns, square = np.zeros((sum(sizes), n_words(rows)), np.uint64), np.zeros(64, np.uint64)
    return Workspace(*acting, h_next, h_target, products, q_taken, q_next, gap, d_q, columns, square, sums)
