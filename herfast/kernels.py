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

from herfast.buffers import Adam, Network, Rules, Scratch, Workspace
from herfast.data import Minibatches
from herfast.forward import all_values, hidden_layers, highest, preactivate
from herfast.layers import Floats, Integers, Words, change_bits, relu
from herfast.simd import FASTMATH, LANES, load, store
from herfast.update import fold, update

# Of the compiled code.
SOURCES = ("simd.py", "layers.py", "dense.py", "buffers.py", "forward.py", "update.py", "kernels.py", "data.py")


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
        z: Floats,
        work: Scratch,
        out_actions: NDArray[np.uint16],
    ) -> None:
        """out_actions[e] = argmax_a Q(s_e, g_e, a) for e in active; z goes from `previous` states to `states`."""
        _ = sources
        if rebuild:
            preactivate(network.params, shape, states, goals, sizes, work, z)
        for i in range(active.size):
            first, game = i * work.h.shape[2], active[i] * z.shape[1]
            if not rebuild:
                change_bits(network.params, shape, previous, states, active[i], z)
            for column in range(0, shape[0, 1], LANES):
                store(work.h[0], first + column, relu(load(z, game + column)))
        hidden_layers(network.params, shape, work.h, active.size)
        all_values(work.h, active.size, network, shape, work.q)
        highest(work.q, work.highest[: active.size], work.best[: active.size])
        for i in range(active.size):
            out_actions[active[i]] = np.uint16(work.best[i])

    @njit(fastmath=set(FASTMATH), error_model="numpy", nogil=True, **options)
    def fit(
        online: Network,
        target: Network,
        shape: Integers,
        adam: Adam,
        batches: Minibatches,
        rules: Rules,
        learning_rates: NDArray[np.float64],
        count: NDArray[np.int64],
        work: Workspace,
        out_losses: NDArray[np.float64],
    ) -> None:
        """One update a minibatch; target follows each time the count reaches its turn.

        `count` [1], of updates done so far, is kept here, so that no interrupt can come between an update and it.
        """
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
            out_losses[u] = update(online, target, shape, adam, batch, rules, learning_rates[u], count[0] + 1, work)
            count[0] += 1

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
