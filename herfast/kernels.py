"""What Python calls, `act` to play and `fit` to learn; their cache on disk; a word while they compile."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numba.core import event
from numpy.typing import NDArray

from herfast.buffers import Adam, Network, Rules, Workspace
from herfast.data import Minibatches
from herfast.layers import Integers, Words, change_bits, encode, first_layer, transpose_bits
from herfast.simd import FASTMATH, LANES, load, relu, store
from herfast.update import (
    adam_step,
    all_values,
    argmax,
    backward,
    fold,
    follow,
    hidden_layers,
    online_pass,
    target_pass,
    temporal_difference,
    unfold,
)

SOURCES = ("simd.py", "layers.py", "buffers.py", "update.py", "kernels.py", "data.py")  # of the compiled code


def _entry_points(sources: int, **options: Any) -> tuple[Callable[..., None], ...]:
    # Numba's cache looks at the file of the function it stores, in some versions only at its size and time, and never
    # at the files of what is linked into it. A free variable is part of its key too, so `sources`, a digest of all of
    # them, keeps older code out.

    @njit(fastmath=set(FASTMATH), error_model="numpy", nogil=True, **options)
    def act(
        network: Network,
        shape: Integers,
        sizes: tuple[int, int],
        states: Words,
        goals: Words,
        previous: Words,
        active: Integers,
        rebuild: bool,
        work: Workspace,
        out_actions: NDArray[np.uint16],
    ) -> None:
        """out_actions[e] = argmax_a Q(s_e, g_e, a) for e in active; work.z goes from `previous` states to `states`."""
        _ = sources
        rows, width = active.size, shape[0, 1]
        if rebuild:
            encode(states, goals, sizes, work.codes)
            for column in range(0, width, LANES):
                first_layer(network.params, shape, column, work.codes, states.shape[0], sizes, work.tables, work.block)
                for e in range(states.shape[0]):
                    store(work.z, e * work.z.shape[1] + column, load(work.block, e * LANES))
        stride = work.z.shape[1]
        for i in range(rows):
            if not rebuild:
                change_bits(network.params, shape, previous, states, active[i], work.z)
            for column in range(0, width, LANES):
                store(work.h[0], i * stride + column, relu(load(work.z, active[i] * stride + column)))
        hidden_layers(network.params, shape, work.h, rows)
        all_values(work.h, rows, network, shape, work.q)
        for i in range(rows):
            out_actions[active[i]] = np.uint16(argmax(work.q[i]))

    @njit(fastmath=set(FASTMATH), error_model="numpy", nogil=True, **options)
    def fit(
        online: Network,
        target: Network,
        shape: Integers,
        adam: Adam,
        batches: Minibatches,
        rules: Rules,
        learning_rates: NDArray[np.float64],
        updates: int,
        work: Workspace,
        out_losses: NDArray[np.float64],
    ) -> None:
        """One update a minibatch, from `updates` done before; target follows each time the count reaches its turn."""
        _ = sources
        for u in range(batches.states.shape[0]):
            batch = Minibatches(
                batches.states[u],
                batches.next_states[u],
                batches.goals[u],
                batches.actions[u],
                batches.rewards[u],
                batches.terminated[u],
                batches.steps_to_goal[u],
            )
            encode(batch.states, batch.goals, rules.sizes, work.codes)
            transpose_bits(batch.states, rules.sizes[0], work.square, work.columns, 0)
            transpose_bits(batch.goals, rules.sizes[1], work.square, work.columns, rules.sizes[0])
            online_pass(online, shape, batch, rules, work)
            target_pass(target, shape, batch, rules, work)
            out_losses[u] = temporal_difference(batch, rules, work)
            backward(online, shape, batch, work, adam)
            if rules.dueling:
                unfold(adam.d_head, shape, adam.d_params)
            done = updates + u + 1
            adam_step(online.params, adam, learning_rates[u], done)
            if rules.dueling:
                fold(online.params, shape, online.head)
            if done % rules.target_update == 0:
                follow(target, online, rules.polyak)
                if rules.dueling:
                    fold(target.params, shape, target.head)

    @njit(**options)
    def refold(network: Network, shape: Integers) -> None:
        """network.head from network.params, for dueling networks."""
        _ = sources
        fold(network.params, shape, network.head)

    return act, fit, refold


def _digest() -> int:
    sources = b"".join((Path(__file__).parent / name).read_bytes() for name in SOURCES)
    return int.from_bytes(hashlib.sha256(sources).digest()[:7], "little")


try:
    act, fit, refold = _entry_points(_digest(), cache=True)
except RuntimeError:  # Numba finds no folder that it can write to
    warnings.warn(
        "no folder to keep compiled kernels in, so each process compiles them anew; NUMBA_CACHE_DIR may name one",
        RuntimeWarning,
        stacklevel=2,
    )
    act, fit, refold = _entry_points(_digest())


class _Announcer(event.Listener):
    """Says on stderr that kernels are being compiled, once in a process; a start from the cache says nothing."""

    said = False

    def on_start(self, event: Any) -> None:
        if not self.said and event.data["dispatcher"] in (act, fit, refold):
            self.said = True
            print("herfast: compiling its kernels, once for this machine; about 10 seconds", file=sys.stderr)

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcer())
