"""Reference bit-flipping environment with Python integers, one episode at a time."""

from numpy.random import BitGenerator
from reference.bits import prefix
from reference.draw import words


def reset(raw: BitGenerator, n_bits: int) -> tuple[int, int]:
    n_words = -(-n_bits // 64)
    start = goal = prefix(words(raw, n_words), n_bits)
    while goal == start:
        goal = prefix(words(raw, n_words), n_bits)
    return start, goal


def reset_to(raw: BitGenerator, n_bits: int, goal: int) -> int:
    """Return a start state other than the fixed goal."""
    start = goal
    while start == goal:
        start = prefix(words(raw, -(-n_bits // 64)), n_bits)
    return start


def step(state: int, goal: int, action: int) -> tuple[int, bool]:
    """Return the next state, and True if it is the goal."""
    next_state = state ^ 1 << action
    return next_state, next_state == goal
