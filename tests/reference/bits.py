"""Bit strings as Python integers: bit i of the string is bit i of the integer."""

from collections.abc import Sequence

import numpy as np


def from_bits(bits: Sequence[int]) -> int:
    return sum(1 << i for i, bit in enumerate(bits) if bit)


def to_bits(string: int, n_bits: int) -> list[bool]:
    return [bool(string >> i & 1) for i in range(n_bits)]


def from_words(words: Sequence[int]) -> int:
    return sum(int(word) << 64 * w for w, word in enumerate(words))


def to_words(string: int, n_bits: int) -> np.ndarray:
    return np.array([string >> 64 * w & (2**64 - 1) for w in range(-(-n_bits // 64))], np.uint64)


def prefix(string: int, n_bits: int) -> int:
    return string % 2**n_bits
