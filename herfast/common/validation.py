"""Argument validation.

Functions raise TypeError for a wrong type and ValueError for a value out of range. The message names the
argument and states what is allowed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray


class FixedAttributes:
    """Base class of objects whose settings are set once and never change.

    Attributes:
        FIXED: names of attributes that cannot be set again.
        SETTINGS: names of fields of `config`, which are no attributes.
    """

    FIXED: ClassVar[frozenset[str]]
    SETTINGS: ClassVar[frozenset[str]] = frozenset()

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.SETTINGS:
            raise AttributeError(f"{name} is a field of config: set config instead of {name}")
        if name in self.FIXED and name in self.__dict__:
            owner = type(self).__name__
            raise AttributeError(
                f"{name} cannot be changed to {short_repr(value)}, it is {short_repr(getattr(self, name))}: "
                f"create a new {owner}"
            )
        super().__setattr__(name, value)


def short_repr(value: object) -> str:
    """Return the repr of `value` in one line of at most 100 characters."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return one_line(text, 100)


def one_line(text: str, max_length: int = 300) -> str:
    """Return `text` in one line of at most `max_length` characters."""
    text = " ".join(text.split())
    if len(text) > max_length:
        text = f"{text[: max_length - 3]}..."
    return text


def is_json(value: object) -> bool:
    """Return whether `value` is unchanged after conversion to JSON and back."""
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def check_integer(name: str, value: object, low: int, high: int) -> int:
    """Return `value` as an int.

    Raises:
        TypeError: It is not an integer of Python or NumPy. A bool is not an integer here.
        ValueError: It is not in [low, high].
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer from {low:,} to {high:,}, got {short_repr(value)}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low:,} to {high:,}, got {int(value):,}")
    return int(value)


def check_choice(name: str, value: object, allowed: Collection[str]) -> None:
    """Raise ValueError unless `value` is one of the strings in `allowed`."""
    if not (isinstance(value, str) and value in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {short_repr(value)}")


def check_bool(name: str, value: object) -> bool:
    """Return `value` as a bool; raise TypeError unless it is a Python or NumPy bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {short_repr(value)}")
    return bool(value)


def check_path(name: str, path: object) -> None:
    """Raise an error unless `path` can name a file.

    Raises:
        TypeError: It is neither a str nor an os.PathLike of a str.
        ValueError: It contains a null character or another one that no file name can contain.
    """
    text = None
    if isinstance(path, (str, PathLike)):
        text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str or os.PathLike, got {short_repr(path)}")
    if "\0" in text:
        raise ValueError(f"{name} must not contain null characters, got {short_repr(path)}")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError(f"{name} must not contain lone surrogates, got {short_repr(path)}") from None


def check_array(name: str, array: object, dtype: DTypeLike, ndim: int) -> None:
    """Raise an error unless `array` has this dtype and number of axes.

    Raises:
        TypeError: It is not a NumPy array of `dtype`.
        ValueError: It does not have `ndim` axes.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array of {np.dtype(dtype)}, got {type(array).__name__}")
    if array.dtype != dtype:
        raise TypeError(f"{name} must be a NumPy array of {np.dtype(dtype)}, got dtype {array.dtype}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")


def check_names(what: str, given: object, expected: Iterable[str]) -> None:
    """Raise an error unless `given` is a mapping with exactly the keys `expected`.

    Raises:
        TypeError: It is not a mapping.
        ValueError: A key is missing or unknown.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"{what} must be a dict, got {short_repr(given)}")
    expected = set(expected)
    for name in sorted(expected - given.keys()):
        raise ValueError(f"{name} is missing")
    for name in given.keys() - expected:
        raise ValueError(f"{short_repr(name)} is unknown")


def check_matches(name: str, saved: object, own: NDArray[Any], any_length: bool = False) -> None:
    """Raise an error unless `saved` has the dtype and shape of `own`.

    With `any_length` the first axis may have any length.

    Raises:
        TypeError: `saved` is not a NumPy array.
        ValueError: Its dtype or shape differs.
    """
    if not isinstance(saved, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array of {own.dtype}, got {type(saved).__name__}")
    shape = own.shape
    if any_length:
        shape = saved.shape[:1] + own.shape[1:]
    if saved.shape != shape or saved.ndim != own.ndim or saved.dtype != own.dtype:
        raise ValueError(f"{name} should be {own.dtype} {shape}, is {saved.dtype} {saved.shape}")


def check_layout(name: str, array: NDArray[Any]) -> None:
    """Raise ValueError unless `array` is C-contiguous and, if named out_*, writable."""
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous, got strides {array.strides} with shape {array.shape}")
    if name.startswith("out_") and not array.flags.writeable:
        raise ValueError(f"{name} must be writable, got a read-only array")


def check_zero_or_one(name: str, array: NDArray[Any]) -> None:
    """Raise ValueError unless all values are 0 or 1."""
    bad = (array != 0) & (array != 1)
    if bad.any():
        raise ValueError(f"{name} must be 0 or 1, got {array[bad][0]}")


def as_array(name: str, value: object) -> NDArray[Any]:
    """Return `value` as an array; raise ValueError for sequences of unequal lengths."""
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name} must be an array, or sequences of equal lengths, got {short_repr(value)}"
        ) from None
