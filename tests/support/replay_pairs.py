"""A replay buffer and its reference that hold the same random episodes."""

import numpy as np
from reference.ring import Ring
from support.trajectories import add_to_reference, random_episodes

from herfast import HindsightReplay


def make_pair(capacity, n_bits, n_goal_bits=None, *, additions=4, seed=0, max_steps=6, **options):
    """Return a HindsightReplay and a reference Ring after `additions` calls of `add`."""
    rng = np.random.default_rng((capacity, n_bits, seed))
    replay = HindsightReplay(capacity, n_bits, n_goal_bits, seed=seed, **options)
    ring = Ring(capacity, n_goal_bits or n_bits)
    for _ in range(additions):
        trajectories = random_episodes(rng, n_bits, n_goal_bits, max_steps=max_steps)
        replay.add(trajectories)
        add_to_reference(ring, trajectories)
    return replay, ring


def assert_equal_batches(batches, others):
    """Assert that two Minibatches have equal values and dtypes."""
    for array, other in zip(batches, others, strict=True):
        np.testing.assert_array_equal(array, other)
        assert array.dtype == other.dtype
