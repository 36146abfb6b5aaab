"""Compiled entry points `act`, `fit` and `update_dueling_head`.

They are cached on disk. A notice is printed when they are compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numba.core import event
from numpy.typing import NDArray

from herfast.common.batches import Minibatches, Words
from herfast.common.console import print_to_stderr
from herfast.networks.kernels.arrays import Adam, Network, Scratch, UpdateOptions, Workspace
from herfast.networks.kernels.backward import dueling_forward
from herfast.networks.kernels.forward import all_values, hidden_layers, max_and_argmax, preactivate
from herfast.networks.kernels.kernel_cache import cache_on_disk
from herfast.networks.kernels.packed_layer import FIRST, OUTPUTS, relu, update_preactivation
from herfast.networks.kernels.simd import FASTMATH, LANES, Floats, Integers, load, store
from herfast.networks.kernels.update import update

F = TypeVar("F", bound=Callable[..., None])

_entry_points: list[Any] = []


def entry_point(function: F) -> F:
    """Compile a function that Python code calls, and cache it on disk."""
    compiled: F = njit(fastmath=set(FASTMATH), error_model="numpy", nogil=True)(function)
    cache_on_disk(compiled)
    _entry_points.append(compiled)
    return compiled


@entry_point
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


@entry_point
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


@entry_point
def update_dueling_head(network: Network, shape: Integers) -> None:
    """Compute network.head from network.params, for dueling networks."""
    dueling_forward(network.params, shape, network.head)


class _CompileNotice(event.Listener):
    """Print on stderr, once per process, that kernels are being compiled.

    Kernels loaded from the cache print nothing.
    """

    printed = False

    def on_start(self, event: Any) -> None:
        if not self.printed and event.data["dispatcher"] in _entry_points:
            self.printed = True
            print_to_stderr("herfast: compiling kernels (once per machine, about 10 seconds)")

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _CompileNotice())
