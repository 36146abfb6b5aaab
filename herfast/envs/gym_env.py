"""Gymnasium interface of the bit-flipping environment, one episode at a time.

The environment keeps packed words. Each call unpacks them once, into new arrays that belong to the caller. A
step that raises an error changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import ArrayLike, NDArray

from herfast.common.batches import Words, n_words
from herfast.common.bits import unpack_bits
from herfast.common.seeding import check_seed
from herfast.common.thread_guard import ThreadGuard, one_thread
from herfast.common.validation import as_array, check_zero_or_one, short_repr
from herfast.envs.bit_flip import BitFlip
from herfast.envs.rendering import Bits, render_ansi, render_rgb_array

Observation: TypeAlias = dict[str, NDArray[np.int8]]
Info: TypeAlias = dict[str, Any]
Frame: TypeAlias = str | NDArray[np.uint8]
PARTS = ("observation", "achieved_goal", "desired_goal")
RENDERERS: dict[str, Callable[[Bits, Bits], Frame]] = {"ansi": render_ansi, "rgb_array": render_rgb_array}
RENDER_MODES = list(RENDERERS)


class BitFlipEnv(gymnasium.Env[dict[str, Any], np.int64]):
    """Goal environment that flips one bit per step until the state equals the goal.

    An observation is a dict of `observation`, `achieved_goal` and `desired_goal`, each int8[n]. An action is
    the index of the bit to flip. The reward is 0 for the step that reaches the goal and -1 for every other
    step. An episode is terminated when the goal is reached, and truncated after `max_steps` steps without it.
    It is never both. The info dict holds `is_success` (bool) and `elapsed_steps` (int). A second thread that
    uses the environment at the same time gets a RuntimeError.

    Args:
        n_bits: Length of state and goal, from 1 to 65,535.
        max_steps: Step limit of an episode, from 1 to 65,535. Default: n_bits.
        render_mode: None, "ansi" or "rgb_array".

    Raises:
        TypeError, ValueError: An argument is not allowed.
    """

    # Gymnasium declares `metadata` as a class attribute.
    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 4}  # noqa: RUF012

    def __init__(self, n_bits: int, max_steps: int | None = None, render_mode: str | None = None) -> None:
        self.goal_env = BitFlip(n_bits, max_steps)
        self.render_mode = check_render_mode(render_mode)
        self.observation_space = observation_space_of(self.goal_env)
        self.action_space = spaces.Discrete(self.goal_env.n_actions)
        # The state, then the goal.
        self._words: Words = np.zeros((2, 1, n_words(self.goal_env.n_bits)), np.uint64)
        self._active = np.zeros(1, np.int64)  # index of the only episode
        self._elapsed = 0
        self._thread_guard = ThreadGuard()
        # Reason why step() is not possible, or None while an episode is running.
        self._reset_reason: str | None = "has not begun"

    @one_thread
    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        """Start a new episode.

        Args:
            seed: Seed of a new random stream for this and later episodes. None continues the current stream.
            options: Ignored.

        Returns:
            Observation and info.

        Raises:
            TypeError, ValueError: `seed` is not None or an integer from 0 to 2**128 - 1.
        """
        super().reset(seed=check_seed(seed))
        states, goals = self._words
        self.goal_env.reset(self.np_random, states, goals)
        self._elapsed = 0
        self._reset_reason = None
        return self._observe(), {"is_success": False, "elapsed_steps": 0}

    @one_thread
    def step(self, action: np.int64) -> tuple[Observation, SupportsFloat, bool, bool, Info]:
        """Flip one bit.

        Args:
            action: Index of the bit, an integer in [0, n_bits).

        Returns:
            Observation, reward, terminated, truncated, info.

        Raises:
            ResetNeeded: No episode is running.
            TypeError, ValueError: `action` is not allowed.
        """
        if self._reset_reason:
            raise ResetNeeded(f"the episode {self._reset_reason}: call reset() before step()")
        flip = as_actions(action, (), self.goal_env.n_actions)
        reached = np.zeros(1, np.bool_)
        states, goals = self._words
        self.goal_env.step(states, goals, flip.reshape(1), self._active, states, reached)
        self._elapsed += 1
        terminated = bool(reached[0])
        truncated = not terminated and self._elapsed >= self.goal_env.max_steps
        if terminated or truncated:
            self._reset_reason = f"ended after {self._elapsed} steps"
        reward = float(terminated) - 1.0
        info = {"is_success": terminated, "elapsed_steps": self._elapsed}
        return self._observe(), reward, terminated, truncated, info

    def render(self) -> Frame | None:
        """Render state and goal.

        Returns:
            A line of text for "ansi", an RGB image uint8[height, width, 3] for "rgb_array", None without a
            mode.
        """
        if self.render_mode is None:
            return None
        return render_frames(self._words, self.goal_env.n_bits, self.render_mode)[0]

    def compute_reward(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Return 0 where the achieved goal equals the desired one, otherwise -1.

        Args:
            achieved_goal: [n] or [B, n], zeros and ones.
            desired_goal: Same shape.
            info: Ignored.

        Returns:
            A float for [n], float64[B] for [B, n].

        Raises:
            TypeError, ValueError: A goal has another shape, or a value is not 0 or 1.
        """
        reached = self._reached(achieved_goal, desired_goal)
        return _unbox(np.where(reached, 0.0, -1.0))

    def compute_terminated(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Return whether the achieved goal equals the desired one.

        Args and errors are those of `compute_reward`.

        Returns:
            A bool for [n], bool[B] for [B, n].
        """
        return _unbox(self._reached(achieved_goal, desired_goal))

    def compute_truncated(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Return whether the step limit is reached while the goal is not.

        Args:
            achieved_goal: [n] or [B, n], zeros and ones.
            desired_goal: Same shape.
            info: Holds `elapsed_steps`. For [n] it is a dict. For [B, n] it is a dict of arrays [B] or a
                sequence of B dicts.

        Returns:
            A bool for [n], bool[B] for [B, n].

        Raises:
            TypeError, ValueError: A goal or `info` is not allowed.
        """
        reached = self._reached(achieved_goal, desired_goal)
        return _unbox(~reached & (as_elapsed(info, reached.shape) >= self.goal_env.max_steps))

    def _reached(self, achieved_goal: ArrayLike, desired_goal: ArrayLike) -> NDArray[np.bool_]:
        """Return whether the goals are equal, [] or [B]."""
        achieved, desired = as_goals(
            self.goal_env.n_bits, achieved_goal=achieved_goal, desired_goal=desired_goal
        )
        return np.asarray((achieved == desired).all(axis=-1))

    def _observe(self) -> Observation:
        """Return the current observation in new arrays."""
        return to_observation(self._words[:, 0], self.goal_env.n_bits)


def _unbox(values: NDArray[Any]) -> Any:
    """Return a Python scalar for an array without axes, otherwise the array."""
    if values.ndim == 0:
        return values.item()
    return values


def observation_space_of(goal_env: BitFlip) -> spaces.Dict[Any]:
    """Return the observation space of a bit-flipping environment."""
    return spaces.Dict({name: spaces.MultiBinary(goal_env.n_bits) for name in PARTS})


def to_observation(words: Words, n_bits: int) -> Observation:
    """Return states and goals as an observation of new arrays int8[..., n].

    Args:
        words: States and goals, uint64[2, ..., W].
        n_bits: Number of bits, n.
    """
    states, goals = unpack_bits(words, n_bits).view(np.int8)
    return dict(zip(PARTS, (states, states.copy(), goals), strict=True))


def render_frames(words: Words, n_bits: int, render_mode: str) -> tuple[Frame, ...]:
    """Return one frame per episode, given states and goals as words uint64[2, E, W]."""
    states, goals = unpack_bits(words, n_bits).view(np.int8)
    return tuple(map(RENDERERS[render_mode], states, goals))


def check_render_mode(render_mode: str | None) -> str | None:
    """Return `render_mode`; raise ValueError unless it is None or in RENDER_MODES."""
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode must be None, 'ansi' or 'rgb_array', got {short_repr(render_mode)}")
    return render_mode


def as_actions(actions: object, shape: tuple[int, ...], n_actions: int) -> NDArray[np.uint16]:
    """Return `actions` as uint16.

    Raises:
        TypeError: They are not integers.
        ValueError: They have another shape, or one is not in [0, n_actions).
    """
    array = as_array("actions", actions)
    if array.dtype.kind not in "iu":
        got = f"an array of {array.dtype}"
        if array.ndim == 0:
            got = short_repr(array.item())
        raise TypeError(f"actions must be integers from 0 to {n_actions - 1}, got {got}")
    if array.shape != shape:
        expected = "one integer"
        if shape:
            expected = f"an array of shape {list(shape)}"
        raise ValueError(f"actions must be {expected}, got shape {list(array.shape)}")
    if array.min() < 0 or array.max() >= n_actions:
        invalid = array[(array < 0) | (array >= n_actions)].flat[0]
        raise ValueError(f"actions must be integers from 0 to {n_actions - 1}, got {invalid}")
    return array.astype(np.uint16)


def as_goals(n_bits: int, **goals: object) -> list[NDArray[Any]]:
    """Return `goals`, given by name, as arrays of one shape.

    Raises:
        TypeError: They are not numbers.
        ValueError: The shape is not [n_bits] or [B, n_bits], shapes differ, or a value is not 0 or 1.
    """
    arrays = {name: as_array(name, goal) for name, goal in goals.items()}
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    first = next(iter(arrays.values()))
    for name, array in arrays.items():
        if array.ndim not in (1, 2) or array.shape[-1] != n_bits or array.shape != first.shape:
            got = " and ".join(f"{shape} for {other}" for other, shape in shapes.items())
            raise ValueError(
                f"{name} must have shape [{n_bits}] or [B, {n_bits}], both goals the same, got {got}"
            )
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name} must be numbers, 0 or 1, got dtype {array.dtype}")
        check_zero_or_one(name, array)
    return list(arrays.values())


