"""Initial weights of the Q-network. The HER paper, appendix A, leaves them open."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from herfast.config import Config


def draw_weights(
    parameters: Mapping[str, NDArray[np.float32]],
    n_state_bits: int,
    n_goal_bits: int,
    config: Config,
    rng: np.random.Generator,
) -> None:
    """Draw the weights and biases of every layer into `parameters`.

    They are uniform in +-1/sqrt(inputs). With init "sparse", each unit of the first layer has a single weight
    +-1, each input being used equally often. Its other weights are zero.
    With the encoding "binary" this weight is +1. With -1 and a bias below 0, a unit would be 0 for both
    values of its input and never change: a quarter of all units.

    Args:
        parameters: named views float32, in the order of the layers. They are overwritten.
        n_state_bits: number of state bits, S.
        n_goal_bits: number of goal bits, G <= S.
        config: the settings, of which `init` and `encoding` are used.
        rng: the random generator to draw from.
    """
    inputs = n_state_bits + n_goal_bits
    for name, view in parameters.items():
        if name == "hidden1.weight" and config.init == "sparse":
            view[:] = _sparse(rng, *view.shape)
            if config.encoding == "binary":
                np.abs(view, out=view)
        else:
            view[...] = rng.uniform(-1.0, 1.0, view.shape) / math.sqrt(inputs)
        if name.startswith("hidden") and name.endswith("bias"):
            inputs = len(view)


def _sparse(rng: np.random.Generator, inputs: int, units: int) -> NDArray[np.float64]:
    """Return first-layer weights [inputs, units] with one weight per unit.

    Each round of `inputs` units uses every input once, in random order. The sign of an input is drawn for the
    first round, and changes from one round to the next.
    """
    rounds = -(-units // inputs)
    chosen = np.concatenate([rng.permutation(inputs) for _ in range(rounds)])[:units]
    signs = rng.choice([-1.0, 1.0], size=inputs)[chosen]
    weights = np.zeros((inputs, units))
    weights[chosen, np.arange(units)] = signs * (-1.0) ** (np.arange(units) // inputs)
    return weights
