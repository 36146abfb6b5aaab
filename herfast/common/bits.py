"""Conversion between arrays of bits and packed words: bit i of a string is bit i & 63 of word i >> 6, the rest is 0.

Also the only module that imports the compiled core.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from herfast.common.batches import Words, n_words
from herfast.common.validation import as_array, check_integer, check_zero_or_one, short_repr

try:
    from herfast import _core
except ImportError as error:
    raise ImportError(
        "herfast was imported from its source folder, which holds no compiled core (herfast._core): "
        "run `pip install .` or `pip install -e .` there"
    ) from error

__all__ = ["_core", "pack_bits", "unpack_bits"]


def pack_bits(bits: ArrayLike) -> Words:
    """Pack bits [..., n] into words uint64[..., W], W = ceil(n / 64).

    `bits` is an array or a nested sequence of booleans or of integers of any width. Raises TypeError for other types,
    ValueError for a value that is neither 0 nor 1.
    """
    return pack_named("bits", bits)


def pack_named(name: str, bits: ArrayLike) -> Words:
    """`pack_bits`, for bits that the caller knows by another name."""
    array = as_array(name, bits)
    if array.size == 0 and not isinstance(bits, np.ndarray):
        array = array.astype(np.uint8)  # an empty list has no dtype of its own
    if array.dtype.kind not in "biu":
        raise TypeError(f"{name} must be booleans or integers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{name} must have one axis or more, got the single value {short_repr(bits)}")
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    if array.dtype.itemsize > 1:
        check_zero_or_one(name, array)  # before 256 is narrowed to 0
    *leading, n_bits = array.shape
    rows, width = prod(leading), n_words(n_bits)
    narrow = array.view(np.uint8) if array.dtype.itemsize == 1 else array.astype(np.uint8)
    flat = np.ascontiguousarray(narrow).reshape(rows, n_bits)
    words = np.empty((*leading, width), np.uint64)
    if _core.pack_bits(flat, words.reshape(rows, width)) > 1:
        check_zero_or_one(name, array)
    return words


def unpack_bits(words: Words, n_bits: int) -> NDArray[np.bool_]:
    """Unpack words uint64[..., W] into bool[..., n_bits], whose `.view(np.int8)` costs nothing.

    Raises TypeError unless the words are uint64, ValueError unless W = ceil(n_bits / 64) and every bit at or past
    n_bits is 0.
    """
    words, n_bits = as_array("words", words), check_integer("n_bits", n_bits, 0, 2**40)
    if words.dtype != np.uint64:
        raise TypeError(f"words must be uint64, got dtype {words.dtype}")
    if words.ndim == 0:
        raise ValueError(f"words must have one axis or more, got the single word {words}")
    *leading, width = words.shape
    if width != n_words(n_bits):
        raise ValueError(f"{n_bits} bits take {n_words(n_bits)} words, got words of shape {words.shape}")
    bits = np.empty((*leading, n_bits), np.bool_)
    rows = prod(leading)
    _core.unpack_bits(np.ascontiguousarray(words).reshape(rows, width), bits.reshape(rows, n_bits).view(np.uint8))
    return bits
