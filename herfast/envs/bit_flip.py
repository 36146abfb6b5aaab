"""Bit-flipping environment on packed words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from herfast.common.batches import Encoding, Words
from herfast.common.bits import _core_envs, pack_bits, pack_named, unpack_bits
from herfast.common.validation import check_integer, short_repr
from herfast.envs.base import CoreEnv, OptimalPlay, Spec
from herfast.envs.rendering import as_text


@dataclass(frozen=True, init=False)
class BitFlip(CoreEnv):
    """Bit-flipping environment of Andrychowicz et al. 2017 (section 3.1).

    State and goal are strings of n_bits bits. Action i flips bit i. Start state and goal are drawn uniformly
    and are never equal. If a goal is given, it is the goal of all episodes. Threads may share an environment,
    since it holds no state.

    Args:
        n_bits: Length of state and goal, from 1 to 65,535.
        max_steps: Number of steps after which an episode is truncated, from 1 to 65,535. Default: n_bits.
        goal: Goal of all episodes, as a str of n_bits zeros and ones or as an array [n_bits] of them. None
            draws a goal for each episode. The attribute is None or a str.

    Raises:
        TypeError, ValueError: A number is not an integer or out of range, or `goal` is not allowed.
    """

    n_bits: int
    max_steps: int
    goal: str | None = None

    encoding: ClassVar[Encoding] = "signed"
    action_label: ClassVar[str] = "flip"

    def __init__(
        self, n_bits: int, max_steps: int | None = None, goal: str | ArrayLike | None = None
    ) -> None:
        object.__setattr__(self, "n_bits", check_integer("n_bits", n_bits, 1, 65_535))
        if max_steps is None:
            max_steps = self.n_bits
        object.__setattr__(self, "max_steps", check_integer("max_steps", max_steps, 1, 65_535))
        if goal is not None:
            goal = _goal_text(goal, self.n_bits)
        object.__setattr__(self, "goal", goal)

    def __repr__(self) -> str:
        """Return the call that makes this environment."""
        arguments = [f"{name}={value!r}" for name, value in self.spec().items() if name != "id"]
        return f"{type(self).__name__}({', '.join(arguments)})"

    @property
    def n_state_bits(self) -> int:
        return self.n_bits

    @property
    def n_goal_bits(self) -> int:
        return self.n_bits

    @property
    def n_actions(self) -> int:
        return self.n_bits

    @property
    def label(self) -> str:
        if self.goal is None:
            return f"{self.n_bits}bits"
        return f"{self.n_bits}bits-fixed-goal"

    def spec(self) -> Spec:
        spec = {"id": "BitFlip", "n_bits": self.n_bits, "max_steps": self.max_steps}
        if self.goal is None:
            return spec
        return {**spec, "goal": self.goal}

    def describe(self) -> str:
        text = f"{self.n_bits:,} bits in at most {self.max_steps:,} steps"
        if self.goal is None:
            return text
        return f"{text} to a fixed goal"

    def better_actions(self, states: Words, goals: Words) -> NDArray[np.bool_]:
        """Return bool[M, n_bits], True for bits in which a state differs from its goal."""
        return unpack_bits(states ^ goals, self.n_bits)

    def optimal_play(self) -> OptimalPlay:
        """Return the results of a policy that flips each wrong bit once.

        On average n_bits / 2 bits are wrong.
        """
        return OptimalPlay(self.n_bits / 2, _unreachable(self.n_bits, self.max_steps))

    def _reset(self, bit_generator: np.random.BitGenerator, out_states: Words, out_goals: Words) -> None:
        goal = None
        if self.goal is not None:
            goal = pack_bits([char == "1" for char in self.goal])
        _core_envs.bitflip_reset(bit_generator, self.n_bits, out_states, out_goals, goal)

    def _step(self, *arrays: Any) -> None:
        _core_envs.bitflip_step(self.n_bits, *arrays)


def _goal_text(goal: str | ArrayLike, n_bits: int) -> str:
    """Return a goal as a str of `n_bits` zeros and ones."""
    if isinstance(goal, str):
        if len(goal) != n_bits or set(goal) - {"0", "1"}:
            raise ValueError(f"goal must have {n_bits:,} characters, each 0 or 1, got {short_repr(goal)}")
        return str(goal)
    if np.isscalar(goal):
        raise TypeError(
            f"goal must be a str or an array of {n_bits:,} zeros and ones, got the single value "
            f"{short_repr(goal)}"
        )
    words = pack_named("goal", goal)
    if np.shape(goal) != (n_bits,):
        raise ValueError(f"goal must have shape ({n_bits},), got {np.shape(goal)}")
    return as_text(unpack_bits(words, n_bits).view(np.int8))


def _unreachable(n_bits: int, max_steps: int) -> float:
    """Return the probability that start and goal differ in over `max_steps` bits."""
    log_all = n_bits * math.log(2)
    log_factorial = math.lgamma(n_bits + 1)
    far = range(max_steps + 1, n_bits + 1)
    return sum(
        math.exp(log_factorial - math.lgamma(d + 1) - math.lgamma(n_bits - d + 1) - log_all) for d in far
    )
