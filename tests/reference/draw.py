"""Bounded draws from raw 64-bit outputs, as csrc/draw.h promises them."""

from numpy.random import BitGenerator


def words(raw: BitGenerator, n_words: int) -> int:
    """`n_words` outputs as one integer, the first output lowest."""
    return sum(int(raw.random_raw()) << 64 * w for w in range(n_words))


def below(raw: BitGenerator, n: int) -> int:
    """Uniform on 0..n-1 (Lemire 2019): of the 2^64 outputs, the 2^64 mod n whose low product word is smallest go."""
    while True:
        high, low = divmod(int(raw.random_raw()) * n, 2**64)
        if low >= 2**64 % n:
            return high
