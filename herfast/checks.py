"""Checks at the door: TypeError for a wrong kind, ValueError for a wrong value; one sentence with what is allowed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def shown(value: object) -> str:
    """`value` as a sentence can hold it: its repr in one line, cut off where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def check_integer(name: str, value: object, low: int, high: int) -> int:
    """`value` as an int; TypeError unless it is an integer (NumPy's are, bool is not), ValueError unless in range."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer from {low:,} to {high:,}, got {shown(value)}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low:,} to {high:,}, got {int(value):,}")
    return int(value)


def check_choice(name: str, value: object, allowed: Collection[str]) -> None:
    """ValueError unless `value` is one of the words in `allowed`."""
    if not (isinstance(value, str) and value in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {shown(value)}")


def check_array(name: str, array: object, dtype: DTypeLike, ndim: int) -> None:
    """TypeError unless `array` is a NumPy array of `dtype`, ValueError unless it has `ndim` axes."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name} must be a NumPy array of {np.dtype(dtype)}, got {got}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")


def check_layout(name: str, array: NDArray[Any]) -> None:
    """ValueError unless `array` is C-contiguous and, where its name begins with out_, writable."""
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous, got strides {array.strides} with shape {array.shape}")
    if name.startswith("out_") and not array.flags.writeable:
        raise ValueError(f"{name} must be writable, got a read-only array")


def as_array(name: str, value: object) -> NDArray[Any]:
    """`value` as an array; ValueError for sequences that are no array, since their lengths differ."""
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be an array, or sequences of equal lengths, got {shown(value)}") from None
