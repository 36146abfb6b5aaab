"""A state and its goal in pixels."""

import numpy as np
import pytest

from herfast.envs import rendering
from herfast.plotting import style


@pytest.mark.parametrize(("n_bits", "height", "width"), [(1, 50, 32), (20, 50, 374), (32, 50, 590), (100, 200, 590)])
def test_the_picture_has_two_squares_per_bit(n_bits: int, height: int, width: int) -> None:
    rng = np.random.default_rng(n_bits)
    state, goal = rng.integers(0, 2, (2, n_bits), dtype=np.int8)
    pixels = rendering.render_rgb_array(state, goal)
    assert (pixels.dtype, pixels.shape) == (np.dtype(np.uint8), (height, width, 3))
    right, wrong = ("#c9d8ea", style.BLUE), ("#f7d3b3", style.ORANGE)  # of a 0, of a 1
    for bit, (is_, wanted) in enumerate(zip(state.tolist(), goal.tolist(), strict=True)):
        top, left = 50 * (bit // 32) + 8, 18 * (bit % 32) + 8
        above, below = right[wanted], (right if is_ == wanted else wrong)[is_]
        for y, colour in ((top, above), (top + 18, below)):
            square = pixels[y : y + 16, left : left + 16]
            assert np.array_equal(square, np.broadcast_to([*bytes.fromhex(colour[1:])], (16, 16, 3)))
            square[:] = 255
    assert (pixels == 255).all(), "and nothing else is drawn"
