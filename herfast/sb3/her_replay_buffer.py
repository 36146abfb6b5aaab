"""HerReplayBuffer whose time to sample does not depend on its size."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.her.goal_selection_strategy import KEY_TO_GOAL_STRATEGY, GoalSelectionStrategy
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer as BaseHerReplayBuffer

from herfast.common.seeding import Role, check_seed, stream
from herfast.common.validation import check_bool, check_choice, check_integer, short_repr
from herfast.replay.episode_index import EpisodeIndex, count_transitions, gather_rows, store_slot
from herfast.sb3.goal_env import Array, Infos, reached_goals, rewards_of, terminations_of

MAX_SAMPLED_GOALS = 1_000_000  # with so many, practically all transitions are relabelled
MAX_BATCH_SIZE = 2**24

Parts = dict[str, Array]  # of observations, by key


class HerReplayBuffer(BaseHerReplayBuffer):
    """Replay buffer of hindsight experience replay for Stable-Baselines3.

    It replaces `stable_baselines3.HerReplayBuffer`, whose `sample` scans all slots. It stores the same arrays
    and samples with the same probabilities, but looks only at the slots that it draws. `sample` does not call
    `_get_real_samples`, `_get_virtual_samples` and `_sample_goals`.

    Args:
        buffer_size: Number of transitions, of all environments together.
        observation_space: Dict space with at least achieved_goal and desired_goal.
        action_space: Action space.
        env: Training environment, which computes rewards.
        device: PyTorch device of the samples.
        n_envs: Number of parallel environments.
        optimize_memory_usage: Must be False.
        handle_timeout_termination: If True, the end of an episode by a time limit is no termination.
        n_sampled_goal: Number of hindsight goals per original goal, from 0 to 1,000,000. The share
            n_sampled_goal / (n_sampled_goal + 1) of each batch is relabelled.
        goal_selection_strategy: "future", "final" or "episode", or a GoalSelectionStrategy, or "random": any
            goal that was achieved in a finished episode of any environment.
        copy_info_dict: If True, store the info dicts in `infos`, and pass them to `compute_reward`.
        seed: Seed of all draws, from 0 to 2**128 - 1. By default it is drawn from NumPy's global state at the
            first call of `sample`. `set_random_seed` of Stable-Baselines3 sets this state.
        terminated_from_goal: If False, relabelled transitions keep their stored dones. If True,
            `compute_terminated` of the environment is called. Without it, they are terminated if the reward
            is that of an achieved goal, `compute_reward(goal, goal, info)`, or if they failed before.

    Attributes:
        rng: Generator of all draws, None before the first `sample` without a seed.
        infos: Exists only with `copy_info_dict`. All others are those of Stable-Baselines3.

    Raises:
        TypeError, ValueError: An argument is not allowed.
    """

    pos: int  # slot that is written next

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Space[Any],
        env: VecEnv,
        device: Any = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        n_sampled_goal: int = 4,
        goal_selection_strategy: GoalSelectionStrategy | str = "future",
        copy_info_dict: bool = False,
        *,
        seed: int | None = None,
        terminated_from_goal: bool = False,
    ) -> None:
        n_sampled_goal = check_integer("n_sampled_goal", n_sampled_goal, 0, MAX_SAMPLED_GOALS)
        strategy = checked_strategy(goal_selection_strategy)
        check_seed(seed)
        self.terminated_from_goal = check_bool("terminated_from_goal", terminated_from_goal)
        # The constructor of the base class would create a dict for every slot.
        super(BaseHerReplayBuffer, self).__init__(
            buffer_size,
            observation_space,
            action_space,
            device=device,
            n_envs=n_envs,
            optimize_memory_usage=optimize_memory_usage,
            handle_timeout_termination=handle_timeout_termination,
        )
        for key in ("achieved_goal", "desired_goal"):
            if key not in self.observations:
                raise ValueError(f"observation_space must have {key}, got {', '.join(self.observations)}")
        self.env = env
        self.copy_info_dict = copy_info_dict
        self.goal_selection_strategy = strategy
        self.n_sampled_goal = n_sampled_goal
        self.her_ratio = 1 - 1 / (n_sampled_goal + 1)  # share of relabelled transitions
        shape = (self.buffer_size, self.n_envs)
        if copy_info_dict:
            self.infos = np.empty(shape, object)
        self.ep_start = np.zeros(shape, np.int64)
        self.ep_length = np.zeros(shape, np.int64)
        self._current_ep_start = np.zeros(self.n_envs, np.int64)
        self._n_transitions = np.zeros(self.n_envs, np.int64)  # of finished episodes
        self.rng: np.random.Generator | None = None
        if seed is not None:
            self.rng = stream(seed, Role.REPLAY)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes to be pickled: all but the environment."""
        state: dict[str, Any] = super().__getstate__()
        del state["_n_transitions"]  # follows from ep_length
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore pickled attributes, also those of a replay buffer of Stable-Baselines3.

        Raises:
            ValueError: The stored episodes contradict each other. Nothing is changed.
        """
        n_transitions = count_transitions(state["ep_length"], state["_current_ep_start"])
        super().__setstate__({"rng": None, "terminated_from_goal": False, **state})
        self._n_transitions = n_transitions
        if not self.copy_info_dict:
            self.__dict__.pop("infos", None)

    @classmethod
    def from_sb3(cls, buffer: BaseHerReplayBuffer) -> HerReplayBuffer:
        """Return a replay buffer with the attributes of one of Stable-Baselines3.

        They share arrays and environment: use only the new one from then on.
        """
        if not isinstance(buffer, BaseHerReplayBuffer):
            raise TypeError(f"buffer must be a HerReplayBuffer, got {short_repr(buffer)}")
        converted = cls.__new__(cls)
        converted.__setstate__(buffer.__getstate__())
        converted.env = buffer.env
        return converted

    def to_sb3(self) -> BaseHerReplayBuffer:
        """Return a replay buffer of Stable-Baselines3 with the attributes of this one.

        They share arrays and environment: use only the new one from then on. It keeps stored dones.

        Raises:
            ValueError: The strategy is "random", which Stable-Baselines3 does not have.
        """
        if self.goal_selection_strategy == "random":
            raise ValueError("goal_selection_strategy must be 'future', 'final' or 'episode', got 'random'")
        state = self.__getstate__()
        del state["rng"], state["terminated_from_goal"]
        converted = BaseHerReplayBuffer.__new__(BaseHerReplayBuffer)
        converted.__setstate__(state)
        converted.env = self.env
        return converted

    @property
    def _index(self) -> EpisodeIndex:
        return EpisodeIndex(self.ep_start, self.ep_length, self._current_ep_start, self._n_transitions)

    def reset(self) -> None:
        """Remove all transitions."""
        super().reset()
        self._index.clear()

    def add(
        self, obs: Parts, next_obs: Parts, action: Array, reward: Array, done: Array, infos: Infos
    ) -> None:
        """Store one transition of each environment, as Stable-Baselines3 does.

        In a full replay buffer, the episodes that begin in its oldest slot are dropped.
        """
        slot = self.pos
        arrays = [*self.observations.values(), *self.next_observations.values()]
        arrays += (self.actions, self.rewards, self.dones)
        values = [*self._rows(obs), *self._rows(next_obs)]
        values += (action.reshape(self.n_envs, self.action_dim), np.asarray(reward), np.asarray(done))
        self._index.begin_slot(slot)
        store_slot(arrays, slot, values)
        if self.handle_timeout_termination:
            self.timeouts[slot] = [info.get("TimeLimit.truncated", False) for info in infos]
        if self.copy_info_dict:
            self.infos[slot] = infos
        self.pos += 1
        if self.pos == self.buffer_size:
            self.full = True
            self.pos = 0
        for env_idx in range(self.n_envs):
            if done[env_idx]:
                self._compute_episode_length(env_idx)

    def _rows(self, obs: Parts) -> list[Array]:
        """Return the parts of observations [n_envs, ...] in the order of `observations`."""
        parts = []
        for key in self.observations:
            part = np.asarray(obs[key])
            if isinstance(self.observation_space[key], spaces.Discrete):
                part = part.reshape(self.n_envs, 1)
            parts.append(part)
        return parts

    def _compute_episode_length(self, env_idx: int) -> None:
        """Make the running episode of an environment available to `sample`."""
        self._index.end_episode(env_idx, self.pos)

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> DictReplayBufferSamples:
        """Sample transitions of finished episodes, uniformly and with replacement.

        int(her_ratio * batch_size) of them, the last ones, are relabelled. The order of draws is stated in
        csrc/episode_index.h.

        Args:
            batch_size: Number of transitions, from 1 to 16,777,216.
            env: Normalizes observations and rewards, if given.

        Returns:
            New tensors on `device`.

        Raises:
            TypeError, ValueError: `batch_size` is not allowed.
            RuntimeError: No episode is finished, or the environment is not set.
        """
        batch_size = check_integer("batch_size", batch_size, 1, MAX_BATCH_SIZE)
        n_relabelled = int(self.her_ratio * batch_size)
        if n_relabelled and self.env is None:
            raise RuntimeError("the environment, which computes rewards, is not set: call set_env")
        strategy = self.goal_selection_strategy
        if isinstance(strategy, GoalSelectionStrategy):
            strategy = strategy.name.lower()
        rows, goal_rows = self._index.choose(strategy, self._generator(), batch_size, n_relabelled)
        arrays = [*self.observations.values(), *self.next_observations.values()]
        arrays += (self.actions, self.rewards, self.dones, self.timeouts)
        *values, actions, rewards, dones, timeouts = gather_rows(arrays, rows)
        obs = dict(zip(self.observations, values[: len(self.observations)], strict=True))
        next_obs = dict(zip(self.next_observations, values[len(obs) :], strict=True))
        dones *= 1 - timeouts
        if n_relabelled:
            self._relabel(rows[-n_relabelled:], goal_rows, obs, next_obs, rewards, dones)
        obs = self._normalize_obs(obs, env)
        next_obs = self._normalize_obs(next_obs, env)
        return DictReplayBufferSamples(
            observations={key: self._tensor(array) for key, array in obs.items()},
            actions=self._tensor(actions),
            next_observations={key: self._tensor(array) for key, array in next_obs.items()},
            dones=self._tensor(dones.reshape(-1, 1)),
            rewards=self._tensor(self._normalize_reward(rewards.reshape(-1, 1), env)),
        )

    def _tensor(self, array: Array) -> torch.Tensor:
        """Return a new array as a tensor, three times as fast as `to_torch`."""
        return torch.from_numpy(array).to(self.device)

    def _generator(self) -> np.random.Generator:
        """Return the generator, seeded at its first use unless a seed was given."""
        if self.rng is None:  # the only use of NumPy's global state in herfast
            seed = np.random.randint(2**63, dtype=np.int64)  # noqa: NPY002
            self.rng = stream(int(seed), Role.REPLAY)
        return self.rng

    def _relabel(
        self, rows: Array, goal_rows: Array, obs: Parts, next_obs: Parts, rewards: Array, dones: Array
    ) -> None:
        """Replace goals, rewards and, if so set, dones of the last transitions."""
        n_kept = len(rewards) - len(rows)
        infos: Any = [{} for _ in range(len(rows))]
        if self.copy_info_dict:
            infos = copy.deepcopy(self.infos.reshape(-1)[rows])  # the environment may change them
        (goals,) = gather_rows([self.next_observations["achieved_goal"]], goal_rows)
        achieved = next_obs["achieved_goal"][n_kept:]
        originals = next_obs["desired_goal"][n_kept:]
        new_rewards = rewards_of(self.env, achieved, goals, infos)
        if self.terminated_from_goal and self.env.has_attr("compute_terminated"):
            dones[n_kept:] = terminations_of(self.env, achieved, goals, infos)
        elif self.terminated_from_goal:
            failed = (dones[n_kept:] > 0) & ~reached_goals(self.env, rewards[n_kept:], originals, infos)
            dones[n_kept:] = failed | reached_goals(self.env, new_rewards, goals, infos)
        rewards[n_kept:] = new_rewards
        for part in (obs, next_obs):
            part["desired_goal"] = np.concatenate((part["desired_goal"][:n_kept], goals))


def checked_strategy(strategy: object) -> GoalSelectionStrategy | str:
    """Return a strategy of Stable-Baselines3, or "random"."""
    if isinstance(strategy, GoalSelectionStrategy):
        return strategy
    if isinstance(strategy, str):
        strategy = strategy.lower()
    check_choice("goal_selection_strategy", strategy, (*KEY_TO_GOAL_STRATEGY, "random"))
    return KEY_TO_GOAL_STRATEGY.get(strategy, strategy)
