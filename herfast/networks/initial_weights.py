"""Initial weights of the Q-network. The HER paper, appendix A, leaves them open."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from herfast.config import Init


def draw_weights(
    parameters: Mapping[str, NDArray[np.float32]],
    n_state_bits: int,
    n_goal_bits: int,
    init: Init,
    rng: np.random.Generator,
) -> None:
    """Draw the weights and biases of every layer into `parameters`, named views in the order of the layers.

    Uniform in +-1/sqrt(inputs); with init "sparse_pairs" the first layer's weights are zero but for 3 bits of the state
    per unit, each +-1/sqrt(6), with the opposite weight on the same bit of the goal.
    """
    inputs = n_state_bits + n_goal_bits
    for name, view in parameters.items():
        if name == "hidden1.weight" and init == "sparse_pairs":
            view[:] = _sparse_pairs(rng, n_state_bits, n_goal_bits, view.shape[1])
        else:
            view[...] = rng.uniform(-1.0, 1.0, view.shape) / math.sqrt(inputs)
        if name.startswith("hidden") and name.endswith("bias"):
            inputs = len(view)


def _sparse_pairs(rng: np.random.Generator, n_state_bits: int, n_goal_bits: int, units: int) -> NDArray[np.float64]:
    bits = min(3, n_goal_bits)
    weights = np.zeros((n_state_bits + n_goal_bits, units))
    for unit in range(units):
        chosen = rng.choice(n_goal_bits, size=bits, replace=False)
        values = rng.choice([-1.0, 1.0], size=bits) / math.sqrt(2 * bits)
        weights[chosen, unit] = values
        weights[n_state_bits + chosen, unit] = -values
    return weights
