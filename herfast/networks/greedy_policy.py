"""Greedy policy for episodes in lockstep, with incremental pre-activations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words
from herfast.networks.arrays import Floats, Layout, Network, aligned, scratch, scratches
from herfast.networks.compiled import entry_points, thread_pool
from herfast.networks.compiled.thread_pool import SharedCall

MAX_CALL_OPERATIONS = 2**29  # samples times parameters per call of a kernel; signals wait up to 0.1 s
# Steps after which the pre-activations are recomputed, so that rounding errors cannot add up.
REBUILD_EVERY = 64


class GreedyPolicy:
    """The greedy policy of a network for E episodes in lockstep.

    Each step updates the first layer's pre-activations by the weights of the state bits that changed.

    Args:
        network: the parameters to act with. They must not change while the policy is used.
        shape: the layout of the parameters.
        n_envs: E, the number of episodes.
        threads: number of threads of a step, or None, as in `QNetwork`.
    """

    def __init__(self, network: Network, shape: Layout, n_envs: int, threads: int | None) -> None:
        self.n_envs = n_envs
        self.threads = threads
        self._n_parameters = shape.n_parameters
        self._chunk = max(1, min(n_envs, MAX_CALL_OPERATIONS // network.params.size))  # episodes per call
        self._scratch = scratch(self._chunk, shape)
        n_threads = thread_pool.n_threads_for(threads, self._chunk * self._n_parameters)
        works = scratches(self._scratch, n_threads)
        calls = [entry_points.act.bind(network, shape, work) for work in works]
        self._act = SharedCall(calls, self._scratch.barrier)
        self._z = aligned((n_envs, shape.width))[0]  # the first layer's pre-activations
        self._steps = 0
        self._previous: Words | None = None

    def restart(self) -> None:
        """Allow other states and goals in the next call of `act`."""
        self._steps = 0
        self._previous = None

    def act(
        self, states: Words, goals: Words, active: NDArray[np.int64], out_actions: NDArray[np.uint16]
    ) -> Floats:
        """Compute the greedy action of each active episode, and return the values.

        The arrays are not validated.

        Args:
            states: uint64[E, Ws], packed. The next call compares its states with them, so they must not be
                modified before.
            goals: uint64[E, Wg], packed. Must be the same in all calls.
            active: int64[n_active], the indices of the episodes to act in, in ascending order.
            out_actions: uint16[E]; out_actions[e] is set to the greedy action for each e in `active`.

        Returns:
            Q float32[A, at least n_active]. Its first columns are those of `active`, in this order. The next
            call overwrites it.
        """
        previous = self._previous
        rebuild = previous is None or self._steps % REBUILD_EVERY == 0
        if previous is None:
            previous = states
        if self._chunk >= self.n_envs:
            values = self._call(states, goals, previous, active, rebuild, self._z, out_actions)
        else:
            chunks = []
            for first in range(0, self.n_envs, self._chunk):
                rows = slice(first, first + self._chunk)
                start, stop = np.searchsorted(active, (first, first + self._chunk))
                arrays = (states[rows], goals[rows], previous[rows], active[start:stop] - first)
                q = self._call(*arrays, rebuild, self._z[rows], out_actions[rows])
                chunks.append(q[:, : stop - start].copy())
            values = np.concatenate(chunks, axis=1)
        self._steps += 1
        self._previous = states
        return values

    def _call(
        self,
        states: Words,
        goals: Words,
        previous: Words,
        active: NDArray[np.int64],
        rebuild: bool,
        z: Floats,
        out_actions: NDArray[np.uint16],
    ) -> Floats:
        """Call the kernel for some of the episodes, and return the values."""
        n_threads = thread_pool.n_threads_for(self.threads, len(active) * self._n_parameters)
        arrays = (states, goals, previous, len(states), active, len(active), int(rebuild), z, out_actions)
        self._act(n_threads, len(active), *arrays)
        return self._scratch.q
