"""Gymnasium interface of the bit-flipping environment: one episode at a time.

Keeps the packed words of `BitFlip` and unpacks them once per call, into arrays that belong to the caller. A step that
raises changes nothing.
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
    """One game: flip one bit per step until the state equals the goal.

    Observations are a dict of `observation`, `achieved_goal` and `desired_goal`, each int8[n]; actions are the number
    of the bit to flip. The reward is 0 on the step that reaches the goal and -1 on every other. The game is terminated
    when the goal is reached and truncated after `max_steps` (default: n_bits) steps without it, never both. Info holds
    `is_success` (bool) and `elapsed_steps` (int).
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 4}  # noqa: RUF012 (declared so by Gymnasium)

    def __init__(self, n_bits: int, max_steps: int | None = None, render_mode: str | None = None) -> None:
        """Raises ValueError or TypeError as `BitFlip` does, and for a render mode but None and those in `metadata`."""
        self.goal_env = BitFlip(n_bits, max_steps)
        self.render_mode = check_render_mode(render_mode)
        self.observation_space = observation_space_of(self.goal_env)
        self.action_space = spaces.Discrete(self.goal_env.n_actions)
        self._words: Words = np.zeros((2, 1, n_words(self.goal_env.n_bits)), np.uint64)  # the state, then the goal
        self._row = np.zeros(1, np.int64)
        self._elapsed = 0
        self._over: str | None = "has not begun"  # why there can be no step, if so

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        """A new game; `seed` restarts the stream that games are drawn from, `options` are ignored."""
        super().reset(seed=check_seed(seed))
        self.goal_env.reset(self.np_random, *self._words)  # states, goals
        self._elapsed, self._over = 0, None
        return self._observe(), {"is_success": False, "elapsed_steps": 0}

    def step(self, action: np.int64) -> tuple[Observation, SupportsFloat, bool, bool, Info]:
        """Flip bit `action`. ResetNeeded unless a game is running; TypeError or ValueError for a bad action."""
        if self._over:
            raise ResetNeeded(f"the game {self._over}: call reset() before step()")
        flip = as_actions(action, (), self.goal_env.n_actions)
        reached = np.zeros(1, np.bool_)
        states, goals = self._words
        self.goal_env.step(states, goals, flip.reshape(1), self._row, states, reached)
        self._elapsed += 1
        terminated = bool(reached[0])
        truncated = not terminated and self._elapsed >= self.goal_env.max_steps
        if terminated or truncated:
            self._over = f"ended after {self._elapsed} steps"
        info = {"is_success": terminated, "elapsed_steps": self._elapsed}
        return self._observe(), 0.0 if terminated else -1.0, terminated, truncated, info

    def render(self) -> Frame | None:
        """State and goal: for "ansi" in one line, for "rgb_array" in pixels uint8[height, width, 3]; None for None."""
        return (
            None if self.render_mode is None else render_frames(self._words, self.goal_env.n_bits, self.render_mode)[0]
        )

    def compute_reward(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """0 where the achieved goal equals the desired one, else -1: [n] gives a float, [B, n] a float64[B]."""
        reached = self._reached(achieved_goal, desired_goal)
        return (0.0 if reached else -1.0) if reached.ndim == 0 else np.where(reached, 0.0, -1.0)

    def compute_terminated(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Whether the achieved goal equals the desired one: [n] gives a bool, [B, n] a bool[B]."""
        reached = self._reached(achieved_goal, desired_goal)
        return bool(reached) if reached.ndim == 0 else reached

    def compute_truncated(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Whether the step limit ends the game here, the goal not being reached: [n] gives a bool, [B, n] a bool[B].

        `info` must tell `elapsed_steps`: a dict for [n]; for [B, n] a dict of arrays [B] or a sequence of B dicts.
        """
        reached = self._reached(achieved_goal, desired_goal)
        truncated = ~reached & (as_elapsed(info, reached.shape) >= self.goal_env.max_steps)
        return bool(truncated) if reached.ndim == 0 else truncated

    def _reached(self, achieved_goal: ArrayLike, desired_goal: ArrayLike) -> NDArray[np.bool_]:
        achieved, desired = as_goals(self.goal_env.n_bits, achieved_goal=achieved_goal, desired_goal=desired_goal)
        return np.asarray((achieved == desired).all(axis=-1))

    def _observe(self) -> Observation:
        return to_observation(self._words[:, 0], self.goal_env.n_bits)


def observation_space_of(goal_env: BitFlip) -> spaces.Dict[Any]:
    return spaces.Dict({name: spaces.MultiBinary(goal_env.n_bits) for name in PARTS})


def to_observation(words: Words, n_bits: int) -> Observation:
    """States and goals uint64[2, ..., W] as three fresh arrays int8[..., n]."""
    states, goals = unpack_bits(words, n_bits).view(np.int8)
    return dict(zip(PARTS, (states, states.copy(), goals), strict=True))


def render_frames(words: Words, n_bits: int, render_mode: str) -> tuple[Frame, ...]:
    """A frame for each of the games whose states and goals are uint64[2, E, W]."""
    states, goals = unpack_bits(words, n_bits).view(np.int8)
    return tuple(map(RENDERERS[render_mode], states, goals))


def check_render_mode(render_mode: str | None) -> str | None:
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode must be None, 'ansi' or 'rgb_array', got {short_repr(render_mode)}")
    return render_mode


def as_actions(actions: object, shape: tuple[int, ...], n_actions: int) -> NDArray[np.uint16]:
    """`actions` as uint16; TypeError or ValueError unless they are integers of this shape in [0, n_actions)."""
    array = as_array("actions", actions)
    if array.dtype.kind not in "iu":
        got = f"an array of {array.dtype}" if array.ndim else short_repr(array.item())
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
            raise TypeError(
                f"info must be a dict (of arrays for a batch) or a sequence of dicts, got {short_repr(info)}"
            )
    except KeyError:
        raise ValueError("compute_truncated needs elapsed_steps in every info, which step() provides") from None
    if steps.shape != shape:
        raise ValueError(f"elapsed_steps must have the batch's shape {list(shape)}, got {list(steps.shape)}")
    if steps.dtype.kind not in "iu" and steps.size:
        raise TypeError(f"elapsed_steps must be integers >= 0, got dtype {steps.dtype}")
    if (steps < 0).any():
        raise ValueError(f"elapsed_steps must be integers >= 0, got {steps.min()}")
    return steps
