"""Conversion between arrays of bits and packed 64-bit words.

Bit i of a string is bit i & 63 of word i >> 6. Unused bits of the last word are 0. This is the only module
that imports the compiled core, `_core`, `_core_envs` and `_core_sb3`.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from herfast.common.batches import Words, n_words
from herfast.common.validation import as_array, check_integer, check_zero_or_one, short_repr

try:
    from herfast import _core, _core_envs, _core_sb3
except ImportError as error:
    raise ImportError(
        "herfast was imported from its source folder, which holds no compiled core (herfast._core, "
        "herfast._core_envs and herfast._core_sb3): run `pip install .` or `pip install -e .` there"
    ) from error

__all__ = ["_core", "_core_envs", "_core_sb3", "pack_bits", "unpack_bits"]


def pack_bits(bits: ArrayLike) -> Words:
    """Pack bits into 64-bit words.

    Args:
        bits: Array or nested sequence [..., n] of booleans or of integers of any width, each 0 or 1.

    Returns:
        Words uint64[..., W], where W = ceil(n / 64).

    Raises:
        TypeError: `bits` holds neither booleans nor integers.
        ValueError: A value is neither 0 nor 1, or `bits` has no axis.
    """
    return pack_named("bits", bits)


def pack_named(name: str, bits: ArrayLike) -> Words:
    """Pack bits as `pack_bits` does, and call them `name` in error messages."""
    array = as_array(name, bits)
    if array.size == 0 and not isinstance(bits, np.ndarray):
        array = array.astype(np.uint8)  # NumPy makes an empty list float64
    if array.dtype.kind not in "biu":
        raise TypeError(f"{name} must be booleans or integers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{name} must have at least one axis, got the single value {short_repr(bits)}")
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    if array.dtype.itemsize > 1:
        check_zero_or_one(name, array)  # the conversion to uint8 would turn 256 into 0
        array = array.astype(np.uint8)
    *leading, n_bits = array.shape
    rows = prod(leading)
    width = n_words(n_bits)
    flat = np.ascontiguousarray(array.view(np.uint8)).reshape(rows, n_bits)
    words = np.empty((*leading, width), np.uint64)
    if _core.pack_bits(flat, words.reshape(rows, width)) > 1:
        check_zero_or_one(name, array)
    return words


def unpack_bits(words: Words, n_bits: int) -> NDArray[np.bool_]:
    """Unpack 64-bit words into bits.

    Args:
        words: uint64[..., W], where W = ceil(n_bits / 64).
        n_bits: Number of bits, from 0 to 2**40.

    Returns:
        bool[..., n_bits]. Its `.view(np.int8)` makes no copy.

    Raises:
        TypeError: `words` is not uint64, or `n_bits` is not an integer.
        ValueError: W is not ceil(n_bits / 64), or a bit at or past n_bits is 1.
    """
    words = as_array("words", words)
    n_bits = check_integer("n_bits", n_bits, 0, 2**40)
    if words.dtype != np.uint64:
        raise TypeError(f"words must be uint64, got dtype {words.dtype}")
    if words.ndim == 0:
        raise ValueError(f"words must have at least one axis, got the single word {words}")
    *leading, width = words.shape
    if width != n_words(n_bits):
        raise ValueError(f"{n_bits} bits take {n_words(n_bits)} words, got words of shape {words.shape}")
    bits = np.empty((*leading, n_bits), np.bool_)
    rows = prod(leading)
    _core.unpack_bits(
        np.ascontiguousarray(words).reshape(rows, width), bits.reshape(rows, n_bits).view(np.uint8)
    )
    return bits
