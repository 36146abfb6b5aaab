"""The agent: the training loop, and what a user calls around it."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from herfast.callbacks.base import Callback, combine
from herfast.common.bits import pack_named
from herfast.common.history import COLUMNS, History
from herfast.common.seeding import Role, Streams, stream
from herfast.common.tensor_file import read_tensors, write_tensors
from herfast.common.thread_guard import ThreadGuard, one_thread
from herfast.common.validation import as_array, check_bool, check_integer, check_path, one_line
from herfast.config import Config
from herfast.dqn import checkpoint
from herfast.dqn.diagnosis import Diagnosis, diagnose
from herfast.dqn.evaluation import Evaluation, evaluate
from herfast.dqn.memory_budget import check_memory
from herfast.dqn.progress_bar import show_progress
from herfast.dqn.rollout import reached_goal, rollout
from herfast.envs.adapters import as_goal_env
from herfast.networks.q_network import QNetwork
from herfast.presets import Preset
from herfast.replay.hindsight_replay import HindsightReplay

TEST_EPISODES, CONFIRMING_EPISODES = 100, 1_000


class Agent:
    """Hindsight experience replay with (Double) DQN (Andrychowicz et al. 2017; van Hasselt et al. 2015).

    Args:
        env: a BitFlip, or one of herfast's Gymnasium environments, whose packed game is then played.
        preset: "fast", "paper" or "notebook"; see Config.preset.
        seed: of all random streams; None draws one, to be found in `agent.seed`.
        config_fields: any field of Config, overriding the preset.

    Raises:
        TypeError, ValueError: another environment, or a field out of its range.
        MemoryError: more memory needed than is available; names the field to lower.

    `history` maps a column's name to a NumPy array with a row a cycle: epoch (from 1), success and return of the
    training episodes, loss (mean over the cycle's updates), epsilon, learning_rate, env_steps, episodes, updates and
    seconds so far, greedy_success (measured at each epoch's end, else NaN). `solved` tells whether the last `learn`
    ended because its `until` was reached and confirmed.

    An agent is used by one thread at a time; a second one gets a RuntimeError. Agents of their own run side by side.
    """

    def __init__(self, env: object, preset: Preset = "fast", seed: int | None = None, **config_fields: Any) -> None:
        self.env = as_goal_env(env)
        self.preset: Preset = preset
        self.config = Config.preset(preset, self.env, **config_fields)
        check_memory(self.env, self.config)
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        bits = (self.env.n_state_bits, self.env.n_goal_bits)
        self.replay = HindsightReplay(
            self.config.capacity, *bits, strategy=self.config.strategy, k=self.config.k, seed=self.seed
        )
        roles = (Role.ENVIRONMENT, Role.EXPLORATION, Role.EVALUATION)
        self.streams = Streams({Role.REPLAY: self.replay.rng, **{role: stream(self.seed, role) for role in roles}})
        self.network = QNetwork(*bits, self.env.n_actions, config=self.config, seed=self.seed)
        self.history = History(**COLUMNS)
        self.solved = False
        self._thread_guard = ThreadGuard()

    def __repr__(self) -> str:
        return f"Agent({self.env!r}, preset={self.preset!r}, seed={self.seed}) after {self.env_steps:,} steps"

    # --- what the history counts, and so cannot disagree with it ---

    @property
    def cycles(self) -> int:
        """Cycles completed."""
        return len(self.history["epoch"])

    @property
    def env_steps(self) -> int:
        """Steps played in them."""
        return int(self._so_far("env_steps"))

    @property
    def episodes(self) -> int:
        """Episodes played in them."""
        return int(self._so_far("episodes"))

    @property
    def seconds(self) -> float:
        """Seconds that they took."""
        return float(self._so_far("seconds"))

    def _so_far(self, column: str) -> float:
        return self.history[column][-1] if self.cycles else 0.0

    # --- learning ---

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
        """Learn for `epochs` or `total_timesteps` more, or until the greedy success rate is `until`; returns the agent.

        All limits are checked after each cycle, the first one met ends learning. Without any, Config's `epochs` and
        `until` hold; with `until` alone, Config's `epochs` is the most. `until` is judged at an epoch's end on 100
        episodes of the evaluation stream and, only if they reach it, on 1,000 more, which must reach it alone.
        `callback(agent)` is called after each cycle; False ends learning. Of a list of callbacks all are called.

        A cycle that an exception breaks off, KeyboardInterrupt too, is not counted and has no row in the history; what
        it already stored in the ring and learnt is kept, and learning can go on.

        Raises:
            TypeError, ValueError: a limit out of its range, or a callback that cannot be called.
            FloatingPointError: loss or weights are no longer finite; names epoch, cycle, learning rate and gamma.
        """
        cycles, env_steps, until = self._limits(epochs, total_timesteps, until)
        call = combine(callback)
        check_bool("progress_bar", progress_bar)
        started = time.perf_counter() - self.seconds
        with show_progress(progress_bar, (self.cycles, cycles), (self.env_steps, env_steps)) as show:
            self.solved = False
            continues = True
            while continues and not self.solved and self.cycles < cycles and self.env_steps < env_steps:
                row = self._cycle()
                epoch_ends = (self.cycles + 1) % self.config.cycles_per_epoch == 0
                greedy, solved = self._judge(until) if epoch_ends else (float("nan"), False)
                self.history.append(**row, seconds=time.perf_counter() - started, greedy_success=greedy)
                self.solved = solved
                show(row)
                continues = call(self)
        return self

    def _cycle(self) -> dict[str, float]:
        """Play, remember, learn: one cycle, and its row of the history."""
        config, epsilon = self.config, self.config.epsilon_at(self.env_steps)
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
        steps, successes = (
            int(trajectories.lengths.sum()),
            np.count_nonzero(reached_goal(trajectories, self.env.n_goal_bits)),
        )
        learning_rate = config.learning_rate_at(self.network.updates)
        loss = float(self.network.fit(self.replay.sample(config.updates_per_cycle, config.batch_size)).mean())
        epoch = self.cycles // config.cycles_per_epoch + 1
        if not (np.isfinite(loss) and self.network.is_finite()):
            raise FloatingPointError(
                f"loss or weights are no longer finite in epoch {epoch}, cycle {self.cycles + 1}, with learning rate "
                f"{learning_rate:g} and gamma {config.gamma:g}; a lower learning_rate or gamma may help"
            )
        return {
            "epoch": epoch,
            "success": successes / config.episodes_per_cycle,
            "return": (successes - steps) / config.episodes_per_cycle,
            "loss": loss,
            "epsilon": epsilon,
            "learning_rate": learning_rate,
            "env_steps": self.env_steps + steps,
            "episodes": self.episodes + config.episodes_per_cycle,
            "updates": self.network.updates,
        }

    def _limits(
        self, epochs: int | None, total_timesteps: int | None, until: float | None
    ) -> tuple[float, float, float | None]:
        """Cycles and environment steps at which to stop, and the success rate."""
        if until is None and epochs is None and total_timesteps is None:
            until = self.config.until
        if until is not None:
            dataclasses.replace(self.config, until=until)  # checks it
        if epochs is not None:  # as Python's integers, since NumPy's overflow
            epochs = check_integer("epochs", epochs, 1, 2**40)
        if total_timesteps is not None:
            total_timesteps = check_integer("total_timesteps", total_timesteps, 1, 2**40)
        if epochs is None and total_timesteps is None:
            epochs = self.config.epochs
        cycles = float("inf") if epochs is None else self.cycles + epochs * self.config.cycles_per_epoch
        return cycles, float("inf") if total_timesteps is None else self.env_steps + total_timesteps, until

    def _judge(self, until: float | None) -> tuple[float, bool]:
        """The greedy success rate, and whether it is confirmed to reach `until`."""
        rate = self.evaluate(TEST_EPISODES).success_rate
        if until is None or rate < until:
            return rate, False
        rate = self.evaluate(CONFIRMING_EPISODES).success_rate
        return rate, rate >= until

    # --- using what was learnt ---

    @one_thread
    def evaluate(self, n_episodes: int, seed: int | None = None, *, no_revisit: bool = False) -> Evaluation:
        """Play `n_episodes` greedy episodes with the network that Config's evaluate_with names; learns nothing.

        With a `seed` the games depend on it alone, and are none of those by which any agent's `learn` judged `until`:
        they come from a stream of their own, Role.TEST. Without, they are the next ones of the evaluation stream. With
        `no_revisit` no bit is flipped back, which hides the loops that a learnt network runs into: say so where it is
        reported.
        """
        no_revisit = check_bool("no_revisit", no_revisit)
        n_episodes = check_integer("n_episodes", n_episodes, 1, 2**40)
        rng = self.streams[Role.EVALUATION] if seed is None else stream(seed, Role.TEST)
        return evaluate(self.env, self.network, n_episodes, rng, self.config.evaluate_with, no_revisit)

    @one_thread
    def diagnose(self) -> Diagnosis:
        """Why it does or does not learn: success of relabelled goals, Q values, action gap, loops, exploration, advice.

        Costs about as much as evaluating 100 games, and changes nothing.
        """
        test_rng = stream(self.seed, Role.TEST)
        return diagnose(self.env, self.network, self.replay, self.config, test_rng, self.env_steps)

    @one_thread
    def predict(self, observation: Mapping[str, Any]) -> tuple[Any, None]:
        """The greedy actions, int64: one for a single Gymnasium observation, [E] for a batch; and None, for no state.

        `observation` has "observation" and "desired_goal", each [n] or [E, n] of 0 and 1, as herfast's environments
        give them. Raises TypeError or ValueError for anything else.
        """
        if not isinstance(observation, Mapping) or not {"observation", "desired_goal"} <= observation.keys():
            got = list(observation) if isinstance(observation, Mapping) else type(observation).__name__
            raise TypeError(f"the observation must be a dict with observation and desired_goal, got {got}")
        state, goal = (as_array(name, observation[name]) for name in ("observation", "desired_goal"))
        for name, array, bits in (
            ("observation", state, self.env.n_state_bits),
            ("desired_goal", goal, self.env.n_goal_bits),
        ):
            if array.ndim not in (1, 2) or array.shape[-1] != bits or array.ndim != state.ndim:
                raise ValueError(f"{name} must have shape ({bits},) or (E, {bits}), got {array.shape}")
        if len(state) != len(goal) and state.ndim == 2:
            raise ValueError(f"observation and desired_goal must be equally many, got {len(state)} and {len(goal)}")
        states = pack_named("observation", np.atleast_2d(state))
        goals = pack_named("desired_goal", np.atleast_2d(goal))
        actions = self.network.act(states, goals, self.config.evaluate_with)
        return (actions[0] if state.ndim == 1 else actions), None

    # --- files ---

    @one_thread
    def save(self, path: str | os.PathLike[str], *, replay: bool = False) -> None:
        """Write the networks, environment and config to a safetensors file, atomically.

        With `replay` everything is written, ring, moments, random streams, counters and history: the agent loaded from
        that file goes on learning as this one would, bit for bit. Raises OSError where it cannot be written, ValueError
        where weights are not finite; the file stays as it was.
        """
        check_path("path", path)
        check_bool("replay", replay)
        write_tensors(path, *checkpoint.state_dict(self._parts(), learning=replay))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Agent:
        """The agent that `save` wrote. From a file without replay it keeps its networks and starts all else anew.

        Raises OSError, ValueError or MemoryError, in a sentence that names the file and the reason.
        """
        check_path("path", path)
        tensors, metadata = read_tensors(path)
        try:
            env, preset, seed, fields = checkpoint.settings(metadata)
            agent = cls(env, preset, seed, **fields)
            agent.solved = checkpoint.load_state_dict(agent._parts(), tensors, metadata)
        except MemoryError as error:
            raise MemoryError(f"{path} cannot be loaded: {error}") from error
        except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{path} does not hold an agent: {one_line(reason)}") from error
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
