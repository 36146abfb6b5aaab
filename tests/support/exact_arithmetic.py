"""Small random integers for tests of kernels.

Their float32 sums are exact in any order.
"""

import numpy as np

SENTINEL = 77  # value of elements that must not be written


def random_integers(rng, *shape):
    return rng.integers(-8, 9, shape).astype(np.float32)
