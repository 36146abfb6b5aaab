"""The agent: training loop, evaluation, prediction, saving and loading."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np

from herfast.callbacks.base import Callback, combine
from herfast.common.history import History
from herfast.common.seeding import Role, Streams, check_seed, stream
from herfast.common.tensor_file import open_tensors, write_tensors
from herfast.common.thread_guard import ThreadGuard, one_thread
from herfast.common.validation import FixedAttributes, check_bool, check_integer, check_path
from herfast.config import Config
from herfast.dqn import checkpoint
from herfast.dqn.checkpoint import AgentParts
from herfast.dqn.diagnosis import Diagnosis, diagnose
from herfast.dqn.evaluation import Evaluation, evaluate
from herfast.dqn.limits import resolve_limits
from herfast.dqn.memory_budget import check_memory
from herfast.dqn.observation import pack_observation
from herfast.dqn.progress_bar import show_progress
from herfast.dqn.training_cycle import run_cycle
from herfast.envs.adapters import as_goal_env
from herfast.envs.base import GoalEnv
from herfast.networks.inputs import check_change
from herfast.networks.q_network import QNetwork
from herfast.presets import Preset
from herfast.replay.hindsight_replay import HindsightReplay

TEST_EPISODES = 100  # at the end of each epoch
CONFIRMING_EPISODES = 1_000  # once the test episodes reach `until`


class Agent(FixedAttributes):
    """Hindsight experience replay with (Double) DQN.

    References: Andrychowicz et al. 2017, van Hasselt et al. 2015. Only one thread at a time may use an agent:
    a second one gets a RuntimeError. So does a process that was forked while another thread used the agent.
    Different agents are independent.

    Args:
        env: a BitFlip or another GoalEnv, or a Gymnasium environment of herfast, which is unwrapped.
        preset: "fast", "paper" or "notebook", as in Config.preset.
        seed: seed of all random streams. With None a seed is drawn and stored in `agent.seed`.
        config_fields: fields of Config that override the preset.

    Attributes:
        history: NumPy arrays [cycles] by column name. `epoch` counts from 1. `success` and `return` are means
            over the cycle's training episodes, `loss` over its updates. `epsilon` and `learning_rate` are the
            first of the cycle. `env_steps`, `episodes`, `updates` and `seconds` are totals since the start.
            `greedy_success` is measured at the end of each epoch and NaN in all other rows.
        solved: True if the last `learn` ended because `until` was reached and confirmed.

    Raises:
        TypeError, ValueError: the environment is not supported, or a field is unknown or out of range.
        MemoryError: more memory is needed than is available. The message names the field to lower.
    """

    FIXED: ClassVar = frozenset({"env", "preset", "seed", "network", "streams"})

    def __init__(
        self, env: object, preset: Preset = "fast", seed: int | None = None, **config_fields: Any
    ) -> None:
        goal_env = as_goal_env(env)
        config = Config.preset(preset, goal_env, **config_fields)
        check_memory(goal_env, config)
        self._set_up(goal_env, preset, check_seed(seed), config)
        self._allocate_replay()

    def _set_up(self, env: GoalEnv, preset: Preset, seed: int | None, config: Config) -> None:
        """Create all parts except the replay buffer."""
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.env = env
        self.preset: Preset = preset
        self.seed: int = seed
        self.network = QNetwork(env.n_state_bits, env.n_goal_bits, env.n_actions, config=config, seed=seed)
        roles = (Role.REPLAY, Role.ENVIRONMENT, Role.EXPLORATION, Role.EVALUATION)
        self.streams = Streams({role: stream(self.seed, role) for role in roles})
        self.history = History()
        self.solved = False
        self._replay: HindsightReplay | None = None
        self._thread_guard = ThreadGuard()

    def _allocate_replay(self) -> HindsightReplay:
        config = self.config
        sizes = (config.capacity, self.env.n_state_bits, self.env.n_goal_bits)
        replay = HindsightReplay(*sizes, strategy=config.strategy, k=config.k)
        replay.rng = self.streams[Role.REPLAY]  # the same generator, so that it is saved with the others
        self._replay = replay
        return replay

    @property
    def replay(self) -> HindsightReplay:
        """The replay buffer. An agent that was loaded without one allocates it here."""
        if self._replay is None:
            check_memory(self.env, self.config)
            return self._allocate_replay()
        return self._replay

    @property
    def config(self) -> Config:
        """The settings.

        Setting another Config changes limits and schedules from the next cycle on. ValueError if a field
        differs that is fixed, such as `hidden`.
        """
        return self.network.config

    @config.setter
    @one_thread
    def config(self, config: Config) -> None:
        self.network.config = config

    def __repr__(self) -> str:
        return f"Agent({self.env!r}, preset={self.preset!r}, seed={self.seed}) after {self.env_steps:,} steps"

    @property
    def cycles(self) -> int:
        """Number of completed cycles."""
        return len(self.history["epoch"])

    @property
    def env_steps(self) -> int:
        """Environment steps of all completed cycles."""
        return int(self.history.total("env_steps"))

    @property
    def episodes(self) -> int:
        """Training episodes of all completed cycles."""
        return int(self.history.total("episodes"))

    @property
    def seconds(self) -> float:
        """Training time of all completed cycles."""
        return float(self.history.total("seconds"))

    @one_thread
    def learn(
        self,
        epochs: int | None = None,
        *,
        total_timesteps: int | None = None,
        until: float | None = None,
        progress_bar: bool = False,
        callback: Callback[Agent] | Sequence[Callback[Agent]] | None = None,
    ) -> Agent:
        """Train until one of the limits is reached, and return the agent.

        Limits are checked after each cycle. Without any of them, `epochs` and `until` of the Config apply. If
        only `until` is given, the `epochs` of the Config limit the training.

        A cycle that ends with an exception, such as KeyboardInterrupt, is not counted and has no row in the
        history. Its stored transitions and completed updates are kept, and `learn` can be called again.

        Args:
            epochs: number of further epochs.
            total_timesteps: minimum number of further environment steps. A cycle is always completed.
            until: greedy success rate that ends the training. It is checked at the end of each epoch on 100
                episodes of the evaluation stream, and confirmed on 1,000 further ones if these reach it.
            progress_bar: show a progress bar.
            callback: a function called as `callback(agent)` after each cycle, or a list of them. Returning
                False stops training. Of a list, all functions are called.

        Raises:
            TypeError, ValueError: a limit is out of range, or a callback is not callable.
            FloatingPointError: the loss or the weights are no longer finite.
        """
        limits = resolve_limits(self.config, self.cycles, self.env_steps, epochs, total_timesteps, until)
        call = combine(callback)
        check_bool("progress_bar", progress_bar)
        started = time.perf_counter() - self.seconds
        with show_progress(progress_bar, self.cycles, self.env_steps, limits) as show:
            self.solved = False
            continues = True
            while continues and self.cycles < limits.cycles and self.env_steps < limits.env_steps:
                row = run_cycle(self._parts(), self.replay)
                greedy_success, solved = self._check_solved(limits.until)
                seconds = time.perf_counter() - started
                self.history.append(**row, seconds=seconds, greedy_success=greedy_success)
                self.solved = solved
                show(row)
                continues = call(self) and not self.solved
        return self

    def _check_solved(self, until: float | None) -> tuple[float, bool]:
        """Return the success rate (NaN within an epoch), and True if it reaches `until`."""
        if (self.cycles + 1) % self.config.cycles_per_epoch != 0:
            return float("nan"), False
        rate = self.evaluate(TEST_EPISODES).success_rate
        if until is None or rate < until:
            return rate, False
        rate = self.evaluate(CONFIRMING_EPISODES).success_rate
        return rate, rate >= until

    @one_thread
    def evaluate(self, n_episodes: int, seed: int | None = None, *, no_revisit: bool = False) -> Evaluation:
        """Evaluate the greedy policy of the network that `evaluate_with` names.

        Args:
            n_episodes: number of episodes.
            seed: seed of the episodes. They come from their own stream, Role.TEST, so no agent's `learn` has
                used them to check `until`. With None they are the next ones of the evaluation stream.
            no_revisit: take no action twice in an episode, so that BitFlip never flips a bit back. This hides
                the loops of the greedy policy: mention it when you report the result.

        Raises:
            TypeError, ValueError: an argument has the wrong type or is out of range.
        """
        no_revisit = check_bool("no_revisit", no_revisit)
        n_episodes = check_integer("n_episodes", n_episodes, 1, 2**40)
        rng = self.streams[Role.EVALUATION]
        if seed is not None:
            rng = stream(seed, Role.TEST)
        return evaluate(self.env, self.network, n_episodes, rng, self.config.evaluate_with, no_revisit)

    @one_thread
    def diagnose(self) -> Diagnosis:
        """Diagnose the agent, at the cost of about 100 episodes, without changing it."""
        test_rng = stream(self.seed, Role.TEST)
        return diagnose(self.env, self.network, self._replay, self.config, test_rng, self.env_steps)

    @one_thread
    def predict(self, observation: Mapping[str, Any]) -> tuple[Any, None]:
        """Return the greedy actions for Gymnasium observations.

        Args:
            observation: a dict with "observation" and "desired_goal", each [n] or [E, n] of 0 and 1.

        Returns:
            The action as int64, or int64[E] for a batch; and None, because the policy has no state.

        Raises:
            TypeError, ValueError: a key is missing, or an array has the wrong shape, dtype or values.
        """
        states, goals, is_batch = pack_observation(self.env, observation)
        actions = self.network.act(states, goals, self.config.evaluate_with)
        if is_batch:
            return actions, None
        return actions[0], None

    @one_thread
    def save(self, path: str | os.PathLike[str], *, replay: bool = False) -> None:
        """Write the agent to a safetensors file, atomically.

        Args:
            path: the file, which is replaced if it exists. After an error the old file is unchanged.
            replay: also write the replay buffer, Adam's moments, the history and the random streams. Training
                then continues from the file bit for bit. By default only networks and settings are written.

        Raises:
            OSError: the file cannot be written.
            ValueError: the weights are not finite.
        """
        check_path("path", path)
        check_bool("replay", replay)
        tensors, metadata = checkpoint.state_dict(self._parts(), self.replay if replay else None)
        write_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, replay: bool = True, **config_fields: Any) -> Agent:
        """Load an agent that `save` wrote.

        Args:
            path: the file. If it was saved with `replay=False`, replay buffer and history are empty.
            replay: with False, only networks and settings are loaded, which is enough to play and evaluate.
                No memory is then used for a replay buffer.
            config_fields: fields of Config to change: limits (`epochs`, `until`) and the schedules of the
                learning rate and epsilon.

        Raises:
            OSError, ValueError: the file cannot be read, holds no agent, or a field cannot be changed.
            MemoryError: the agent needs more memory than is available.
        """
        check_path("path", path)
        check_bool("replay", replay)
        buffer = None
        with open_tensors(path) as file:
            with checkpoint.load_errors(path):
                env, preset, seed, saved_config = checkpoint.settings(file.metadata)
            config = Config.preset(preset, env, **{**asdict(saved_config), **config_fields})
            check_change(saved_config, config)
            with checkpoint.load_errors(path):
                agent = cls.__new__(cls)
                training = replay and checkpoint.has_training_state(file)
                check_memory(env, config, acting_only=not training)
                agent._set_up(env, preset, seed, config)
                if training:
                    buffer = agent._allocate_replay()
                agent.solved = checkpoint.load_state_dict(agent._parts(), buffer, file)
        return agent

    def _parts(self) -> AgentParts:
        return AgentParts(*(getattr(self, name) for name in AgentParts._fields))
