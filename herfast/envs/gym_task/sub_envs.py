"""One view of single and vector environments of Gymnasium.

A vector environment starts the next episode by itself, in one of three autoreset modes. Here a step always
returns the observations that it led to, also of episodes that it ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray

from herfast.envs.gym_task.packing import UnsupportedEnvError, batch_of_one, single_value

AnyEnv: TypeAlias = (
    Any  # gymnasium.Env or gymnasium.vector.VectorEnv, with any types of observation and action
)


class Step(NamedTuple):
    """Results of a step of E sub-environments."""

    observations: Any  # batch of E
    finals: dict[int, Any]  # batches of 1 that replace the observations of these sub-environments
    rewards: NDArray[np.float64]  # [E]
    terminated: NDArray[np.bool_]  # [E]
    ended: NDArray[np.bool_]  # [E], True if terminated or truncated
    infos: Any  # a dict, or for a vector environment a dict of arrays


class SubEnvs:
    """Sub-environments of a vector environment, or a single one.

    Args:
        env: The environment.

    Attributes:
        num_envs: Number of sub-environments, E.
        example: A single environment like the sub-environments, or the vector environment if it has none. Its
            attributes are those of all.
        max_steps: Step limit of an episode, the highest of all sub-environments, or None.
        identified: Environment that `spec` describes.
        seconds: Time that the environment itself took.

    Raises:
        UnsupportedEnvError: `env` is a vector environment without an autoreset mode.
    """

    def __init__(self, env: AnyEnv) -> None:
        self.env = env
        self.identified = env
        self.is_vector = isinstance(env, gymnasium.vector.VectorEnv)
        self.num_envs = 1
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        sub_envs = [env]
        self._autoreset = AutoresetMode.DISABLED
        if self.is_vector:
            self.num_envs = env.num_envs
            self.observation_space = env.single_observation_space
            self.action_space = env.single_action_space
            sub_envs = _sub_envs(env)
            self._autoreset = env.metadata.get("autoreset_mode")
            if not isinstance(self._autoreset, AutoresetMode):
                needed = "a gymnasium.vector.AutoresetMode as metadata['autoreset_mode']"
                raise UnsupportedEnvError(needed, repr(self._autoreset))
        self._ended = np.zeros(self.num_envs, np.bool_)  # by the last step
        self._begun = np.zeros(self.num_envs, np.bool_)  # by the last step, in the mode NEXT_STEP
        self._observations: Any = None  # of a vector environment
        self.example = sub_envs[0]
        self.max_steps = highest_limit(sub_envs)
        self.seconds = 0.0

    def find(self, name: str) -> Any:
        """Return an attribute of the outermost wrapper that has it, or None."""
        if isinstance(self.example, gymnasium.Env):
            if not self.example.has_wrapper_attr(name):
                return None
            return self.example.get_wrapper_attr(name)
        return getattr(self.example.unwrapped, name, None)

    def reset(self, seeds: list[int] | None) -> Any:
        """Reset all sub-environments, and return E observations.

        Args:
            seeds: A seed for each, or None to continue their random streams. A vector environment of its own
                kind takes a single seed, and gets the first.
        """
        if self.is_vector:
            given: Any = seeds
            if seeds is not None and not isinstance(self.env.unwrapped, (SyncVectorEnv, AsyncVectorEnv)):
                given = seeds[0]
            with self.timed():
                observations, _ = self.env.reset(seed=given)
            self._ended = np.zeros(self.num_envs, np.bool_)
            return observations
        seed = None
        if seeds is not None:
            (seed,) = seeds
        with self.timed():
            observation, _ = self.env.reset(seed=seed)
        return batch_of_one(self.observation_space, observation)

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Step all sub-environments.

        The results of one whose episode has ended before are those of another episode, or undefined.

        Args:
            actions: int64[E].
        """
        if not self.is_vector:
            with self.timed():
                observation, reward, terminated, truncated, infos = self.env.step(actions[0])
            observations = batch_of_one(self.observation_space, observation)
            flags = (np.array([terminated], np.bool_), np.array([terminated or truncated], np.bool_))
            return Step(observations, {}, np.array([reward], np.float64), *flags, infos)
        if self._autoreset is AutoresetMode.DISABLED and self._ended.any():  # idle ones must not stay ended
            self._reset_some(self._ended)
        started = time.perf_counter()  # without `timed`, which takes as long as a NumPy call
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        self.seconds += time.perf_counter() - started
        self._observations = observations
        self._begun = self._ended
        self._ended = terminated | truncated
        finals = {}
        if self._autoreset is AutoresetMode.SAME_STEP:
            finals = {e: self._final_observation(infos, e) for e in np.flatnonzero(self._ended).tolist()}
        return Step(observations, finals, rewards, terminated, self._ended, infos)

    def begin(self, waiting: NDArray[np.int64]) -> tuple[NDArray[np.int64], Any]:
        """Start the next episodes of some sub-environments.

        Args:
            waiting: int64[n], those whose episode has ended, or is cut off by the caller.

        Returns:
            Those whose next episode has begun, and E observations. The others begin with the next step.
        """
        if not self.is_vector:
            return waiting, self.reset(None)
        ended = waiting[self._ended[waiting]]
        if self._autoreset is AutoresetMode.DISABLED:
            resets = waiting
        elif self._autoreset is AutoresetMode.SAME_STEP:
            resets = np.setdiff1d(waiting, ended)
        else:
            waiting = np.setdiff1d(waiting, ended)
            resets = waiting[~self._begun[waiting]]
        if resets.size:
            mask = np.zeros(self.num_envs, np.bool_)
            mask[resets] = True
            self._reset_some(mask)
        return waiting, self._observations

    def _reset_some(self, mask: NDArray[np.bool_]) -> None:
        """Reset the sub-environments in `mask`."""
        with self.timed():
            self._observations, _ = self.env.reset(options={"reset_mask": mask.copy()})
        self._ended = self._ended & ~mask

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time of a block to `seconds`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started

    def info(self, step: Step, e: int) -> dict[str, Any]:
        """Return the info of sub-environment `e` in a step, also of the last one."""
        infos = step.infos
        if isinstance(infos, list):  # as the wrapper DictInfoToList returns them
            infos = infos[e]
            if e in step.finals:
                infos = infos["final_info"]
            return dict(infos)
        if not self.is_vector:
            return dict(infos)
        if e in step.finals:
            infos = infos["final_info"]
        return _row(infos, e)

    def _final_observation(self, infos: Any, e: int) -> Any:
        if isinstance(infos, list):
            final = infos[e]["final_obs"]
        elif isinstance(infos["final_obs"], Mapping):  # in batches, as some vector environments return it
            final = single_value(self.observation_space, infos["final_obs"], e)
        else:
            final = infos["final_obs"][e]
        return batch_of_one(self.observation_space, final)


