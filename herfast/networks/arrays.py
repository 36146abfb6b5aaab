"""Arrays that the kernels work on, and the layout of the flat parameter vector."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words, n_words

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int64]
Actions: TypeAlias = NDArray[np.int32]

LANES = 32  # floats of a wide vector, see kernels/simd.py
NARROW = 8  # floats of a narrow vector
SUMS = 16 * LANES  # floats in a table: the 16 weighted sums of 4 rows, in 32 columns
ARRIVED, PASSED, IS_RUNNING = 0, 1, 2  # numbers in a barrier, see `Team`
CODES = 16  # 4-bit codes per word, and tables in use at once: 32 KB, which stay in the L1 and L2 caches


class Layout(NamedTuple):
    """Sizes of a network, and the places of its parameters.

    The parameters are a flat vector of P floats. The hidden layers come first, each with its weights
    [inputs, outputs] and then its biases. Their widths are rounded up to a multiple of 32. The output layer
    follows, with weights [actions, inputs] and biases. With dueling, the weights [inputs] and the bias of V
    are at the end.
    """

    n_state_bits: int
    n_goal_bits: int
    n_actions: int
    n_inputs: int  # state bits and goal bits
    low: float  # input of a bit that is 0
    step: float  # input of a bit that is 1, minus `low`
    n_parameters: int  # P
    state_words: int  # 64-bit words of a state
    goal_words: int
    state_codes: int  # 4-bit codes of a state; the last one is padded with zeros
    codes: int  # codes of a state and a goal
    width: int  # outputs of the first layer
    biases: int  # offset of the first layer's biases
    last_width: int  # inputs of the output layer
    stride: int  # floats from the activations of one sample to those of the next
    n_dense: int  # number of hidden layers after the first, D
    dense: Integers | None  # [D, 4]: inputs, outputs, offsets of weights and biases; None if D = 0
    output: int  # offset of the output layer
    value: int | None  # offset of V; None without dueling


class Network(NamedTuple):
    """The parameters of one network."""

    params: Floats  # [P]
    head: Floats  # [A * inputs + A], the output layer used for Q; a view of params unless dueling


class Adam(NamedTuple):
    """The gradient of the loss and Adam's moment estimates."""

    d_params: Floats  # [P]
    d_head: Floats  # [A * inputs + A], a view of d_params unless dueling
    moment1: Floats  # [P]
    moment2: Floats  # [P]


class Team(NamedTuple):
    """A thread among those that make an update together, see kernels/team.py."""

    thread: int  # 0 to n_threads - 1
    n_threads: int
    barrier: Integers  # [16]: threads that have arrived, barriers passed, 1 while a call runs


class Scratch(NamedTuple):
    """Scratch memory for acting in B episodes.

    The contents are undefined between two calls. B' is B rounded up to a multiple of 32.
    """

    barrier: Integers  # [16], see Team
    rows: int  # B
    padded_rows: int  # B'
    code_words: int  # words per row of `codes`
    codes_per_word: int  # in all words but the last, which may have fewer
    block: Floats  # [B, 32], partial sums of the first layer's pre-activations in 32 columns
    h: Floats  # [L, B, stride], activations at the state
    q: Floats  # [A, B'], values of all actions
    max_q: Floats  # [B'], the maximum over the actions
    best: Actions  # [B'], the action with that maximum
    codes: Words  # [B, code_words], state and goal as codes of 4 bits
    tables: Floats  # [CODES * SUMS], tabulated sums of 4 weight rows


class Workspace(NamedTuple):
    """Scratch memory for an update on B samples.

    The contents are undefined between two calls.
    """

    scratch: Scratch
    h_next: Floats  # [L, B, stride], activations at the next state
    d_z: Floats  # the same memory as h_next, later used for the gradients of the pre-activations
    h_target: Floats | None  # [L, B, stride], the target network's activations at the state; for the gap
    taken: Actions  # [B'], the actions a_t taken
    products: Floats  # [B', 8], partial sums of the value of one action per sample
    q_taken: Floats  # [B'], Q(s, a_t) of the online network
    q_next: Floats  # [B'], the target network's value of the next state
    gap: Floats  # [B'], max_a Q_target(s, a) - Q_target(s, a_t)
    d_q: Floats  # [B'], gradient of the loss with respect to q_taken
    squares: NDArray[np.float64]  # [B'], squared errors
    column_words: int  # words per row of `columns`
    columns: Words  # [S + G, words of B bits], states and goals transposed: one row per input
    square: Words  # [64], a block of 64 x 64 bits during the transposition
    sums: Floats  # [S + G, 32], partial sums of the first layer's gradient in 32 columns


class UpdateOptions(NamedTuple):
    """The Config fields that an update uses."""

    gamma: float
    double_q: bool
    clip_targets: bool
    mask_terminal: bool
    hindsight_bound: bool
    advantage_gap: float
    target_update: int
    polyak: float


