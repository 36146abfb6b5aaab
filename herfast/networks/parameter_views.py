"""Named views of the flat vector of a network's parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from herfast.networks.kernels.packed_layer import LAST
from herfast.networks.kernels.simd import Floats, Integers


def parameter_views(
    flat: Floats, shape: Integers, n_inputs: int, hidden: Sequence[int], dueling: bool
) -> Iterator[tuple[str, Floats]]:
    """Yield name and view of each parameter.

    Args:
        flat: the parameters, float32[P].
        shape: int64[L + 1, 4], the layout of the parameters, with padded widths.
        n_inputs: number of state bits and goal bits.
        hidden: widths of the hidden layers.
        dueling: whether the output layer has an advantage and a value.
    """
    inputs = n_inputs
    for layer, width in enumerate(hidden):
        _, padded, weights, biases = shape[layer]
        rows = flat[weights:biases].reshape(-1, padded)
        yield f"hidden{layer + 1}.weight", rows[:inputs, :width]
        yield f"hidden{layer + 1}.bias", flat[biases : biases + width]
        inputs = width
    terms, actions, weights, biases = shape[LAST]
    name = "output"
    if dueling:
        name = "advantage"
    yield f"{name}.weight", flat[weights:biases].reshape(actions, terms)[:, :inputs]
    yield f"{name}.bias", flat[biases : biases + actions]
    if dueling:
        yield "value.weight", flat[biases + actions : biases + actions + inputs]
        yield "value.bias", flat[biases + actions + terms : biases + actions + terms + 1].reshape(())
