"""Vectorised environments of Stable-Baselines3 as the task of an agent.

A VecEnv starts the next episode in the step that ends one. The infos of this step then hold the last
observation as "terminal_observation", and "TimeLimit.truncated".
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, unwrap_vec_normalize

from herfast.common.batches import Words
from herfast.common.bits import pack_bits, unpack_bits
from herfast.common.seeding import drawn_seed
from herfast.common.validation import short_repr
from herfast.config import Config
from herfast.envs.gym_task.contract import Facts
from herfast.envs.gym_task.packing import batch_of_one
from herfast.envs.gym_task.sub_envs import Step, SubEnvs, highest_limit
from herfast.envs.gym_task.task import GymnasiumTask

TERMINAL = "terminal_observation"  # key of the last observation in an info


def check_not_normalized(env: VecEnv) -> None:
    """Raise ValueError if an environment has the wrapper VecNormalize."""
    if unwrap_vec_normalize(env) is not None:
        raise ValueError(
            f"env must not be wrapped in VecNormalize, since bits need none, got {short_repr(env)}"
        )


def is_terminated(done: bool, info: dict[str, Any]) -> bool:
    """Return whether a step terminated its episode, and not only truncated it."""
    return bool(done and not info.get("TimeLimit.truncated", False))


class VecSubEnvs(SubEnvs):
    """Sub-environments of a VecEnv, with what the check of a task needs.

    Args:
        env: The environment.
        uses_terminated: If False, `compute_terminated` is not found.
    """

    def __init__(self, env: VecEnv, uses_terminated: bool) -> None:
        self.env = env
        self.is_vector = True
        self.num_envs = env.num_envs
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        envs: list[Any] = [env.unwrapped]
        if isinstance(env.unwrapped, DummyVecEnv):
            envs = env.unwrapped.envs
        self.example = envs[0]
        self.identified = self.example
        self.max_steps = highest_limit(envs)
        self.seconds = 0.0
        self._uses_terminated = uses_terminated

    def find(self, name: str) -> Any:
        """Return a function that calls a method of the first sub-environment, or None."""
        if name == "compute_terminated" and not self._uses_terminated:
            return None
        if not self.env.has_attr(name):
            return None

        def call(*args: Any) -> Any:
            (result,) = self.env.env_method(name, *args, indices=[0])
            return result

        return call

    def reset(self, seeds: list[int] | None) -> Any:
        """Reset all sub-environments, and return E observations.

        Args:
            seeds: Consecutive seeds for them, or None to continue their random streams.
        """
        if seeds is not None:
            self.env.seed(seeds[0])
        return self.env.reset()

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Step all sub-environments."""
        observations, rewards, dones, infos = self.env.step(actions)
        terminated = [is_terminated(done, info) for done, info in zip(dones, infos, strict=True)]
        finals = {e: self.final(infos[e]) for e in np.flatnonzero(dones).tolist()}
        return Step(observations, finals, rewards, np.array(terminated), dones, infos)

    def final(self, info: dict[str, Any]) -> Any:
        """Return the last observation of an episode from its last info, as a batch."""
        return batch_of_one(self.observation_space, info[TERMINAL])

    def info(self, step: Step, e: int) -> dict[str, Any]:
        """Return the info of sub-environment `e` in a step."""
        info: dict[str, Any] = step.infos[e]
        return own_info(info)


def own_info(info: dict[str, Any]) -> dict[str, Any]:
    """Return an info without the last observation, which a VecEnv adds."""
    return {key: value for key, value in info.items() if key != TERMINAL}


