"""The agent: training loop, evaluation, prediction, saving and loading."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from herfast.callbacks.base import Callback, combine
from herfast.common.history import History
from herfast.common.seeding import Role, Streams, stream
from herfast.common.tensor_file import read_tensors, write_tensors
from herfast.common.thread_guard import ThreadGuard, one_thread
from herfast.common.validation import check_bool, check_integer, check_path
from herfast.config import Config
from herfast.dqn import checkpoint
from herfast.dqn.diagnosis import Diagnosis, diagnose
from herfast.dqn.evaluation import Evaluation, evaluate
from herfast.dqn.limits import resolve_limits
from herfast.dqn.memory_budget import check_memory
from herfast.dqn.observation import pack_observation
from herfast.dqn.progress_bar import show_progress
from herfast.dqn.rollout import reached_goal, rollout
from herfast.envs.adapters import as_goal_env
from herfast.networks.q_network import QNetwork
from herfast.presets import Preset
from herfast.replay.hindsight_replay import HindsightReplay

TEST_EPISODES = 100  # at the end of each epoch
CONFIRMING_EPISODES = 1_000  # once the test episodes reach `until`


class Agent:
    """Hindsight experience replay with (Double) DQN.

    References: Andrychowicz et al. 2017, van Hasselt et al. 2015. Only one thread at a time may use an agent:
    a second one gets a RuntimeError. Different agents are independent.

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

    def __init__(
        self, env: object, preset: Preset = "fast", seed: int | None = None, **config_fields: Any
    ) -> None:
        self.env = as_goal_env(env)
        self.preset: Preset = preset
        self.config = Config.preset(preset, self.env, **config_fields)
        check_memory(self.env, self.config)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.seed: int = seed
        bits = (self.env.n_state_bits, self.env.n_goal_bits)
        self.replay = HindsightReplay(
            self.config.capacity, *bits, strategy=self.config.strategy, k=self.config.k, seed=self.seed
        )
        self.streams = Streams({Role.REPLAY: self.replay.rng})  # the generator of the replay buffer itself
        for role in (Role.ENVIRONMENT, Role.EXPLORATION, Role.EVALUATION):
            self.streams[role] = stream(self.seed, role)
        self.network = QNetwork(*bits, self.env.n_actions, config=self.config, seed=self.seed)
        self.history = History()
        self.solved = False
        self._thread_guard = ThreadGuard()

    def __repr__(self) -> str:
        return f"Agent({self.env!r}, preset={self.preset!r}, seed={self.seed}) after {self.env_steps:,} steps"

    @property
    def cycles(self) -> int:
        """Number of completed cycles."""
        return len(self.history["epoch"])

    @property
    def env_steps(self) -> int:
        """Environment steps of all completed cycles."""
        return int(self._total("env_steps"))

    @property
    def episodes(self) -> int:
        """Training episodes of all completed cycles."""
        return int(self._total("episodes"))

    @property
    def seconds(self) -> float:
        """Training time of all completed cycles."""
        return float(self._total("seconds"))

    def _total(self, column: str) -> Any:
        if self.cycles == 0:
            return 0
        return self.history[column][-1]

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
                row = self._run_cycle()
                greedy_success, solved = self._check_solved(limits.until)
                seconds = time.perf_counter() - started
                self.history.append(**row, seconds=seconds, greedy_success=greedy_success)
                self.solved = solved
                show(row)
                continues = call(self) and not self.solved
        return self

    def _run_cycle(self) -> dict[str, float]:
        """Play episodes, store them, update the network; return a row of the history."""
        config = self.config
        trajectories = rollout(
            self.env,
            self.network,
            config.episodes_per_cycle,
            self.streams[Role.ENVIRONMENT],
            exploration=self.streams[Role.EXPLORATION],
            epsilon_at=config.epsilon_at,
            env_steps=self.env_steps,
        )
        self.replay.add(trajectories)
        steps = int(trajectories.lengths.sum())
        successes = np.count_nonzero(reached_goal(trajectories, self.env.n_goal_bits))
        learning_rate = config.learning_rate_at(self.network.updates)
        minibatches = self.replay.sample(config.updates_per_cycle, config.batch_size)
        loss = float(self.network.fit(minibatches).mean())
        epoch = self.cycles // config.cycles_per_epoch + 1
        if not (np.isfinite(loss) and self.network.is_finite()):
            raise FloatingPointError(
                f"loss or weights are no longer finite in epoch {epoch}, cycle {self.cycles + 1}, with "
                f"learning rate {learning_rate:g} and gamma {config.gamma:g}; lowering one of them may help"
            )
        return {
            "epoch": epoch,
            "success": successes / config.episodes_per_cycle,
            "return": (successes - steps) / config.episodes_per_cycle,
            "loss": loss,
            "epsilon": config.epsilon_at(self.env_steps),
            "learning_rate": learning_rate,
            "env_steps": self.env_steps + steps,
            "episodes": self.episodes + config.episodes_per_cycle,
            "updates": self.network.updates,
        }

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
        return diagnose(self.env, self.network, self.replay, self.config, test_rng, self.env_steps)

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
        tensors, metadata = checkpoint.state_dict(self._parts(), with_training_state=replay)
        write_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Agent:
        """Load an agent that `save` wrote.

        Args:
            path: the file. If it was saved with `replay=False`, replay buffer and history are empty.

        Raises:
            OSError, ValueError: the file cannot be read, or does not hold an agent.
            MemoryError: the agent needs more memory than is available.
        """
        check_path("path", path)
        tensors, metadata = read_tensors(path)
        with checkpoint.load_errors(path):
            env, preset, seed, fields = checkpoint.settings(metadata)
            agent = cls(env, preset, seed, **fields)
            agent.solved = checkpoint.load_state_dict(agent._parts(), tensors, metadata)
        return agent

    def _parts(self) -> checkpoint.AgentParts:
        return checkpoint.AgentParts(
            env=self.env,
            config=self.config,
            preset=self.preset,
            seed=self.seed,
            network=self.network,
            replay=self.replay,
            history=self.history,
            streams=self.streams,
            solved=self.solved,
        )
