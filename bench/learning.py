"""Random minibatches and a timer for the benchmarks of updates."""

import time

import numpy as np

from herfast import Minibatches, pack_bits

UPDATES = 40
BATCH = 128
WINDOWS = 25


def minibatches(rng, n_bits):
    """Return random transitions of BitFlip as Minibatches and as dense minibatches.

    In 10 % of them the step reaches the goal, as after relabelling.
    """
    bits = rng.integers(0, 2, (UPDATES, BATCH, n_bits))
    actions = rng.integers(0, n_bits, (UPDATES, BATCH))
    next_bits = bits.copy()
    np.put_along_axis(next_bits, actions[..., None], 1 - np.take_along_axis(bits, actions[..., None], -1), -1)
    goals = rng.integers(0, 2, bits.shape)
    reached = rng.random((UPDATES, BATCH)) < 0.1
    goals[reached] = next_bits[reached]
    steps = np.where(reached, 1, rng.integers(0, n_bits, (UPDATES, BATCH)))
    batches = Minibatches(
        states=pack_bits(bits),
        next_states=pack_bits(next_bits),
        goals=pack_bits(goals),
        actions=actions.astype(np.uint16),
        rewards=np.where(reached, 0, -1).astype(np.float32),
        terminated=reached,
        steps_to_goal=steps.astype(np.int32),
    )
    signs = [2 * np.concatenate([part, goals], axis=-1).astype(np.float32) - 1 for part in (bits, next_bits)]
    return batches, [
        {
            "x": signs[0][u],
            "x_next": signs[1][u],
            "actions": actions[u],
            "rewards": batches.rewards[u],
            "terminated": reached[u],
            "steps_to_goal": batches.steps_to_goal[u],
        }
        for u in range(UPDATES)
    ]


def seconds(function):
    """Return the wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
