"""The agent: training loop, evaluation, prediction, saving and loading."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from herfast.callbacks.base import Callback, combine
from herfast.common.history import History
from herfast.common.seeding import Role, Streams, drawn_seed, stream
from herfast.common.tensor_file import open_tensors, write_tensors
from herfast.common.thread_guard import ThreadGuard, one_thread, synchronized
from herfast.common.validation import FixedAttributes, check_bool, check_integer, check_path
from herfast.config import Config, config_fields
from herfast.dqn import checkpoint
from herfast.dqn.checkpoint import AgentParts
from herfast.dqn.diagnosis import Diagnosis, diagnose
from herfast.dqn.evaluation import Evaluation, evaluate
from herfast.dqn.limits import resolve_limits
from herfast.dqn.memory_budget import check_memory
from herfast.dqn.observation import greedy_actions
from herfast.dqn.progress_bar import env_seconds, show_progress
from herfast.dqn.training_cycle import check_solved, new_replay, run_cycle
from herfast.envs.adapters import as_goal_env
from herfast.envs.base import GoalEnv
from herfast.networks.q_network import QNetwork
from herfast.presets import Preset
from herfast.replay.hindsight_replay import HindsightReplay


class Agent(FixedAttributes):
    """Hindsight experience replay with (Double) DQN.

    References: Andrychowicz et al. 2017, van Hasselt et al. 2015. Only one thread at a time may use an agent:
    a second one gets a RuntimeError. So does a process that was forked while another thread used the agent.

    Args:
        env: a BitFlip, GoalTask, GoalEnv, GymnasiumTask or Gymnasium goal environment, or the id of one.
        preset: "fast", "paper" or "notebook", as in Config.preset.
        seed: seed of all random streams. With None a seed is drawn and stored in `agent.seed`.
        env_kwargs: arguments of the environment that an id names.
        threads: threads of a call, as in `QNetwork`. It may be set later, and is not saved.
        config_fields: fields of Config that override the preset.

    Attributes:
        history: NumPy arrays [cycles] by column name. `epoch` counts from 1. `success` and `return` are means
            over the cycle's training episodes, `loss` over its updates. `epsilon` and `learning_rate` are the
            first of the cycle. `env_steps`, `episodes`, `updates` and `seconds` are totals since the start.
            `greedy_success` is measured at the end of each epoch and NaN in all other rows.
        solved: True if the last `learn` ended because `until` was reached and confirmed.
        env_seconds: part of `seconds` that the code of a Gymnasium environment took. It is not saved.

    Raises:
        TypeError, ValueError: the environment is not supported, or a field is unknown or out of range.
        MemoryError: more memory is needed than is available. The message names the field to lower.
    """

    FIXED: ClassVar = frozenset({"env", "preset", "seed", "network", "streams"})
    SETTINGS: ClassVar = frozenset(config_fields())

    def __init__(
        self,
        env: object,
        preset: Preset = "fast",
        seed: int | None = None,
        *,
        env_kwargs: Mapping[str, Any] | None = None,
        threads: int | None = None,
        _with_replay: bool = True,  # False only in `load`
        **config_fields: Any,
    ) -> None:
        self.env: GoalEnv = as_goal_env(env, env_kwargs)
        self.preset: Preset = preset
        config = Config.preset(preset, self.env, **config_fields)
        check_memory(self.env, config, acting_only=not _with_replay)
        self.seed: int = drawn_seed(seed)
        bits = (self.env.n_state_bits, self.env.n_goal_bits)
        self.network = QNetwork(*bits, self.env.n_actions, config=config, seed=self.seed, threads=threads)
        roles = (Role.REPLAY, Role.ENVIRONMENT, Role.EXPLORATION, Role.EVALUATION)
        self.streams = Streams({role: stream(self.seed, role) for role in roles})
        self.history = History()
        self.solved = False
        self.env_seconds = 0.0
        self._replay: HindsightReplay | None = None
        self._thread_guard = ThreadGuard()
        if _with_replay:
            self._allocate_replay()

    @synchronized
    def _allocate_replay(self) -> HindsightReplay:
        if self._replay is not None:  # another thread has allocated it
            return self._replay
        self._replay = new_replay(self.env, self.config, self.seed)
        self.streams[Role.REPLAY] = self._replay.rng  # the same, so that it is saved with the others
        return self._replay

    @property
    def replay(self) -> HindsightReplay:
        """The replay buffer. An agent that was loaded without one allocates it here."""
        if self._replay is None:
            check_memory(self.env, self.config)
            return self._allocate_replay()
        return self._replay

    @property
    def config(self) -> Config:
        """The settings. Some may be changed, see `herfast.config.CHANGEABLE`."""
        return self.network.config

    @config.setter
    @one_thread
    def config(self, config: Config) -> None:
        self.network.config = config

    @property
    def threads(self) -> int | None:
        """Threads of a call, or None, as in `QNetwork`."""
        return self.network.threads

    @threads.setter
    def threads(self, threads: int | None) -> None:
        self.network.threads = threads

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
        arguments = (self.cycles, self.env_steps, epochs, total_timesteps, until)
        limits = resolve_limits(self.config, *arguments)
        call = combine(callback)
        check_bool("progress_bar", progress_bar)
        started = time.perf_counter() - self.seconds
        env_started = env_seconds(self.env) - self.env_seconds
        with show_progress(progress_bar, self.cycles, self.env_steps, limits, self.env) as show:
            self.solved = False
            continues = True
            while continues and self.cycles < limits.cycles and self.env_steps < limits.env_steps:
                row = run_cycle(self._parts(), self.replay)
                ends_epoch = (self.cycles + 1) % self.config.cycles_per_epoch == 0
                greedy_success, solved = check_solved(self.evaluate, ends_epoch, limits.until)
                seconds = time.perf_counter() - started
                self.env_seconds = env_seconds(self.env) - env_started
                self.history.append(**row, seconds=seconds, greedy_success=greedy_success)
                self.solved = solved
                show(row)
                continues = call(self) and not self.solved
                limits = resolve_limits(self.config, *arguments)  # a callback may have changed the config
        return self

    @one_thread
    def evaluate(self, n_episodes: int, seed: int | None = None, *, no_revisit: bool = False) -> Evaluation:
        """Evaluate the greedy policy of the network that `evaluate_with` names.

        Args:
            n_episodes: number of episodes.
            seed: seed of the episodes. They come from their own stream, Role.TEST, so no agent's `learn` has
                used them to check `until`. With None they are the next ones of the evaluation stream.
            no_revisit: take no action that leads to a state visited before in the episode. This hides the
                loops of the greedy policy: mention it when you report the result.

        Raises:
            TypeError, ValueError: an argument is invalid, or the environment holds a state (`no_revisit`).
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
            observation: a dict with "observation" and "desired_goal", each [n] or [E, n] of 0 and 1. For a
                GymnasiumTask it is one of its environment, or a batch of a vector environment.

        Returns:
            The action as int64, or int64[E] for a batch; and None, because the policy has no state.

        Raises:
            TypeError, ValueError: a key is missing, or an array has the wrong shape, dtype or values.
        """
        return greedy_actions(self.env, self.network, observation, self.config.evaluate_with), None

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
    def load(
        cls,
        path: str | os.PathLike[str],
        env: object = None,
        *,
        replay: bool = True,
        threads: int | None = None,
        **config_fields: Any,
    ) -> Agent:
        """Load an agent that `save` wrote.

        Args:
            path: the file. If it was saved with `replay=False`, replay buffer and history are empty.
            env: the environment of the file. None: `make_env` builds it, and imports the module of a task.
            replay: with False, only networks and settings are loaded, which is enough to play and evaluate.
                No memory is then used for a replay buffer.
            threads: as in the constructor.
            config_fields: fields of Config to change: limits (`epochs`, `until`) and the schedules of the
                learning rate and epsilon.

        Raises:
            OSError, ValueError, TypeError: the file cannot be read, holds no agent or that of another
                environment, or a field cannot change.
            MemoryError: the agent needs more memory than is available.
        """
        check_path("path", path)
        check_bool("replay", replay)
        with open_tensors(path) as file:
            goal_env, preset, seed, fields = checkpoint.arguments(file, path, env, config_fields)
            with_replay = replay and checkpoint.has_training_state(file)
            with checkpoint.load_errors(path):
                agent = cls(goal_env, preset, seed, threads=threads, _with_replay=with_replay, **fields)
                agent.solved = checkpoint.load_state_dict(agent._parts(), agent._replay, file)
        return agent

    def _parts(self) -> AgentParts:
        return AgentParts(*(getattr(self, name) for name in AgentParts._fields))
