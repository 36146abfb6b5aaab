"""Named views of the flat vector of a network's parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from herfast.networks.arrays import Floats, Layout, padded


def parameter_views(flat: Floats, shape: Layout, hidden: Sequence[int]) -> Iterator[tuple[str, Floats]]:
    """Yield name and view of each parameter.

    Args:
        flat: the parameters, float32[P].
        shape: the layout of the parameters, with padded widths.
        hidden: widths of the hidden layers.
    """
    inputs = padded_inputs = shape.n_inputs
    first = 0
    for layer, width in enumerate(hidden):
        padded_width = padded(width)
        biases = first + padded_inputs * padded_width
        rows = flat[first:biases].reshape(-1, padded_width)
        yield f"hidden{layer + 1}.weight", rows[:inputs, :width]
        yield f"hidden{layer + 1}.bias", flat[biases : biases + width]
        inputs, padded_inputs = width, padded_width
        first = biases + padded_width
    name = "output"
    if shape.value is not None:
        name = "advantage"
    biases = first + shape.n_actions * padded_inputs
    yield f"{name}.weight", flat[first:biases].reshape(shape.n_actions, padded_inputs)[:, :inputs]
    yield f"{name}.bias", flat[biases : biases + shape.n_actions]
    if shape.value is not None:
        yield "value.weight", flat[shape.value : shape.value + inputs]
        yield "value.bias", flat[shape.value + padded_inputs : shape.value + padded_inputs + 1].reshape(())
