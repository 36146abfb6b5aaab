"""Observations of packed states and goals: bits, integers or images.

All parts of an observation have the same encoding, which is chosen when an environment is created.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any, Protocol, TypeAlias

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from herfast.common.batches import Words
from herfast.common.bits import pack_bits, unpack_bits
from herfast.common.validation import as_array, check_bool, check_zero_or_one
from herfast.envs.base import GoalEnv
from herfast.envs.rendering import Bits

Observation: TypeAlias = dict[str, NDArray[Any]]
PARTS = ("observation", "achieved_goal", "desired_goal")
MAX_INTEGER_BITS = 62  # Gymnasium holds 2**n_bits, the number of integers, as int64
_MIN_SIDE = 36  # of an image in pixels: the smallest that the convolutions of Stable-Baselines3 accept
_WHITE = 255


class Encoding(Protocol):
    """Representation of n bits as an array of one shape and dtype."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one value."""

    def space(self) -> spaces.Space[Any]:
        """Return a new space of all values."""

    def encode(self, bits: Bits) -> NDArray[Any]:
        """Return the values [B, *shape] of bits int8[B, n].

        They may share memory with `bits`.
        """

    def check(self, name: str, values: NDArray[Any]) -> None:
        """Raise TypeError or ValueError unless all `values` represent bits."""


@dataclass(frozen=True)
class BitEncoding:
    """Bits as they are, int8[n]."""

    n_bits: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.n_bits,)

    def space(self) -> spaces.Space[Any]:
        return spaces.MultiBinary(self.n_bits)

    def encode(self, bits: Bits) -> NDArray[Any]:
        return bits

    def check(self, name: str, values: NDArray[Any]) -> None:
        if values.dtype.kind not in "biuf":
            raise TypeError(f"{name} must be numbers, 0 or 1, got dtype {values.dtype}")
        check_zero_or_one(name, values)


@dataclass(frozen=True)
class IntegerEncoding:
    """An integer from 0 to 2**n - 1, to which bit i adds 2**i."""

    n_bits: int

    def __post_init__(self) -> None:
        if self.n_bits > MAX_INTEGER_BITS:
            raise ValueError(
                f"discrete_obs_space must be False for more than {MAX_INTEGER_BITS} bits, got {self.n_bits:,}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    def space(self) -> spaces.Space[Any]:
        return spaces.Discrete(2**self.n_bits)

    def encode(self, bits: Bits) -> NDArray[Any]:
        return pack_bits(bits)[:, 0].astype(np.int64)

    def check(self, name: str, values: NDArray[Any]) -> None:
        allowed = f"integers from 0 to {2**self.n_bits - 1}"
        if values.dtype.kind not in "iu":
            raise TypeError(f"{name} must be {allowed}, got dtype {values.dtype}")
        invalid = values[(values < 0) | (values >= 2**self.n_bits)]
        if invalid.size:
            raise ValueError(f"{name} must be {allowed}, got {invalid[0]}")


@dataclass(frozen=True)
class ImageEncoding:
    """A square image uint8[1, side, side] with a pixel for each bit, 0 or 255.

    Pixels are counted in rows from the top left corner, and those past the last bit are 0.
    """

    n_bits: int

    @property
    def shape(self) -> tuple[int, ...]:
        side = max(_MIN_SIDE, isqrt(self.n_bits - 1) + 1)  # the smallest square that holds all bits
        return (1, side, side)

    def space(self) -> spaces.Space[Any]:
        return spaces.Box(0, _WHITE, self.shape, np.uint8)

    def encode(self, bits: Bits) -> NDArray[Any]:
        images = np.zeros((len(bits), *self.shape), np.uint8)
        images.reshape(len(bits), -1)[:, : self.n_bits] = bits.view(np.uint8) * np.uint8(_WHITE)
        return images

    def check(self, name: str, values: NDArray[Any]) -> None:
        if values.dtype.kind not in "iuf":
            raise TypeError(f"{name} must be numbers, 0 or {_WHITE}, got dtype {values.dtype}")
        invalid = values[(values != 0) & (values != _WHITE)]
        if invalid.size:
            raise ValueError(f"{name} must be 0 or {_WHITE}, got {invalid[0]}")


class Observations:
    """Conversion of states and goals to observations, and comparison of goals.

    Args:
        goal_env: Packed environment.
        discrete_obs_space: Encode each part as an integer.
        image_obs_space: Encode each part as an image.

    Raises:
        TypeError, ValueError: An argument is not True or False, both are True, or the environment has too
            many bits for integers.
    """

    def __init__(self, goal_env: GoalEnv, discrete_obs_space: bool, image_obs_space: bool) -> None:
        encoding: type[BitEncoding | IntegerEncoding | ImageEncoding] = BitEncoding
        if check_bool("discrete_obs_space", discrete_obs_space):
            encoding = IntegerEncoding
        if check_bool("image_obs_space", image_obs_space):
            if discrete_obs_space:
                raise ValueError("image_obs_space must be False if discrete_obs_space is True, got True")
            encoding = ImageEncoding
        self._state: Encoding = encoding(goal_env.n_state_bits)
        self._goal: Encoding = encoding(goal_env.n_goal_bits)
        self._n_state_bits = goal_env.n_state_bits
        self._n_goal_bits = goal_env.n_goal_bits

    def space(self) -> spaces.Dict[Any]:
        """Return a new space of single observations."""
        encodings = (self._state, self._goal, self._goal)
        return spaces.Dict({part: encoding.space() for part, encoding in zip(PARTS, encodings, strict=True)})

    def encode(self, states: Words, goals: Words) -> Observation:
        """Return B observations in new arrays.

        Args:
            states: uint64[B, Ws].
            goals: uint64[B, Wg].
        """
        state_bits = unpack_bits(states, self._n_state_bits).view(np.int8)
        goal_bits = unpack_bits(goals, self._n_goal_bits).view(np.int8)
        return {
            "observation": self._state.encode(state_bits),
            "achieved_goal": self._goal.encode(state_bits[:, : self._n_goal_bits].copy()),
            "desired_goal": self._goal.encode(goal_bits),
        }

    def reached(self, achieved_goal: ArrayLike, desired_goal: ArrayLike) -> NDArray[np.bool_]:
        """Return whether encoded goals are equal.

        Integers may also have shape [B, 1], in which Stable-Baselines3 stores them.

        Args:
            achieved_goal: One goal, or a batch of B goals.
            desired_goal: Same shape.

        Returns:
            bool[], or bool[B] for a batch.

        Raises:
            TypeError, ValueError: A goal has another shape or dtype, or a value is not allowed.
        """
        shape = self._goal.shape
        goals = {
            "achieved_goal": as_array("achieved_goal", achieved_goal),
            "desired_goal": as_array("desired_goal", desired_goal),
        }
        if shape == ():
            goals = {name: _without_last_axis(array) for name, array in goals.items()}
        achieved, desired = goals.values()
        for name, array in goals.items():
            if array.shape != achieved.shape or shape not in (array.shape, array.shape[1:]):
                got = " and ".join(f"{list(other.shape)} for {part}" for part, other in goals.items())
                batch = ", ".join(["B", *map(str, shape)])
                raise ValueError(
                    f"{name} must have shape {list(shape)} or [{batch}], both goals the same, got {got}"
                )
            self._goal.check(name, array)
        axes = tuple(range(achieved.ndim - len(shape), achieved.ndim))
        return np.asarray((achieved == desired).all(axis=axes))


def _without_last_axis(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array [B] for one of shape [B, 1], and other arrays unchanged."""
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    return array
