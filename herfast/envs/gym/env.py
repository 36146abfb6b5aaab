"""Gymnasium interface of a packed environment, one episode at a time.

The environment keeps packed words. Each call encodes them once, into new arrays that belong to the caller. A
step that raises an error changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat, TypeAlias

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import ArrayLike, NDArray

from herfast.common.batches import Words, n_words
from herfast.common.bits import unpack_bits
from herfast.common.seeding import check_seed
from herfast.common.thread_guard import ThreadGuard, one_thread
from herfast.common.validation import as_array, short_repr
from herfast.envs.adapters import as_goal_env
from herfast.envs.base import GoalEnv
from herfast.envs.gym.actions import actions_of
from herfast.envs.gym.goal_functions import GoalFunctions, unboxed
from herfast.envs.gym.observations import Observation, Observations
from herfast.envs.registry import make_env
from herfast.envs.rendering import Bits, render_ansi, render_rgb_array

Info: TypeAlias = dict[str, Any]
Frame: TypeAlias = str | NDArray[np.uint8]
RENDERERS: dict[str, Callable[[Bits, Bits], Frame]] = {"ansi": render_ansi, "rgb_array": render_rgb_array}


class GymGoalEnv(GoalFunctions, gymnasium.Env[dict[str, Any], Any]):
    """Gymnasium interface of a packed environment.

    An observation is a dict of `observation` int8[S], `achieved_goal` int8[G] and `desired_goal` int8[G]. A
    state has S bits, and its first G bits are the achieved goal. The reward is 0 for the step that reaches
    the goal and -1 for every other step. An episode is terminated when the goal is reached, and truncated
    after `max_steps` steps without it. It is never both. The info dict holds `is_success` (bool) and
    `elapsed_steps` (int). A second thread that uses the environment at the same time gets a RuntimeError.

    Args:
        goal_env: Environment that `herfast.Agent` accepts, or its id, as in `herfast.make_env`.
        discrete_obs_space: Encode each part of an observation as one integer, to which bit i adds 2**i. An
            environment has at most 62 state bits then.
        image_obs_space: Encode each part as an image uint8[1, side, side], with one pixel for each bit, 0 or
            255. The side is 36 pixels, or more if the bits do not fit.
        continuous: An action is an array of n_bits numbers, from -1 to 1, and flips the bits of all positive
            ones. Only BitFlip has such actions.
        render_mode: None, "ansi" or "rgb_array".
        **parameters: Parameters of the environment, if `goal_env` is an id.

    Raises:
        TypeError, ValueError: An argument is not allowed.
    """

    # Gymnasium declares `metadata` as a class attribute.
    metadata: dict[str, Any] = {"render_modes": list(RENDERERS), "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        goal_env: object,
        *,
        discrete_obs_space: bool = False,
        image_obs_space: bool = False,
        continuous: bool = False,
        render_mode: str | None = None,
        **parameters: Any,
    ) -> None:
        self.goal_env = goal_env_of(goal_env, parameters)
        self.render_mode = check_render_mode(render_mode)
        self._observations = Observations(self.goal_env, discrete_obs_space, image_obs_space)
        self._actions = actions_of(self.goal_env, continuous)
        self.observation_space = self._observations.space()
        self.action_space = self._actions.space()
        self._states: Words = np.zeros((1, n_words(self.goal_env.n_state_bits)), np.uint64)
        self._goals: Words = np.zeros((1, n_words(self.goal_env.n_goal_bits)), np.uint64)
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
        self.goal_env.reset(self.np_random, self._states, self._goals)
        self._elapsed = 0
        self._reset_reason = None
        return self._observe(), {"is_success": False, "elapsed_steps": 0}

    @one_thread
    def step(self, action: Any) -> tuple[Observation, SupportsFloat, bool, bool, Info]:
        """Take one action.

        Args:
            action: Integer in [0, n_actions), in bit flipping the index of the bit. With `continuous`, an
                array of numbers [n_bits].

        Returns:
            Observation, reward, terminated, truncated, info.

        Raises:
            ResetNeeded: No episode is running.
            TypeError, ValueError: `action` is not allowed.
        """
        if self._reset_reason:
            raise ResetNeeded(f"the episode {self._reset_reason}: call reset() before step()")
        actions = self._actions.validated(action, ())[np.newaxis]
        reached = np.zeros(1, np.bool_)
        self._actions.step(self._states, self._goals, actions, self._active, reached)
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
            Text for "ansi", in bit flipping one line, an RGB image uint8[height, width, 3] for "rgb_array",
            None without a mode.
        """
        if self.render_mode is None:
            return None
        return render_frames(self.goal_env, self._states, self._goals, self.render_mode)[0]

    def compute_truncated(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Return whether the step limit is reached while the goal is not.

        Args:
            achieved_goal: One goal, in the form of an observation's part, or a batch of B goals.
            desired_goal: Same shape.
            info: Holds `elapsed_steps`. For one goal it is a dict. For a batch it is a dict of arrays [B] or
                a sequence of B dicts.

        Returns:
            A bool for one goal, bool[B] for a batch.

        Raises:
            TypeError, ValueError: A goal or `info` is not allowed.
        """
        reached = self._observations.reached(achieved_goal, desired_goal)
        return unboxed(~reached & (as_elapsed(info, reached.shape) >= self.goal_env.max_steps))

    def _observe(self) -> Observation:
        """Return the current observation in new arrays."""
        batch = self._observations.encode(self._states, self._goals)
        return {part: values[0] for part, values in batch.items()}


def goal_env_of(goal_env: object, parameters: Mapping[str, Any]) -> GoalEnv:
    """Return the packed environment that `goal_env` is, wraps or names.

    Args:
        goal_env: Environment that `as_goal_env` accepts, or the id of a registered one.
        parameters: Parameters of the environment with that id.

    Raises:
        TypeError, ValueError: `goal_env` is not allowed, or the environment rejects its parameters.
    """
    if isinstance(goal_env, str):
        goal_env = make_env({**parameters, "id": goal_env})
    elif parameters:
        raise TypeError(
            f"{next(iter(parameters))} must not be given unless goal_env is an id, "
            f"got the environment {short_repr(goal_env)}"
        )
    return as_goal_env(goal_env)


def render_frames(goal_env: GoalEnv, states: Words, goals: Words, render_mode: str) -> tuple[Frame, ...]:
    """Return one frame per episode of E episodes.

    The environment draws it if it has a method for this mode. Otherwise the bits are drawn.

    Args:
        goal_env: Packed environment.
        states: uint64[E, Ws].
        goals: uint64[E, Wg].
        render_mode: Key of RENDERERS.
    """
    render = getattr(goal_env, f"render_{render_mode}", RENDERERS[render_mode])
    state_bits = unpack_bits(states, goal_env.n_state_bits).view(np.int8)
    goal_bits = unpack_bits(goals, goal_env.n_goal_bits).view(np.int8)
    return tuple(map(render, state_bits, goal_bits))


def check_render_mode(render_mode: str | None) -> str | None:
    """Return `render_mode`; raise ValueError unless it is None or a key of RENDERERS."""
    if render_mode is not None and render_mode not in list(RENDERERS):
        raise ValueError(f"render_mode must be None, 'ansi' or 'rgb_array', got {short_repr(render_mode)}")
    return render_mode


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
