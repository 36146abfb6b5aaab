"""Checks at the door: TypeError for a wrong kind, ValueError for a wrong value; one sentence with what is allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def shown(value: object) -> str:
    """`value` as a sentence can hold it: its repr in one line, cut off where it is long."""
    return one_line(repr(value), 100)


def one_line(text: str, most: int = 300) -> str:
    """`text` in one line of at most so many characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


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


def check_bool(name: str, value: object) -> bool:
    """`value` as a bool; TypeError unless it is True or False, Python's or NumPy's."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def check_path(name: str, path: object) -> None:
    """TypeError or ValueError unless `path` can name a file."""
    if not isinstance(path, (str, PathLike)):
        raise TypeError(f"{name} must be a str or os.PathLike, got {shown(path)}")
    if "\0" in str(path):
        raise ValueError(f"{name} must be without null characters, got {shown(path)}")


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
        raise ValueError(f"{name} must be an array, or sequences of equal lengths, got {shown(value)}") from None


# --- what Gymnasium's callers hand in, where a list is as welcome as an array ---


def as_actions(actions: object, shape: tuple[int, ...], n_actions: int) -> NDArray[np.uint16]:
    """`actions` as uint16; TypeError or ValueError unless they are integers of this shape in [0, n_actions)."""
    array = as_array("actions", actions)
    if array.dtype.kind not in "iu":
        got = f"an array of {array.dtype}" if array.ndim else shown(array.item())
        raise TypeError(f"actions must be integers from 0 to {n_actions - 1}, got {got}")
    if array.shape != shape:
        wanted = f"an array of shape {list(shape)}" if shape else "one integer"
        raise ValueError(f"actions must be {wanted}, got shape {list(array.shape)}")
    if array.min() < 0 or array.max() >= n_actions:
        worst = array[(array < 0) | (array >= n_actions)].flat[0]
        raise ValueError(f"actions must be integers from 0 to {n_actions - 1}, got {worst}")
    return array.astype(np.uint16)


def as_goals(n_bits: int, **goals: object) -> list[NDArray[Any]]:
    """`goals` as arrays of one shape, [n_bits] or [B, n_bits]; TypeError or ValueError unless all values are 0 or 1."""
    arrays = {name: as_array(name, goal) for name, goal in goals.items()}
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    first = next(iter(arrays.values()))
    for name, array in arrays.items():
        if array.ndim not in (1, 2) or array.shape[-1] != n_bits or array.shape != first.shape:
            got = " and ".join(f"{shape} for {other}" for other, shape in shapes.items())
            raise ValueError(f"{name} must have shape [{n_bits}] or [B, {n_bits}], both goals the same, got {got}")
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name} must be numbers, 0 or 1, got dtype {array.dtype}")
        check_zero_or_one(name, array)
    return list(arrays.values())


def as_elapsed(info: object, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """`elapsed_steps` of one info dict: []; of a dict of arrays or a sequence of dicts: [B]."""
    try:
        if isinstance(info, Mapping):
            steps = as_array("elapsed_steps", info["elapsed_steps"])
        elif isinstance(info, (list, tuple, np.ndarray)) and all(isinstance(single, Mapping) for single in info):
            steps = as_array("elapsed_steps", [single["elapsed_steps"] for single in info])
        else:
            raise TypeError(f"info must be a dict (of arrays for a batch) or a sequence of dicts, got {shown(info)}")
    except KeyError:
        raise ValueError("compute_truncated needs elapsed_steps in every info, which step() provides") from None
    if steps.shape != shape:
        raise ValueError(f"elapsed_steps must have the batch's shape {list(shape)}, got {list(steps.shape)}")
    if steps.dtype.kind not in "iu" and steps.size:
        raise TypeError(f"elapsed_steps must be integers >= 0, got dtype {steps.dtype}")
    if (steps < 0).any():
        raise ValueError(f"elapsed_steps must be integers >= 0, got {steps.min()}")
    return steps
