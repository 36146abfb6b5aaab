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
    """Draw the weights and biases of every layer into `parameters`.

    They are uniform in +-1/sqrt(inputs). With init "sparse_pairs", each unit of the first layer has weights
    +-1/sqrt(6) on 3 state bits, and the opposite weights on the same goal bits. Its other weights are zero.

    Args:
        parameters: named views float32, in the order of the layers. They are overwritten.
        n_state_bits: number of state bits, S.
        n_goal_bits: number of goal bits, G <= S.
        init: "dense" or "sparse_pairs", see `Config.init`.
        rng: the random generator to draw from.
    """
    inputs = n_state_bits + n_goal_bits
    for name, view in parameters.items():
        if name == "hidden1.weight" and init == "sparse_pairs":
            view[:] = _sparse_pairs(rng, n_state_bits, n_goal_bits, view.shape[1])
        else:
            view[...] = rng.uniform(-1.0, 1.0, view.shape) / math.sqrt(inputs)
        if name.startswith("hidden") and name.endswith("bias"):
            inputs = len(view)


def _sparse_pairs(
    rng: np.random.Generator, n_state_bits: int, n_goal_bits: int, units: int
) -> NDArray[np.float64]:
    """Return first-layer weights [S + G, units] with min(3, G) pairs per unit."""
    bits = min(3, n_goal_bits)
    weights = np.zeros((n_state_bits + n_goal_bits, units))
    for unit in range(units):
        chosen = rng.choice(n_goal_bits, size=bits, replace=False)
        values = rng.choice([-1.0, 1.0], size=bits) / math.sqrt(2 * bits)
        weights[chosen, unit] = values
        weights[n_state_bits + chosen, unit] = -values
    return weights
