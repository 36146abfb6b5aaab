"""Tests of rendering a state and its goal."""

import numpy as np
import pytest

from herfast.envs import rendering
from herfast.plotting import style


@pytest.mark.parametrize(
    ("n_bits", "height", "width"), [(1, 50, 32), (20, 50, 374), (32, 50, 590), (100, 200, 590)]
)
def test_the_image_has_two_squares_per_bit(n_bits: int, height: int, width: int) -> None:
    rng = np.random.default_rng(n_bits)
    state, goal = rng.integers(0, 2, (2, n_bits), dtype=np.int8)
    pixels = rendering.render_rgb_array(state, goal)
    assert (pixels.dtype, pixels.shape) == (np.dtype(np.uint8), (height, width, 3))
    correct = ("#c9d8ea", style.BLUE)  # colours of 0 and 1
    wrong = ("#f7d3b3", style.ORANGE)
    for bit, (state_bit, goal_bit) in enumerate(zip(state.tolist(), goal.tolist(), strict=True)):
        top = 50 * (bit // 32) + 8
        left = 18 * (bit % 32) + 8
        state_colours = correct if state_bit == goal_bit else wrong
        for y, colour in ((top, correct[goal_bit]), (top + 18, state_colours[state_bit])):
            square = pixels[y : y + 16, left : left + 16]
            assert np.array_equal(square, np.broadcast_to([*bytes.fromhex(colour[1:])], (16, 16, 3)))
            square[:] = 255
    assert (pixels == 255).all(), "nothing else is drawn"


def test_bits_past_the_goal_are_grey() -> None:
    state = np.array([1, 0, 0, 1, 0], np.int8)
    goal = np.array([1, 1, 0], np.int8)
    pixels = rendering.render_rgb_array(state, goal)
    assert pixels.shape == (50, 104, 3)
    np.testing.assert_array_equal(pixels[:, :54], rendering.render_rgb_array(state[:3], goal)[:, :54])
    for left, colour in ((8 + 3 * 18, 0x70), (8 + 4 * 18, 0xE0)):
        square = pixels[26:42, left : left + 16]
        assert (square == colour).all()
        square[:] = 255
    assert (pixels[:, 62:] == 255).all(), "nothing else is drawn"
    assert rendering.render_ansi(state, goal) == "state 10010 goal 110"
