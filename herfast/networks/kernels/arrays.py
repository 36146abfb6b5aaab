"""Arrays that the kernels work on, and the layout of the flat parameter vector."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words, n_words
from herfast.networks.kernels.packed_layer import BIASES, CODES, INPUTS, LAST, OUTPUTS, SUMS
from herfast.networks.kernels.simd import LANES, NARROW, Floats, Integers


class Network(NamedTuple):
    """The parameters of one network: P floats."""

    params: Floats  # [P]
    head: Floats  # [A * inputs + A], the output layer used for Q; a view of params unless dueling


class Adam(NamedTuple):
    """The gradient of the loss and Adam's moment estimates."""

    d_params: Floats  # [P]
    d_head: Floats  # [A * inputs + A], a view of d_params unless dueling
    moment1: Floats  # [P]
    moment2: Floats  # [P]


class Scratch(NamedTuple):
    """Scratch memory for acting in B episodes.

    The contents are undefined between two calls. B' is B rounded up to a multiple of 4.
    """

    block: Floats  # [B, 32], partial sums of the first layer's pre-activations in 32 columns
    h: Floats  # [L, B, stride], activations at the state
    q: Floats  # [A, B'], values of all actions
    max_q: Floats  # [B], the maximum over the actions
    best: NDArray[np.int32]  # [B], the action with that maximum
    codes: Words  # [B, words], state and goal as codes of 4 bits
    tables: Floats  # [CODES * SUMS], tabulated sums of 4 weight rows


class Workspace(NamedTuple):
    """Scratch memory for an update on B samples.

    The contents are undefined between two calls.
    """

    scratch: Scratch
    h_next: Floats  # [L, B, stride], activations at the next state
    d_z: Floats  # the same memory as h_next, later used for the gradients of the pre-activations
    h_target: Floats  # [L, B, stride], the target network's activations at the state
    products: Floats  # [B', 8], partial sums of the value of one action per sample
    q_taken: Floats  # [B'], Q(s, a_t) of the online network, a_t being the action taken
    q_next: Floats  # [B'], the target network's value of the next state
    gap: Floats  # [B], max_a Q_target(s, a) - Q_target(s, a_t)
    d_q: Floats  # [B], gradient of the loss with respect to q_taken
    columns: Words  # [S + G, words of B bits], states and goals transposed: one row per input
    square: Words  # [64], a block of 64 x 64 bits during the transposition
    sums: Floats  # [S + G, 32], partial sums of the first layer's gradient in 32 columns


class UpdateOptions(NamedTuple):
    """The sizes of state and goal, and the Config fields that an update uses."""

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
    """Return the layout of the parameter vector, the kernels' argument `shape`.

    Returns:
        int64[L + 1, 4] with one row per layer: inputs, outputs, offset of the weights, offset of the biases.
        Hidden widths are rounded up to a multiple of 32.
    """
    rows = []
    offset = 0
    for outputs in [-(-width // LANES) * LANES for width in hidden] + [n_actions]:
        rows.append((inputs, outputs, offset, offset + inputs * outputs))
        offset += inputs * outputs + outputs
        inputs = outputs
    return np.array(rows, np.int64)


def n_parameters(shape: Integers, dueling: bool) -> int:
    """Return the length P of the flat parameter vector.

    With dueling, the weights [inputs] and the bias of V follow the output layer.
    """
    end = int(shape[LAST, BIASES] + shape[LAST, OUTPUTS])
    return end + int(shape[LAST, INPUTS] + 1) * dueling


def aligned(*shapes: tuple[int, ...]) -> list[Floats]:
    """Allocate zero arrays in one block of memory, each aligned to a cache line."""
    sizes = [-(-math.prod(shape) // 16) * 16 for shape in shapes]
    raw = np.zeros(sum(sizes) + 16, np.float32)
    address: int = raw.__array_interface__["data"][0]
    first, arrays = -(address // 4) % 16, []
    for shape, size in zip(shapes, sizes, strict=True):
        arrays.append(raw[first : first + math.prod(shape)].reshape(shape))
        first += size
    return arrays


def scratch(rows: int, shape: Integers, sizes: tuple[int, int]) -> Scratch:
    """Allocate a Scratch for `rows` episodes and `sizes` = (state bits, goal bits)."""
    n_hidden = len(shape) - 1
    stride = int(shape[:LAST, OUTPUTS].max())
    padded_rows = -(-rows // 4) * 4
    n_codes = -(-sizes[0] // 4) + -(-sizes[1] // 4)
    block, h, q, max_q, tables = aligned(
        (rows, LANES),
        (n_hidden, rows, stride),
        (int(shape[LAST, OUTPUTS]), padded_rows),
        (rows,),
        (CODES * SUMS,),
    )
    return Scratch(
        block=block,
        h=h,
        q=q,
        max_q=max_q,
        best=np.zeros(rows, np.int32),
        codes=np.zeros((rows, -(-n_codes // CODES)), np.uint64),
        tables=tables,
    )


def workspace(rows: int, shape: Integers, sizes: tuple[int, int]) -> Workspace:
    """Allocate a Workspace for `rows` samples and `sizes` = (state bits, goal bits)."""
    acting = scratch(rows, shape, sizes)
    n_inputs = sum(sizes)
    padded_rows = acting.q.shape[1]
    h_next, h_target, products, q_taken, q_next, gap, d_q, sums = aligned(
        acting.h.shape,
        acting.h.shape,
        (padded_rows, NARROW),
        (padded_rows,),
        (padded_rows,),
        (rows,),
        (rows,),
        (n_inputs, LANES),
    )
    return Workspace(
        scratch=acting,
        h_next=h_next,
        d_z=h_next,
        h_target=h_target,
        products=products,
        q_taken=q_taken,
        q_next=q_next,
        gap=gap,
        d_q=d_q,
        columns=np.zeros((n_inputs, n_words(rows)), np.uint64),
        square=np.zeros(64, np.uint64),
        sums=sums,
    )
