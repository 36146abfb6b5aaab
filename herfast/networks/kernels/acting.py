"""Entry point for acting in episodes in lockstep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words
from herfast.networks.arrays import LANES, Floats, Integers, Layout, Network, Scratch, Team
from herfast.networks.kernels.forward import best_actions, hidden_layers, preactivate
from herfast.networks.kernels.packed_layer import apply_flips
from herfast.networks.kernels.simd import inner, load, offset, relu, store
from herfast.networks.kernels.team import share, wait


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
    thread: int,
    n_threads: int,
) -> None:
    """Set out_actions[e] = argmax_a Q(s_e, g_e, a) for each e in `active`.

    `active` has `n_active` elements. The pre-activations z [rows, width] are updated from the states
    `previous` to `states`. With `rebuild` they are recomputed. `n_threads` threads act together, each for a
    share of the episodes; see `fit`.
    """
    team = Team(thread, n_threads, work.barrier)
    params = network.params
    if rebuild:
        start, end = share(rows, team)
        preactivate(params, shape, states, goals, start, end, work, z)
        wait(team)
    start, end = share(n_active, team)
    for i in range(start, end):
        e = active[i]
        for column in range(0, shape.width, LANES):
            total = load(z, e * shape.width + column)
            if not rebuild:
                total = apply_flips(total, params, shape, column, previous, states, e)
                store(z, e * shape.width + column, total)
            store(work.h, i * shape.stride + column, relu(total))
    layer_size, first_row = work.rows * shape.stride, start * shape.stride
    alone = Team(0, 1, work.barrier)
    h = offset(work.h, first_row)
    hidden_layers(shape.dense, params, shape, h, layer_size, end - start, alone)
    h = offset(work.h, shape.n_dense * layer_size)
    best_actions(h, network, shape, start, end, work, work.max_q)
    for i in range(start, end):
        out_actions[active[i]] = np.uint16(work.best[i])
    wait(team)
