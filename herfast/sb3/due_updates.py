"""Updates that wait for the end of an episode."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Minibatches
from herfast.dqn.training_cycle import sample
from herfast.networks.q_network import QNetwork
from herfast.sb3.episodes import EpisodeReplay
from herfast.sb3.vec_env import VecTask

MAX_SAMPLED = 2**19  # transitions sampled at once, so that they take little memory


class DueUpdates:
    """Updates that are due, of a network and between them of its target network.

    Attributes:
        counts: Numbers of updates before the next update of the target network, before the one after it, and
            so on. The last number is that of updates after all of them.
    """

    def __init__(self) -> None:
        self.counts: deque[int] = deque([0])

    def add(self, count: int) -> None:
        """Add updates of the network."""
        self.counts[-1] += count

    def add_target_update(self) -> None:
        """Add an update of the target network, after the updates that are due."""
        self.counts.append(0)

    def make(
        self, task: VecTask, replay: EpisodeReplay, network: QNetwork, batch_size: int, tau: float
    ) -> NDArray[np.float64]:
        """Make all of them, and return the losses.

        Args:
            task: Computes rewards.
            replay: Source of the minibatches.
            network: The network.
            batch_size: Transitions per update.
            tau: Share of the online network in an update of the target network.
        """
        losses: list[NDArray[np.float64]] = [np.zeros(0)]
        while sum(self.counts) > 0:
            n_batches = min(sum(self.counts), max(1, MAX_SAMPLED // batch_size))
            batches = sample(task, replay, n_batches, batch_size)
            first = 0
            while first < len(batches.actions):
                self._update_target(network, tau)
                count = min(self.counts[0], len(batches.actions) - first)
                part = Minibatches._make(array[first : first + count] for array in batches)
                updates = network.updates
                try:
                    losses.append(network.fit(part))
                finally:  # Ctrl-C may come after some of them
                    self.counts[0] -= network.updates - updates
                first += count
        self._update_target(network, tau)
        return np.concatenate(losses)

    def _update_target(self, network: QNetwork, tau: float) -> None:
        """Make the updates of the target network that come next."""
        while len(self.counts) > 1 and self.counts[0] == 0:
            update_target(network, tau)
            self.counts.popleft()


def update_target(network: QNetwork, tau: float) -> None:
    """Set the target network to (1 - tau) target + tau online."""
    if tau == 1:
        network.sync_target()
        return
    online = network.parameters("online")
    for name, target in network.parameters("target").items():
        target[...] = np.float32(1 - tau) * target + np.float32(tau) * online[name]
    network.refresh()
