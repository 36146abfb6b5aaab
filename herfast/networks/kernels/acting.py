"""Entry point for acting in episodes in lockstep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words
from herfast.networks.arrays import LANES, Floats, Integers, Layout, Network, Scratch
from herfast.networks.kernels.forward import all_values, hidden_layers, max_and_argmax, preactivate
from herfast.networks.kernels.packed_layer import apply_flips, relu
from herfast.networks.kernels.simd import inner, load, offset, store


@inner
def act(
    network: Network,
    shape: Layout,
    work: Scratch,
    states: Words,
    goals: Words,
    previous: Words,
    rows: int,
    active: Integers,
    n_active: int,
    rebuild: int,
    z: Floats,
    out_actions: NDArray[np.uint16],
) -> None:
    """Set out_actions[e] = argmax_a Q(s_e, g_e, a) for each e in `active`.

    `active` has `n_active` elements. The pre-activations z [rows, width] are updated from the states
    `previous` to `states`. With `rebuild` they are recomputed.
    """
    params = network.params
    if rebuild:
        preactivate(params, shape, states, goals, rows, work, z)
    for i in range(n_active):
        e = active[i]
        for column in range(0, shape.width, LANES):
            total = load(z, e * shape.width + column)
            if not rebuild:
                total = apply_flips(total, params, shape, column, previous, states, e)
                store(z, e * shape.width + column, total)
            store(work.h, i * shape.stride + column, relu(total))
    layer_size = work.rows * shape.stride
    hidden_layers(shape.dense, params, shape, work.h, layer_size, n_active)
    q, q_row = work.q, work.padded_rows
    all_values(offset(work.h, shape.n_dense * layer_size), n_active, network, shape, q, q_row)
    max_and_argmax(q, q_row, shape.n_actions, n_active, work.max_q, work.best)
    for i in range(n_active):
        out_actions[active[i]] = np.uint16(work.best[i])
