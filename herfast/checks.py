"""Checks at the door: TypeError for a wrong kind, ValueError for a wrong value; one sentence with what is allowed."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike


def check_integer(name: str, value: object, low: int, high: int) -> int:
    """`value` as an int; TypeError unless it is an integer (NumPy's are, bool is not), ValueError unless in range."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer from {low:,} to {high:,}, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low:,} to {high:,}, got {int(value):,}")
    return int(value)


def check_array(name: str, array: object, dtype: DTypeLike, ndim: int) -> None:
    """TypeError unless `array` is a NumPy array of `dtype`, ValueError unless it has `ndim` axes."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name} must be a NumPy array of {np.dtype(dtype)}, got {got}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")
