"""Gymnasium vector interface of a packed environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from herfast.common.batches import Words, n_words
from herfast.common.seeding import check_seed
from herfast.common.thread_guard import ThreadGuard, one_thread
from herfast.common.validation import check_integer, short_repr
from herfast.envs.gym.actions import actions_of
from herfast.envs.gym.env import Frame, GymGoalEnv, Info, check_render_mode, goal_env_of, render_frames
from herfast.envs.gym.goal_functions import GoalFunctions
from herfast.envs.gym.observations import Observation, Observations


class GymGoalVectorEnv(GoalFunctions, gymnasium.vector.VectorEnv[Observation, NDArray[Any], NDArray[Any]]):
    """Vector version of `GymGoalEnv`: E episodes in lockstep.

    It returns the same results as a SyncVectorEnv of `GymGoalEnv`, without a loop over environments. All
    episodes are drawn from one random stream, those that begin together by one `goal_env.reset`, so one
    integer seeds them all. A second thread that uses it at the same time gets a RuntimeError.

    The autoreset modes are those of Gymnasium:

    - NEXT_STEP: the step after the end of an episode ignores its action and starts a new episode
    - SAME_STEP: the step that ends an episode starts a new one; the infos hold `final_obs` and `final_info`
    - DISABLED: the caller resets with `options={"reset_mask": bool[E]}`

    `compute_reward` and `compute_terminated` take goals as those of `GymGoalEnv` do.

    Args:
        num_envs: Number of environments, E, from 1 to 2,147,483,647.
        goal_env, discrete_obs_space, image_obs_space, continuous: As of `GymGoalEnv`.
        autoreset_mode: Mode, or its value as a string.
        render_mode: None, "ansi" or "rgb_array".
        max_episode_steps: Further step limit, with the meaning of `gymnasium.make`: as with TimeLimit, the
            step at the limit is truncated, also if it reaches the goal. None and -1 set no limit.
        **parameters: Parameters of the environment, if `goal_env` is an id.

    Raises:
        TypeError, ValueError: An argument is not allowed.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        goal_env: object,
        discrete_obs_space: bool = False,
        image_obs_space: bool = False,
        continuous: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **parameters: Any,
    ) -> None:
        self.goal_env = goal_env_of(goal_env, parameters)
        self.max_episode_steps = _as_time_limit(max_episode_steps)
        self.num_envs = check_integer("num_envs", num_envs, 1, 2**31 - 1)
        self.render_mode = check_render_mode(render_mode)
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            allowed = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise ValueError(
                f"autoreset_mode must be one of {allowed}, got {short_repr(autoreset_mode)}"
            ) from None
        self.metadata = {**GymGoalEnv.metadata, "autoreset_mode": self.autoreset_mode}
        self._observations = Observations(self.goal_env, discrete_obs_space, image_obs_space)
        self._actions = actions_of(self.goal_env, continuous)
        self.single_observation_space = self._observations.space()
        self.single_action_space = self._actions.space()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._states: Words = np.zeros((self.num_envs, n_words(self.goal_env.n_state_bits)), np.uint64)
        self._goals: Words = np.zeros((self.num_envs, n_words(self.goal_env.n_goal_bits)), np.uint64)
        self._all = np.arange(self.num_envs)
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._thread_guard = ThreadGuard()
        # True for episodes that ended in the last step; None before the first reset.
        self._ended: NDArray[np.bool_] | None = None

    @one_thread
    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        """Start new episodes.

        Args:
            seed: Seed of a new random stream for this and later episodes. None continues the current stream.
            options: None, or {"reset_mask": bool[E]} to reset only the environments where the mask is True.
                The first reset must include all environments.

        Returns:
            Observations and infos. As in Gymnasium, `_is_success` is the mask of the environments that were
            reset.

        Raises:
            ResetNeeded: The first reset does not include all environments.
            TypeError, ValueError: `seed` or `options` is not allowed.
        """
        mask = self._reset_mask(options)
        super().reset(seed=check_seed(seed))
        if self._ended is None:
            self._ended = np.zeros(self.num_envs, np.bool_)
        self._start(np.flatnonzero(mask))
        self._ended[mask] = False
        return self._observe(), _infos(np.zeros_like(mask), np.zeros_like(self._elapsed), mask)

    @one_thread
    def step(
        self, actions: NDArray[Any]
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """Take action `actions[e]` in every running episode e.

        Args:
            actions: Integers [E] in [0, n_actions), in bit flipping the indices of bits. With `continuous`,
                numbers [E, n_bits]. Actions of episodes that start in this step are validated but not used.

        Returns:
            Observations, rewards float64[E], terminations bool[E], truncations bool[E], infos.

        Raises:
            ResetNeeded: `reset` was never called, or autoreset is DISABLED and a finished episode was not
                reset.
            TypeError, ValueError: `actions` is not allowed.
        """
        if self._ended is None:
            raise ResetNeeded("the episodes have not begun: call reset() before step()")
        valid_actions = self._actions.validated(actions, (self.num_envs,))
        ended = np.flatnonzero(self._ended)  # always empty with SAME_STEP
        running = self._all
        if ended.size:
            if self.autoreset_mode is AutoresetMode.DISABLED:
                raise ResetNeeded(
                    f"episode {ended[0]} has ended and autoreset is disabled: "
                    "reset it with options['reset_mask']"
                )
            running = np.flatnonzero(~self._ended)
        terminated = np.zeros(self.num_envs, np.bool_)
        self._actions.step(self._states, self._goals, valid_actions, running, terminated)
        self._elapsed[running] += 1
        self._start(ended)
        truncated = ~terminated & (self._elapsed >= self.goal_env.max_steps)
        if self.max_episode_steps is not None:
            truncated |= self._elapsed >= self.max_episode_steps
        rewards = np.where(terminated, 0.0, -1.0)
        rewards[ended] = 0.0
        done = terminated | truncated
        infos = _infos(terminated.copy(), self._elapsed.copy(), np.ones(self.num_envs, np.bool_))
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            self._ended = done
        elif done.any():
            infos = self._restart(done, infos)
        return self._observe(), rewards, terminated, truncated, infos

    def render(self) -> tuple[Frame, ...] | None:
        """Return one frame per environment as `GymGoalEnv.render` does, or None."""
        if self.render_mode is None:
            return None
        return render_frames(self.goal_env, self._states, self._goals, self.render_mode)

    def _start(self, envs: NDArray[np.intp]) -> None:
        """Start an episode in each of `envs`, ascending indices."""
        if envs.size:
            states = np.empty((envs.size, self._states.shape[1]), np.uint64)
            goals = np.empty((envs.size, self._goals.shape[1]), np.uint64)
            self.goal_env.reset(self.np_random, states, goals)
            self._states[envs] = states
            self._goals[envs] = goals
            self._elapsed[envs] = 0

    def _restart(self, done: NDArray[np.bool_], infos: Info) -> Info:
        """Start new episodes where `done` is True; return the infos of SAME_STEP.

        The last observations and infos of the finished episodes are added to `infos`.
        """
        envs = np.flatnonzero(done)
        last = self._observations.encode(self._states[envs], self._goals[envs])
        # Gymnasium expects a dict per finished episode.
        final_obs = np.full(self.num_envs, None, dtype=object)
        for row, env in enumerate(envs):
            final_obs[env] = {part: values[row] for part, values in last.items()}
        success = infos["is_success"]
        elapsed = infos["elapsed_steps"]
        final_info = _infos(success & done, np.where(done, elapsed, 0), done)
        self._start(envs)
        success[envs] = False
        elapsed[envs] = 0
        final = {
            "final_obs": final_obs,
            "_final_obs": done.copy(),
            "final_info": final_info,
            "_final_info": done,
        }
        return final | infos

    def _reset_mask(self, options: Info | None) -> NDArray[np.bool_]:
        """Return the validated mask in the options of `reset`, by default all True."""
        if not (options is None or isinstance(options, Mapping)):
            raise TypeError(f"options must be None or a dict, got {short_repr(options)}")
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            got = short_repr(mask)
            if isinstance(mask, np.ndarray):
                got = f"{mask.dtype} array of shape {list(mask.shape)}"
            raise ValueError(
                f"options['reset_mask'] must be a bool array of shape [{self.num_envs}], got {got}"
            )
        if not mask.any():
            raise ValueError(
                "options['reset_mask'] must be True for at least one environment, got only False"
            )
        if self._ended is None and not mask.all():
            raise ResetNeeded("the episodes have not begun: reset all of them before resetting some")
        return mask.copy()

    def _observe(self) -> Observation:
        """Return the current observations in new arrays."""
        return self._observations.encode(self._states, self._goals)


def _as_time_limit(max_episode_steps: int | None) -> int | None:
    """Return the step limit that `max_episode_steps` sets, or None.

    Raises:
        TypeError, ValueError: It is neither None, -1 nor an integer >= 1.
    """
    if max_episode_steps is None:
        return None
    limit = check_integer("max_episode_steps", max_episode_steps, -1, 2**31 - 1)
    if limit == 0:
        raise ValueError("max_episode_steps must be -1, which sets no limit, or at least 1, got 0")
    if limit == -1:
        return None
    return limit


def _infos(is_success: NDArray[np.bool_], elapsed_steps: NDArray[np.int64], mask: NDArray[np.bool_]) -> Info:
    """Return infos in the form of Gymnasium: each array with a mask of valid entries."""
    infos = {"is_success": is_success, "elapsed_steps": elapsed_steps}
    return {**infos, **{f"_{name}": mask.copy() for name in infos}}
