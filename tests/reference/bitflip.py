"""The bit-flipping game, one game at a time, states and goals as Python integers."""

from numpy.random import BitGenerator
from reference.bits import prefix
from reference.draw import words


def reset(raw: BitGenerator, n_bits: int) -> tuple[int, int]:
    n_words = -(-n_bits // 64)
    start = goal = prefix(words(raw, n_words), n_bits)
    while goal == start:
        goal = prefix(words(raw, n_words), n_bits)
    return start, goal


def step(state: int, goal: int, action: int) -> tuple[int, bool]:
    """The next state, and whether it is the goal."""
    following = state ^ 1 << action
    return following, following == goal