def layout(
    n_state_bits: int,
    n_goal_bits: int,
    hidden: tuple[int, ...],
    n_actions: int,
    *,
    dueling: bool,
    is_binary: bool = False,
) -> Layout:
    """Return the layout of a network with hidden layers of these widths."""
    rows = []
    offset = 0
    inputs = n_state_bits + n_goal_bits
    widths = [padded(width) for width in hidden]
    for outputs in widths:
        rows.append((inputs, outputs, offset, offset + inputs * outputs))
        offset += (inputs + 1) * outputs
        inputs = outputs
    n_parameters = offset + (inputs + 1) * n_actions
    value = None
    if dueling:
        value = n_parameters
        n_parameters += inputs + 1
    dense = None
    if len(hidden) > 1:
        dense = np.array(rows[1:], np.int64)
    low = -1.0
    if is_binary:
        low = 0.0
    state_codes = -(-n_state_bits // 4)
    return Layout(
        n_state_bits=n_state_bits,
        n_goal_bits=n_goal_bits,
        n_actions=n_actions,
        n_inputs=n_state_bits + n_goal_bits,
        low=low,
        step=1.0 - low,
        n_parameters=n_parameters,
        state_words=n_words(n_state_bits),
        goal_words=n_words(n_goal_bits),
        state_codes=state_codes,
        codes=state_codes + -(-n_goal_bits // 4),
        width=widths[0],
        biases=(n_state_bits + n_goal_bits) * widths[0],
        last_width=inputs,
        stride=max(widths) + 16,  # an odd number of cache lines, so that rows do not compete for a few sets
        n_dense=len(hidden) - 1,
        dense=dense,
        output=offset,
        value=value,
    )


def padded(size: int) -> int:
    """Round up to a multiple of 32, the floats of a wide vector."""
    return -(-size // LANES) * LANES


def aligned(*shapes: tuple[int, ...]) -> list[Floats]:
    """Allocate zero arrays, each aligned to a cache line.

    Each is followed by zeros up to a multiple of 32 floats, so kernels may read and write whole wide vectors.
    """
    sizes = [padded(math.prod(shape)) for shape in shapes]
    raw = np.zeros(sum(sizes) + 16, np.float32)
    address: int = raw.__array_interface__["data"][0]
    first, arrays = -(address // 4) % 16, []
    for shape, size in zip(shapes, sizes, strict=True):
        arrays.append(raw[first : first + math.prod(shape)].reshape(shape))
        first += size
    return arrays


def scratch(rows: int, shape: Layout) -> Scratch:
    """Allocate a Scratch for `rows` episodes."""
    padded_rows = padded(rows)
    code_words = -(-shape.codes // CODES)
    block, h, q, max_q, tables = aligned(
        (rows, LANES),
        (shape.n_dense + 1, rows, shape.stride),
        (shape.n_actions, padded_rows),
        (padded_rows,),
        (CODES * SUMS,),
    )
    return Scratch(
        barrier=np.zeros(16, np.int64),
        rows=rows,
        padded_rows=padded_rows,
        code_words=code_words,
        codes_per_word=-(-shape.codes // code_words),
        block=block,
        h=h,
        q=q,
        max_q=max_q,
        best=np.zeros(padded_rows, np.int32),
        codes=np.zeros((rows, code_words), np.uint64),
        tables=tables,
    )


def workspace(rows: int, shape: Layout, with_gap: bool) -> Workspace:
    """Allocate a Workspace for `rows` samples, `with_gap` also for an advantage gap."""
    acting = scratch(rows, shape)
    h_next, products, q_taken, q_next, gap, d_q, sums = aligned(
        acting.h.shape,
        (acting.padded_rows, NARROW),
        (acting.padded_rows,),
        (acting.padded_rows,),
        (acting.padded_rows,),
        (acting.padded_rows,),
        (shape.n_inputs, LANES),
    )
    h_target = None
    if with_gap:
        h_target = aligned(acting.h.shape)[0]
    column_words = n_words(rows)
    return Workspace(
        scratch=acting,
        h_next=h_next,
        d_z=h_next,
        h_target=h_target,
        taken=np.zeros(acting.padded_rows, np.int32),
        products=products,
        q_taken=q_taken,
        q_next=q_next,
        gap=gap,
        d_q=d_q,
        squares=np.zeros(acting.padded_rows),
        column_words=column_words,
        columns=np.zeros((shape.n_inputs, column_words), np.uint64),
        square=np.zeros(64, np.uint64),
        sums=sums,
    )


def scratches(work: Scratch, n_threads: int) -> list[Scratch]:
    """Return a Scratch for each thread, the first one being `work`.

    The threads share all arrays but those that each uses for its own columns.
    """
    found = [work]
    for _ in range(n_threads - 1):
        block, tables = aligned(work.block.shape, work.tables.shape)
        found.append(work._replace(block=block, tables=tables))
    return found


def workspaces(work: Workspace, n_threads: int) -> list[Workspace]:
    """Return a Workspace for each thread, as `scratches` does."""
    found = []
    for scratch_of_thread in scratches(work.scratch, n_threads):
        sums = aligned(work.sums.shape)[0]
        square = np.zeros(64, np.uint64)
        found.append(work._replace(scratch=scratch_of_thread, sums=sums, square=square))
    return found
