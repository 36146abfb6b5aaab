"""Conversion between values of Gymnasium spaces and bits.

A MultiBinary is its bits. Discrete and MultiDiscrete are one-hot: one bit for each value of each component. A
Dict or Tuple is its parts, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from herfast.common.validation import short_repr

Path: TypeAlias = tuple[Any, ...]  # keys and indices that lead to a part of a nested value
BitArray: TypeAlias = NDArray[np.uint8]  # 0 or 1

MAX_BITS = 65_535
SUPPORTED = (
    "observation, achieved_goal and desired_goal that are MultiBinary, Discrete, MultiDiscrete, or a Dict or "
    "Tuple of them"
)


class UnsupportedEnvError(TypeError):
    """Error for an environment that herfast's agent cannot train on."""

    def __init__(self, needed: str, got: str) -> None:
        super().__init__(
            f"env must have {needed}, got {got}: Stable-Baselines3 trains on other environments, and "
            "herfast.sb3 has parts for it"
        )


class Binary:
    """Values of a MultiBinary.

    Args:
        space: The space.
    """

    def __init__(self, space: spaces.MultiBinary) -> None:
        self.shape: tuple[int, ...] = space.shape
        self.n_bits = prod(space.shape)

    def encode(self, name: str, values: NDArray[Any]) -> BitArray:
        """Return bits [E, n] of `values` [E, *shape], perhaps in the same memory.

        Raises:
            ValueError: A value of more than a byte is neither 0 nor 1.
        """
        flat = values.reshape(len(values), self.n_bits)
        if flat.dtype.itemsize == 1:  # packing rejects values that are no bits; a third of the time
            return flat.view(np.uint8)
        bits = flat.astype(np.uint8)
        if (bits != flat).any() or bits.max(initial=0) > 1:
            raise ValueError(f"{name} must be 0 or 1, got {short_repr(values)}")
        return bits

    def decode(self, bits: BitArray) -> NDArray[Any]:
        """Return the values [E, *shape] of bits [E, n]."""
        return bits.astype(np.int8).reshape(len(bits), *self.shape)


class OneHot:
    """Values of a Discrete or MultiDiscrete, whose components have one bit per value.

    Args:
        space: The space. A component counts from its start.
    """

    def __init__(self, space: spaces.Discrete[Any] | spaces.MultiDiscrete[Any]) -> None:
        sizes: Any = None
        if isinstance(space, spaces.MultiDiscrete):
            sizes = space.nvec
        else:
            sizes = space.n
        self.shape: tuple[int, ...] = np.shape(sizes)
        self.dtype = space.dtype
        self.sizes = np.asarray(sizes, np.int64).reshape(-1)
        self.n_bits = int(self.sizes.sum())
        starts = np.broadcast_to(np.asarray(space.start, np.int64), self.shape).reshape(-1)
        self._starts = starts
        self._offsets = np.cumsum(self.sizes) - self.sizes - starts  # of a value's bit

    def encode(self, name: str, values: NDArray[Any]) -> BitArray:
        """Return bits [E, n] of `values` [E, *shape].

        Raises:
            ValueError: A value is not in the space.
        """
        flat = values.reshape(len(values), len(self.sizes))
        indices = flat.astype(np.int64)
        outside = (indices != flat) | (indices < self._starts) | (indices >= self._starts + self.sizes)
        if outside.any():
            raise ValueError(f"{name} must be in its space, got {flat[outside][0]}")
        bits = np.zeros((len(values), self.n_bits), np.uint8)
        bits[np.arange(len(bits))[:, np.newaxis], indices + self._offsets] = 1
        return bits

    def decode(self, bits: BitArray) -> NDArray[Any]:
        """Return the values [E, *shape] of bits [E, n]."""
        _, indices = np.nonzero(bits)
        values = indices.reshape(len(bits), len(self.sizes)) - self._offsets
        return values.reshape(len(bits), *self.shape).astype(self.dtype)


