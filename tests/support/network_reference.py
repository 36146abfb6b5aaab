"""Random inputs and parameters of a QNetwork, also in the form of the reference."""

import numpy as np
from reference import network as reference

from herfast import Minibatches, pack_bits


def random_packed(rng, *shape, n_bits):
    """Return random packed bits, uint64[*shape, W]."""
    return pack_bits(rng.integers(0, 2, (*shape, n_bits)))


def random_minibatches(rng, n_updates, batch_size, n_state_bits, n_goal_bits, n_actions, flips=1):
    """Return minibatches; next states differ from states in up to `flips` bits."""
    shape = (n_updates, batch_size)
    bits = rng.integers(0, 2, (*shape, n_state_bits))
    next_bits = bits.copy()
    for _ in range(flips):
        index = rng.integers(0, n_state_bits, shape)[..., None]
        np.put_along_axis(next_bits, index, 1 - np.take_along_axis(next_bits, index, -1), -1)
    terminated = rng.random(shape) < 0.2
    return Minibatches(
        states=pack_bits(bits),
        next_states=pack_bits(next_bits),
        goals=random_packed(rng, *shape, n_bits=n_goal_bits),
        actions=rng.integers(0, n_actions, shape).astype(np.uint16),
        rewards=np.where(terminated, 0, -1).astype(np.float32),
        terminated=terminated,
        steps_to_goal=rng.integers(0, 9, shape).astype(np.int32),
    )


def dense_minibatch(network, batches, u, dtype=np.float64):
    """Return minibatch `u` with dense inputs, for the reference."""
    sizes = (network.n_state_bits, network.n_goal_bits)
    one = {name: array[u] for name, array in batches._asdict().items()}
    encoding = network.config.encoding
    x = reference.inputs(one["states"], one["goals"], *sizes, dtype, encoding)
    x_next = reference.inputs(one["next_states"], one["goals"], *sizes, dtype, encoding)
    return {**one, "actions": one["actions"].astype(int), "x": x, "x_next": x_next}


def copy_parameters(network, which, dtype=np.float64):
    return {name: array.astype(dtype) for name, array in network.parameters(which).items()}


def randomise_parameters(network, rng, scale=0.5):
    """Set random parameters, so that online, target and all biases differ."""
    for which in ("online", "target"):
        for array in network.parameters(which).values():
            array[...] = rng.normal(
                0, scale / np.sqrt(max(1, array.shape[0] if array.ndim else 1)), array.shape
            )
    network.refresh()


def reference_q_values(network, states, goals, which="online"):
    sizes = (network.n_state_bits, network.n_goal_bits)
    x = reference.inputs(states, goals, *sizes, np.float64, network.config.encoding)
    return reference.forward(copy_parameters(network, which), x)[1]
