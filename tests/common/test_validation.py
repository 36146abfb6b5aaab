"""Tests of the validation of paths, and of names and arrays in a saved state."""

from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from herfast.common.validation import check_matches, check_names, check_path, is_json, short_repr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"a": 1, "b": None}, ["a", "b"]),
        ({"b": 1, "a": 2}, {"a": 0, "b": 0}),
        ({"a": 1}, (name for name in ["a", "a"])),
        (MappingProxyType({"a": 1}), {"a"}),
    ],
    ids=["none", "list", "another order", "iterator", "another mapping"],
)
def test_exactly_the_expected_names_are_accepted(given, expected):
    check_names("state", given, expected)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"a": 1}, ValueError, "b is missing"),
        ({"c": 1, "a": 1, "b": 1}, ValueError, "'c' is unknown"),
        ({"c": 1, "a": 1}, ValueError, "b is missing"),
        ({}, ValueError, "a is missing"),
        ({"a": 1, "b": 1, 3: 1}, ValueError, "3 is unknown"),
        ({"a": 1, "b": 1, "x" * 200: 1}, ValueError, f"'{'x' * 96}... is unknown"),
        (["a", "b"], TypeError, "state must be a dict, got ['a', 'b']"),
        ("ab", TypeError, "state must be a dict, got 'ab'"),
        (None, TypeError, "state must be a dict, got None"),
    ],
)
def test_a_missing_or_unknown_name_is_named_in_the_error(given, error, message):
    with pytest.raises(error) as caught:
        check_names("state", given, ["b", "a"])
    assert str(caught.value) == message


OWN = np.zeros((4, 3), np.float32)


@pytest.mark.parametrize("saved", [OWN, OWN + 1, np.asfortranarray(OWN), np.zeros((8, 3), np.float32)[::2]])
def test_arrays_with_equal_dtype_and_shape_match(saved):
    check_matches("weight", saved, OWN)
    check_matches("weight", saved, OWN, any_length=True)


@pytest.mark.parametrize("length", [0, 1, 5])
def test_any_length_allows_any_first_axis(length):
    saved = np.zeros((length, 3), np.float32)
    check_matches("weight", saved, OWN, any_length=True)
    with pytest.raises(ValueError, match=rf"^weight should be float32 \(4, 3\), is float32 \({length}, 3\)$"):
        check_matches("weight", saved, OWN)


@pytest.mark.parametrize("any_length", [False, True])
@pytest.mark.parametrize(
    ("saved", "error", "message"),
    [
        (np.zeros((4, 3)), ValueError, "weight should be float32 (4, 3), is float64 (4, 3)"),
        (np.zeros((4, 3), ">f4"), ValueError, "weight should be float32 (4, 3), is >f4 (4, 3)"),
        (np.zeros((4, 2), np.float32), ValueError, "weight should be float32 (4, 3), is float32 (4, 2)"),
        (np.zeros(4, np.float32), ValueError, "weight should be float32 (4, 3), is float32 (4,)"),
        (
            np.zeros((4, 3, 1), np.float32),
            ValueError,
            "weight should be float32 (4, 3), is float32 (4, 3, 1)",
        ),
        (OWN.tolist(), TypeError, "weight must be a NumPy array of float32, got list"),
        (None, TypeError, "weight must be a NumPy array of float32, got NoneType"),
    ],
    ids=["dtype", "byte order", "width", "fewer axes", "more axes", "list", "None"],
)
def test_an_array_with_another_dtype_or_shape_is_rejected(saved, error, message, any_length):
    with pytest.raises(error) as caught:
        check_matches("weight", saved, OWN, any_length)
    assert str(caught.value) == message


class NamedFile:
    """Path of another library; its str is not the path."""

    def __init__(self, path):
        self._path = path

    def __fspath__(self):
        return self._path


@pytest.mark.parametrize("path", ["file", "\u00e9\U0001f600", "\udcff", Path("file"), NamedFile("file")])
def test_every_path_of_the_file_system_is_accepted(path):
    check_path("path", path)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (b"file", TypeError, "a str or os.PathLike, got b'file'"),
        (NamedFile(b"file"), TypeError, "a str or os.PathLike, got <"),
        (3, TypeError, "a str or os.PathLike, got 3"),
        (NamedFile("a\0b"), ValueError, "not contain null characters, got <"),
        (Path("a\0b"), ValueError, "not contain null characters, got PosixPath"),
        ("\ud800", ValueError, r"not contain lone surrogates, got '\\ud800'"),
    ],
)
def test_other_paths_are_rejected(path, error, message):
    with pytest.raises(error, match=f"^path must (be )?{message}"):
        check_path("path", path)


def test_a_value_that_is_nested_too_deeply_is_not_json():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    assert not is_json(nested)
    assert short_repr(nested) == "a deeply nested list"
    assert is_json([[1, "a", {"b": None}]])