def as_elapsed(info: object, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return `elapsed_steps` of a dict, a dict of arrays or a sequence of dicts.

    Raises:
        TypeError: `info` is none of them, or the steps are not integers.
        ValueError: The key is missing, the steps do not have this shape, or one is negative.
    """
    try:
        if isinstance(info, Mapping):
            steps = as_array("elapsed_steps", info["elapsed_steps"])
        elif isinstance(info, (list, tuple, np.ndarray)) and all(
            isinstance(single, Mapping) for single in info
        ):
            steps = as_array("elapsed_steps", [single["elapsed_steps"] for single in info])
        else:
            raise TypeError(
                f"info must be a dict (of arrays for a batch) or a sequence of dicts, got {short_repr(info)}"
            )
    except KeyError:
        raise ValueError(
            "compute_truncated needs elapsed_steps in every info, which step() provides"
        ) from None
    if steps.shape != shape:
        raise ValueError(f"elapsed_steps must have the batch's shape {list(shape)}, got {list(steps.shape)}")
    if steps.dtype.kind not in "iu" and steps.size:
        raise TypeError(f"elapsed_steps must be integers >= 0, got dtype {steps.dtype}")
    if (steps < 0).any():
        raise ValueError(f"elapsed_steps must be integers >= 0, got {steps.min()}")
    return steps