class VecTask(GymnasiumTask):
    """Task made of a VecEnv.

    The check plays in a copy of the first sub-environment. If it cannot be copied, the check steps the VecEnv
    itself, and restores the seeds of its next reset.

    Args:
        env: The environment.
        facts: Results of the check, if it was made before.
        fallback: Results to be used if no copy can be made.
        options: Options of GymnasiumTask. With terminated_from_goal=False, `compute_terminated` is not used.
    """

    _sub_envs: VecSubEnvs

    def __init__(
        self, env: VecEnv, *, facts: Facts | None = None, fallback: Facts | None = None, **options: Any
    ) -> None:
        self._known_facts = facts
        self._fallback = fallback
        super().__init__(VecSubEnvs(env, options.get("terminated_from_goal", True)), **options)

    def _check(self, sub_envs: SubEnvs) -> Facts:
        if self._known_facts is not None:
            return self._known_facts
        probe = _copy_of_first(sub_envs.env)
        if probe is not None:
            return super()._check(SubEnvs(probe))
        if self._fallback is not None:
            return self._fallback
        with _kept_seeds(sub_envs.env):
            return super()._check(sub_envs)

    @property
    def facts(self) -> Facts:
        """Results of the check."""
        return self._facts

    @property
    def spaces(self) -> dict[str, spaces.Space[Any]]:
        """Spaces of the parts of an observation, and of the actions as `action_space`."""
        parts = {packing.name: packing.space for packing in self._packings}
        return {**parts, "action_space": self._sub_envs.action_space}

    @property
    def unsuitable_settings(self) -> dict[str, str]:
        """Fields of Config that must be False, each with the reason."""
        settings = super().unsuitable_settings
        return {name: reason.replace(_PROMISE, "deterministic_env=True") for name, reason in settings.items()}

    def check_replaces(self, other: VecTask, config: Config) -> None:
        """Raise ValueError unless a model made for another environment can play here."""
        for name, space in other.spaces.items():
            if self.spaces[name] != space:
                raise ValueError(f"{name} of env must be {space}, got {self.spaces[name]}")
        if self.n_state_bits != other.n_state_bits:
            raise ValueError(
                f"states of env must have {other.n_state_bits:,} bits, got {self.n_state_bits:,}"
            )
        for name, needed in self.unsuitable_settings.items():
            if getattr(config, name):
                raise ValueError(f"{name}=True needs {needed}, got {self!r}")

    def pack(self, observations: Any) -> tuple[Words, Words]:
        """Return states [E, Ws] and goals [E, Wg] of observations that begin episodes."""
        bits = self._packings.encode(observations)
        return self._pack(bits), pack_bits(bits.desired)

    def pack_states(self, observations: Any) -> Words:
        """Return the states [E, Ws] of observations."""
        achieved = self._packings.achieved.encode(observations["achieved_goal"])
        if self._facts.is_same:
            return pack_bits(achieved)
        observed = self._packings.observation.encode(observations["observation"])
        return pack_bits(np.concatenate((achieved, observed), axis=1))

    def pack_final(self, info: dict[str, Any]) -> Words:
        """Return the last state [1, Ws] of an episode, which its last info holds."""
        return self.pack(self._sub_envs.final(info))[0]

    def packed_actions(self, actions: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Return the environment's own numbers of actions as numbers from 0."""
        return (actions - self._start).astype(np.uint16)

    def has_succeeded(
        self, reward: float, goal: Words, info: dict[str, Any], stored: dict[str, Any] | None
    ) -> bool:
        """Return whether an episode succeeded.

        Args:
            reward: Its last reward.
            goal: Its goal [Wg].
            info: Its last info.
            stored: This info as the replay buffer stores it, or None.
        """
        if "is_success" in info:
            return bool(info["is_success"])
        infos = None
        if stored is not None:
            infos = [stored]
        bits = unpack_bits(goal[np.newaxis], self.n_goal_bits).view(np.uint8)
        return bool(self._functions.reached(np.array([reward], np.float32), bits, infos)[0])


_PROMISE = "GymnasiumTask(env, deterministic=True)"


class MissingEnv(gymnasium.Env[Any, Any]):
    """Environment with the spaces of a saved one, which cannot be played.

    Args:
        observation_space: Its observations.
        action_space: Its actions.
    """

    def __init__(self, observation_space: spaces.Dict, action_space: spaces.Discrete[Any]) -> None:
        self.observation_space = observation_space
        self.action_space = action_space

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        raise RuntimeError("the environment, which computes rewards, is not set: call set_env")


def space_values(space: spaces.Space[Any]) -> list[Any]:
    """Return the class of a space and its arguments, as values for JSON."""
    if isinstance(space, spaces.MultiBinary):
        return ["MultiBinary", np.asarray(space.n).tolist()]  # a number or a list
    if isinstance(space, spaces.MultiDiscrete):
        return ["MultiDiscrete", space.nvec.tolist(), space.dtype.str, np.asarray(space.start).tolist()]
    assert isinstance(space, spaces.Discrete)
    return ["Discrete", int(space.n), int(space.start)]


def space_of(values: list[Any]) -> spaces.Space[Any]:
    """Return the space that `space_values` describes."""
    name, first, *others = values
    if name == "MultiBinary":
        return spaces.MultiBinary(first)
    if name == "MultiDiscrete":
        return spaces.MultiDiscrete(first, dtype=np.dtype(others[0]).type, start=others[1])
    if name == "Discrete":
        return spaces.Discrete(first, start=others[0])
    raise ValueError(f"{short_repr(name)} is not the class of a space")


def _copy_of_first(env: VecEnv) -> Any:
    """Return a copy of the first sub-environment, without a Monitor's file, or None."""
    unwrapped = env.unwrapped
    if not isinstance(unwrapped, DummyVecEnv):
        return None
    first = unwrapped.envs[0]
    if (first.observation_space, first.action_space) != (env.observation_space, env.action_space):
        return None
    replaced: dict[int, Any] = {}  # what deepcopy returns for an object, by its id
    wrapper = first
    while isinstance(wrapper, gymnasium.Wrapper):
        if isinstance(wrapper, Monitor):
            replaced[id(wrapper.results_writer)] = None
        wrapper = wrapper.env
    try:
        return copy.deepcopy(first, replaced)
    except Exception:  # whatever the environment raises
        return None


@contextmanager
def _kept_seeds(env: VecEnv) -> Iterator[None]:
    """Restore the seeds and options of the next reset at the end of a block.

    Without seeds the environment gets a random one, since the check has set fixed ones.
    """
    inner = env.unwrapped
    kept = {name: copy.deepcopy(getattr(inner, name)) for name in ("_seeds", "_options")}
    try:
        yield
    finally:
        env.seed(drawn_seed(None))
        if kept["_seeds"] != [None] * env.num_envs:
            inner._seeds = kept["_seeds"]
        inner._options = kept["_options"]