def _sub_envs(env: AnyEnv) -> list[AnyEnv]:
    """Return the environments of a vector environment, or itself if it has none.

    Of those that run in other processes, a further one is made.
    """
    unwrapped = env.unwrapped
    envs = getattr(unwrapped, "envs", None)
    if envs:
        return list(envs)
    constructors = getattr(unwrapped, "env_fns", None)
    if constructors:
        return [constructors[0]()]
    return [env]


def highest_limit(envs: list[AnyEnv]) -> int | None:
    """Return the highest step limit of environments, or None if one has none."""
    highest = 0
    for env in envs:
        limit = _step_limit(env)
        if limit is None:
            return None
        highest = max(highest, limit)
    return highest


def _step_limit(env: AnyEnv) -> int | None:
    """Return the lowest step limit of a spec and of all wrappers, or None."""
    limits = []
    spec = getattr(env, "spec", None)
    if spec is not None and spec.max_episode_steps is not None:
        limits.append(spec.max_episode_steps)
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            limits.append(env._max_episode_steps)
        env = env.env
    return min(limits, default=None)


def _row(infos: Mapping[str, Any], e: int) -> dict[str, Any]:
    """Return the entries of one sub-environment in the infos of a vector environment."""
    row = {}
    for key, values in infos.items():
        mask = infos.get(f"_{key}")
        if mask is None or not mask[e] or key in ("final_obs", "final_info"):
            continue
        if isinstance(values, Mapping):
            row[key] = _row(values, e)
        else:
            row[key] = values[e]
    return row
