"""Compiled entry points `act`, `fit` and `update_dueling_head`.

They are cached on disk. A notice is printed when they are compiled.
"""

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

from herfast.common.batches import Minibatches, Words
from herfast.networks.kernels.arrays import Adam, Network, Scratch, UpdateOptions, Workspace
from herfast.networks.kernels.backward import dueling_forward
from herfast.networks.kernels.forward import all_values, hidden_layers, max_and_argmax, preactivate
from herfast.networks.kernels.packed_layer import FIRST, OUTPUTS, relu, update_preactivation
from herfast.networks.kernels.simd import FASTMATH, LANES, Floats, Integers, load, store
from herfast.networks.kernels.update import update


def _entry_points(sources: int, **options: Any) -> tuple[Callable[..., None], ...]:
    # Numba's cache checks the file of a cached function, in some versions only its size and time.
    # It never checks the files of the functions that are linked into it.
    # A free variable is part of the cache key. So `sources`, a digest of all files, invalidates older code.

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
        """Set out_actions[e] = argmax_a Q(s_e, g_e, a) for each e in `active`.

        The pre-activations z are updated from the states `previous` to `states`. With `rebuild` they are
        recomputed.
        """
        _ = sources
        if rebuild:
            preactivate(network.params, shape, states, goals, sizes, work, z)
        for i in range(active.size):
            first = i * work.h.shape[2]
            env = active[i] * z.shape[1]
            if not rebuild:
                update_preactivation(network.params, shape, previous, states, active[i], z)
            for column in range(0, shape[FIRST, OUTPUTS], LANES):
                store(work.h[0], first + column, relu(load(z, env + column)))
        hidden_layers(network.params, shape, work.h, active.size)
        all_values(work.h, active.size, network, shape, work.q)
        max_and_argmax(work.q, work.max_q[: active.size], work.best[: active.size])
        for i in range(active.size):
            out_actions[active[i]] = np.uint16(work.best[i])

    @njit(fastmath=set(FASTMATH), error_model="numpy", nogil=True, **options)
    def fit(
        online: Network,
        target: Network,
        shape: Integers,
        adam: Adam,
        batches: Minibatches,
        options: UpdateOptions,
        learning_rates: NDArray[np.float64],
        count: NDArray[np.int64],
        work: Workspace,
        out_losses: NDArray[np.float64],
    ) -> None:
        """Make one update per minibatch and set the loss of each in `out_losses`.

        The target network is updated every `options.target_update` updates. `count` [1] is the number of
        updates so far. It is increased here, so that no interrupt can come between an update and its count.
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
            out_losses[u] = update(
                online, target, shape, adam, batch, options, learning_rates[u], count[0] + 1, work
            )
            count[0] += 1

    @njit(**options)
    def update_dueling_head(network: Network, shape: Integers) -> None:
        """Compute network.head from network.params, for dueling networks."""
        _ = sources
        dueling_forward(network.params, shape, network.head)

    return act, fit, update_dueling_head


def _digest() -> int:
    """Return a digest of all kernel sources and of the containers passed to them."""
    folder = Path(__file__).parent
    paths = [*sorted(folder.glob("*.py")), folder.parents[1] / "common" / "batches.py"]
    sources = b"".join(path.read_bytes() for path in paths)
    return int.from_bytes(hashlib.sha256(sources).digest()[:7], "little")


try:
    act, fit, update_dueling_head = _entry_points(_digest(), cache=True)
except RuntimeError:  # Numba found no writable folder
    warnings.warn(
        "no writable folder for compiled kernels, so each process compiles them again; "
        "set NUMBA_CACHE_DIR to a folder",
        RuntimeWarning,
        stacklevel=2,
    )
    act, fit, update_dueling_head = _entry_points(_digest())


class _CompileNotice(event.Listener):
    """Print on stderr, once per process, that kernels are being compiled.

    Kernels loaded from the cache print nothing.
    """

    printed = False

    def on_start(self, event: Any) -> None:
        if not self.printed and event.data["dispatcher"] in (act, fit, update_dueling_head):
            self.printed = True
            print("herfast: compiling kernels (once per machine, about 10 seconds)", file=sys.stderr)

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _CompileNotice())
