"""Infos of steps as JSON values, so that files can hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from herfast.common.validation import is_json, short_repr


def as_json(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return an info whose arrays are lists and whose NumPy scalars are Python's.

    Raises:
        TypeError: A value is neither a number, text, an array of numbers, nor a list or dict of them.
    """
    converted = {key: _converted(value) for key, value in info.items()}
    for key, value in converted.items():
        if not is_json({key: value}):
            raise TypeError(
                f"copy_info_dict=True needs infos of numbers, texts, arrays, and lists or dicts of them, "
                f"got {short_repr(value)} as {key!r}"
            )
    return converted


def _converted(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _converted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_converted(item) for item in value]
    return value
