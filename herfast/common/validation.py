"""Argument validation.

TypeError for a wrong type, ValueError for a value out of range; the message states what is allowed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def short_repr(value: object) -> str:
    """`value` as a sentence can hold it: its repr in one line, cut off where it is long."""
    return one_line(repr(value), 100)


def one_line(text: str, most: int = 300) -> str:
    """`text` in one line of at most so many characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def check_integer(name: str, value: object, low: int, high: int) -> int:
    """`value` as an int; TypeError unless it is an integer (NumPy's are, bool is not), ValueError unless in range."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer from {low:,} to {high:,}, got {short_repr(value)}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low:,} to {high:,}, got {int(value):,}")
    return int(value)


def check_choice(name: str, value: object, allowed: Collection[str]) -> None:
    """ValueError unless `value` is one of the words in `allowed`."""
    if not (isinstance(value, str) and value in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {short_repr(value)}")


def check_bool(name: str, value: object) -> bool:
    """`value` as a bool; TypeError unless it is True or False, Python's or NumPy's."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {short_repr(value)}")
    return bool(value)


def check_path(name: str, path: object) -> None:
    """TypeError or ValueError unless `path` can name a file."""
    if not isinstance(path, (str, PathLike)):
        raise TypeError(f"{name} must be a str or os.PathLike, got {short_repr(path)}")
    if "\0" in str(path):
        raise ValueError(f"{name} must be without null characters, got {short_repr(path)}")


def check_file(path: Path) -> None:
    """FileNotFoundError or IsADirectoryError unless `path` is in a folder, and is none."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")


def check_array(name: str, array: object, dtype: DTypeLike, ndim: int) -> None:
    """TypeError unless `array` is a NumPy array of `dtype`, ValueError unless it has `ndim` axes."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name} must be a NumPy array of {np.dtype(dtype)}, got {got}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")


def check_names(what: str, given: object, wanted: Iterable[str]) -> None:
    """TypeError unless `given` is a mapping, ValueError unless its keys are exactly the `wanted` ones."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{what} must be a dict, got {short_repr(given)}")
    wanted = set(wanted)
    for name in sorted(wanted - given.keys()):
        raise ValueError(f"{name} is missing")
    for name in given.keys() - wanted:
        raise ValueError(f"{short_repr(name)} is unknown")


def check_matches(name: str, saved: object, own: NDArray[Any], any_length: bool = False) -> None:
    """ValueError unless `saved` has the dtype and shape of `own`, but for the first axis with `any_length`."""
    if not isinstance(saved, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array of {own.dtype}, got {type(saved).__name__}")
    shape = saved.shape[:1] + own.shape[1:] if any_length else own.shape
    if saved.shape != shape or saved.dtype != own.dtype:
        raise ValueError(f"{name} should be {own.dtype} {shape}, is {saved.dtype} {saved.shape}")


def check_layout(name: str, array: NDArray[Any]) -> None:
    """ValueError unless `array` is C-contiguous and, where its name begins with out_, writable."""
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous, got strides {array.strides} with shape {array.shape}")
    if name.startswith("out_") and not array.flags.writeable:
        raise ValueError(f"{name} must be writable, got a read-only array")


def check_zero_or_one(name: str, array: NDArray[Any]) -> None:
    """ValueError unless all values are 0 or 1."""
    bad = (array != 0) & (array != 1)
    if bad.any():
        raise ValueError(f"{name} must be 0 or 1, got {array[bad][0]}")


def as_array(name: str, value: object) -> NDArray[Any]:
    """`value` as an array; ValueError for sequences that are no array, since their lengths differ."""
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be an array, or sequences of equal lengths, got {short_repr(value)}") from None
