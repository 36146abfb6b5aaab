"""Bounded draws from raw 64-bit outputs, as specified in csrc/draw.h."""

from numpy.random import BitGenerator


def words(raw: BitGenerator, n_words: int) -> int:
    """Return `n_words` outputs as one integer, the first in the lowest bits."""
    return sum(int(raw.random_raw()) << 64 * w for w in range(n_words))


def below(raw: BitGenerator, n: int) -> int:
    """Return a uniform draw from 0..n-1 (Lemire 2019).

    Of the 2^64 outputs, the 2^64 mod n with the smallest low product words are rejected.
    """
    while True:
        high, low = divmod(int(raw.random_raw()) * n, 2**64)
        if low >= 2**64 % n:
            return high