class Packing:
    """Conversion of the values of one part of an observation to bits.

    Args:
        name: The part, for error messages.
        space: Its space.

    Attributes:
        n_bits: Number of bits of a value.
        is_binary: True if all components are MultiBinary.

    Raises:
        UnsupportedEnvError: The space has other components, or too many bits.
    """

    def __init__(self, name: str, space: spaces.Space[Any]) -> None:
        self.name = name
        self.space = space
        self._leaves = [(path, _leaf(name, leaf)) for path, leaf in _leaf_spaces(space)]
        self.n_bits = sum(leaf.n_bits for _, leaf in self._leaves)
        self.is_binary = all(isinstance(leaf, Binary) for _, leaf in self._leaves)
        if not 1 <= self.n_bits <= MAX_BITS:
            raise UnsupportedEnvError(f"{name} of 1 to {MAX_BITS:,} bits", f"{self.n_bits:,} for {space}")

    def encode(self, values: Any) -> BitArray:
        """Return bits [E, n] of a batch of E values, as a vector environment returns it.

        Raises:
            TypeError, ValueError: The values are not in the space.
        """
        parts = []
        for path, leaf in self._leaves:
            part = values
            for key in path:
                part = _part(part, key)
            array = np.asarray(part)
            if not array.ndim or array.shape[1:] != leaf.shape or array.dtype.kind not in "biuf":
                raise not_in_space(self.name, self.space, values)
            parts.append(leaf.encode(self.name, array))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts, axis=1)

    def decode(self, bits: BitArray) -> Any:
        """Return the batch of values of bits [E, n], in the form of the environment."""
        values = []
        first = 0
        for _, leaf in self._leaves:
            values.append(leaf.decode(bits[:, first : first + leaf.n_bits]))
            first += leaf.n_bits
        return _nested(self.space, iter(values))


def not_in_space(name: str, space: spaces.Space[Any], value: Any) -> ValueError:
    """Return the error for a part of an observation that is not in its space."""
    return ValueError(f"{name} must be in its space {space}, got {short_repr(value)}")


def batch_of_one(space: spaces.Space[Any], value: Any) -> Any:
    """Return a single value as a batch, as a vector environment of size 1 would."""
    if isinstance(space, spaces.Dict):
        return {key: batch_of_one(part, value[key]) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(batch_of_one(part, value[i]) for i, part in enumerate(space))
    return np.asarray(value)[np.newaxis]


def single_value(space: spaces.Space[Any], batch: Any, row: int) -> Any:
    """Return one value of a batch."""
    if isinstance(space, spaces.Dict):
        return {key: single_value(part, batch[key], row) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(single_value(part, batch[i], row) for i, part in enumerate(space))
    return batch[row]


def _part(values: Any, key: Any) -> Any:
    """Return a part of nested values, or None if they have none."""
    try:
        return values[key]
    except (LookupError, TypeError):
        return None


def _leaf_spaces(space: spaces.Space[Any], path: Path = ()) -> Iterator[tuple[Path, spaces.Space[Any]]]:
    """Yield the spaces in a nested Dict or Tuple, each with its path."""
    if isinstance(space, spaces.Dict):
        for key, part in space.items():
            yield from _leaf_spaces(part, (*path, key))
    elif isinstance(space, spaces.Tuple):
        for i, part in enumerate(space):
            yield from _leaf_spaces(part, (*path, i))
    else:
        yield path, space


def _leaf(name: str, space: spaces.Space[Any]) -> Binary | OneHot:
    if isinstance(space, spaces.MultiBinary):
        return Binary(space)
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        return OneHot(space)
    raise UnsupportedEnvError(SUPPORTED, f"{space} in {name}")


def _nested(space: spaces.Space[Any], leaves: Iterator[NDArray[Any]]) -> Any:
    """Return the arrays in the nesting of `space`."""
    if isinstance(space, spaces.Dict):
        return {key: _nested(part, leaves) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_nested(part, leaves) for part in space)
    return next(leaves)
