"""The memory of a network: the layout of its flat parameter vector, and the arrays that the kernels work on."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from herfast.data import n_words
from herfast.layers import CODES, SUMS, Floats, Integers, Words
from herfast.simd import LANES


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


class Workspace(NamedTuple):
    """Scratch for B samples; nothing but z means anything between calls. `act` uses the parts marked (a)."""

    z: Floats  # [B, stride], the first layer's pre-activations (a alone)
    block: Floats  # [B, 32], the same for some columns (a)
    h: Floats  # [L, B, stride], activations at the state (a)
    h_next: Floats  # [L, B, stride], activations at the next state, then gradients by the pre-activations
    h_target: Floats  # [L, B, stride], the target network's activations at the state
    q: Floats  # [B, A], values of all actions (a)
    q_taken: Floats  # [B], the online network's values of the actions taken
    q_next: Floats  # [B], the target network's values of the next state
    gap: Floats  # [B], max_a Q_target(s, a) - Q_target(s, a_t)
    d_q: Floats  # [B], gradient by q_taken
    best: Integers  # [B], the next actions
    codes: Words  # [B, words], state and goal, 4 bits a code (a)
    columns: Words  # [S + G, B words], state and goal transposed: a row an input
    square: Words  # [64], a transposition at work
    tables: Floats  # [CODES * SUMS], sums of 4 rows (a)


class Rules(NamedTuple):
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


def workspace(rows: int, shape: Integers, sizes: tuple[int, int], *, learning: bool) -> Workspace:
    """Scratch for `rows` samples, to learn or only to act; `sizes` are the numbers of state and goal bits."""
    depth, stride, n_actions = len(shape) - 1, int(shape[:-1, 1].max()), int(shape[-1, 1])
    learning_rows = rows if learning else 0
    block, h, h_next, h_target, q, q_taken, q_next, gap, d_q, tables = aligned(
        (rows, LANES),
        (depth, rows, stride),
        (depth, learning_rows, stride),
        (depth, learning_rows, stride),
        (rows, n_actions),
        (learning_rows,),
        (learning_rows,),
        (learning_rows,),
        (learning_rows,),
        (CODES * SUMS,),
    )
    codes = -(-sizes[0] // 4) + -(-sizes[1] // 4)
    return Workspace(
        z=np.zeros((0, stride), np.float32),  # a player brings its own
        block=block,
        h=h,
        h_next=h_next,
        h_target=h_target,
        q=q,
        q_taken=q_taken,
        q_next=q_next,
        gap=gap,
        d_q=d_q,
        best=np.zeros(learning_rows, np.int64),
        codes=np.zeros((rows, -(-codes // CODES)), np.uint64),
        columns=np.zeros((sum(sizes), n_words(learning_rows)), np.uint64),
        square=np.zeros(64, np.uint64),
        tables=tables,
    )
