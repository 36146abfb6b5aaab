"""Keys of Gymnasium observations, and equality of nested results."""

from __future__ import annotations

from typing import Any

import numpy as np

OBSERVATION_KEYS = ("observation", "achieved_goal", "desired_goal")


def assert_equal_nested(ours: Any, theirs: Any, where: str = "") -> None:
    """Assert that keys, types, dtypes, shapes and values are equal.

    Dicts, sequences and object arrays are compared recursively.
    """
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), where
        assert ours.keys() == theirs.keys(), where
        for key in theirs:
            assert_equal_nested(ours[key], theirs[key], f"{where}[{key!r}]")
    elif isinstance(theirs, (tuple, list)):
        for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            assert_equal_nested(our, their, f"{where}[{i}]")
    elif isinstance(theirs, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), where
        if theirs.dtype == object:
            for our, their in zip(ours.flat, theirs.flat, strict=True):
                assert_equal_nested(our, their, where)
        else:
            np.testing.assert_array_equal(ours, theirs, where)
    else:
        assert type(ours) is type(theirs), where
        assert ours == theirs, where
