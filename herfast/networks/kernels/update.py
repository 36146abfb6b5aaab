"""One update of the Q-network: TD error, gradient, Adam and target network."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from herfast.common.batches import Minibatches
from herfast.networks.kernels.arrays import Adam, Network, UpdateOptions, Workspace
from herfast.networks.kernels.backward import backward, dueling_backward, dueling_forward
from herfast.networks.kernels.packed_layer import transpose_bits
from herfast.networks.kernels.simd import Floats, Integers, inner
from herfast.networks.kernels.td_error import online_pass, target_pass, temporal_difference

BETA1, BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8


@inner
def adam_step(params: Floats, adam: Adam, learning_rate: float, step: int) -> None:
    """Make one step of Adam (Kingma and Ba 2015, algorithm 1).

    `step` is t below and counts from 1.
    p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
    The bias corrections are computed outside of the loop.
    """
    root = np.sqrt(1.0 - BETA2 ** np.float64(step))
    rate = np.float32(learning_rate * root / (1.0 - BETA1 ** np.float64(step)))
    epsilon = np.float32(ADAM_EPSILON * root)
    beta1, beta2, one = np.float32(BETA1), np.float32(BETA2), np.float32(1.0)
    d_params, moment1, moment2 = adam.d_params, adam.moment1, adam.moment2
    for i in range(params.size):
        d = d_params[i]
        m = beta1 * moment1[i] + (one - beta1) * d
        v = beta2 * moment2[i] + (one - beta2) * d * d
        moment1[i] = m
        moment2[i] = v
        params[i] -= rate * m / (np.sqrt(v) + epsilon)


@inner
def polyak_update(target: Network, online: Network, polyak: float) -> None:
    """Set target = polyak target + (1 - polyak) online."""
    keep, take = np.float32(polyak), np.float32(1.0 - polyak)
    for i in range(online.params.size):
        old = keep * target.params[i] if polyak > 0.0 else np.float32(0.0)
        target.params[i] = old + take * online.params[i]


@partial(inner, inline="always")  # compiled only as part of `fit`, which saves 2 of 12 seconds
def update(
    online: Network,
    target: Network,
    shape: Integers,
    adam: Adam,
    batch: Minibatches,
    options: UpdateOptions,
    learning_rate: float,
    count: int,
    work: Workspace,
) -> Any:
    """Make one update on `batch` and return the loss before it.

    `count` is the number of this update, from 1. It determines when the target network is updated.

    The order of the passes matters. The target pass uses the codes and, with double_q, the best actions of
    the online pass. The backward pass overwrites the activations at the next states with gradients.
    """
    transpose_bits(batch.states, options.sizes[0], work.square, work.columns, 0)
    transpose_bits(batch.goals, options.sizes[1], work.square, work.columns, options.sizes[0])
    online_pass(online, shape, batch, options, work)
    target_pass(target, shape, batch, options, work)
    loss = temporal_difference(batch, options, work)
    backward(online, shape, batch, work, adam)
    if options.dueling:
        dueling_backward(adam.d_head, shape, adam.d_params)
    adam_step(online.params, adam, learning_rate, count)
    if options.dueling:
        dueling_forward(online.params, shape, online.head)
    if count % options.target_update == 0:
        polyak_update(target, online, options.polyak)
        if options.dueling:
            dueling_forward(target.params, shape, target.head)
    return loss
