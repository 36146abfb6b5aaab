"""Training loop of Stable-Baselines3 with herfast's network and replay buffer."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import RolloutReturn, TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.utils import should_collect_more_steps
from stable_baselines3.common.vec_env import VecEnv

from herfast.common.bits import _core
from herfast.common.seeding import Role, Streams, check_seed, drawn_seed, stream
from herfast.networks.q_network import QNetwork
from herfast.sb3.dqn_arguments import Arguments
from herfast.sb3.dqn_settings import linear_rate, settings_of, task_options
from herfast.sb3.due_updates import DueUpdates
from herfast.sb3.episodes import EpisodeReplay, RunningEpisodes
from herfast.sb3.vec_env import VecTask, check_not_normalized


class HindsightAlgorithm(OffPolicyAlgorithm):
    """Base class of DQN: environment, training loop and random streams.

    `learn` is that of Stable-Baselines3. It calls `collect_rollouts` and `train`.

    Args:
        policy: "MultiInputPolicy" or its class.
        env: As DQN takes it, or None.
        given: Arguments that were passed, as `given_arguments` returns them.
    """

    # Set by Stable-Baselines3, or from the settings.
    n_envs: int
    num_timesteps: int
    batch_size: int
    tau: float
    gamma: float
    target_update_interval: int | None
    exploration_fraction: float
    exploration_initial_eps: float
    exploration_final_eps: float
    _current_progress_remaining: float
    _last_obs: Any

    def __init__(self, policy: Any, env: Any, given: Arguments) -> None:
        super().__init__(
            policy,
            env,
            given.get("learning_rate", 1e-4),
            stats_window_size=given["stats_window_size"],
            tensorboard_log=given["tensorboard_log"],
            policy_kwargs=dict(given["policy_kwargs"]),
            verbose=given["verbose"],
            seed=given["seed"],
            device="cpu",
            support_multi_env=True,
            sde_support=False,
        )
        self._given = given
        self.replay_buffer_kwargs = given["replay_buffer_kwargs"]
        self.max_grad_norm = given["max_grad_norm"]
        self.exploration_rate = 0.0
        self._n_calls = 0  # steps of all environments together, counted for the target network
        self._collected_steps = 0  # since the last updates were due, see train_freq
        self._collected_episodes = 0
        self._is_learning = False
        self._due = DueUpdates()

    def _setup_model(self) -> None:
        """Check the environment, and create network and replay buffer."""
        if self.env is None:
            raise ValueError("env must be a Gymnasium environment, the id of one, or a VecEnv, got None")
        check_not_normalized(self.env)
        self._build(VecTask(self.env, **task_options(self._given)))
        if self.seed is not None:
            self.action_space.seed(self.seed)
            self.env.seed(self.seed)

    def _build(self, task: VecTask) -> None:
        """Create all that depends on the environment's size."""
        settings = settings_of(self._given, task)
        config = settings.config
        for name, value in settings.attributes().items():
            setattr(self, name, value)
        self._convert_train_freq()
        self._is_linear = settings.is_linear
        seed = drawn_seed(self.seed)
        sizes = (task.n_state_bits, task.n_goal_bits)
        threads = self._given["threads"]
        self.network = QNetwork(*sizes, task.n_actions, config=config, seed=seed, threads=threads)
        replay_seed = self.replay_buffer_kwargs.get("seed")
        if replay_seed is None:
            replay_seed = seed
        options = {"strategy": config.strategy, "k": config.k, "seed": replay_seed}
        self.replay_buffer = EpisodeReplay(settings.buffer_size, sizes, task.copies_infos, **options)
        self._streams = Streams({role: stream(seed, role) for role in (Role.EXPLORATION, Role.EVALUATION)})
        self._streams[Role.REPLAY] = self.replay_buffer.rng  # the same, so that it is saved with the others
        self._use(task)

    def _use(self, task: VecTask) -> None:
        """Play in an environment from now on."""
        self._task = task
        self._episodes = RunningEpisodes(task)
        self._rows = np.arange(task.num_envs)
        self._acting = self.network.greedy_policy(task.num_envs)

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Train in another environment with the same spaces from now on.

        Args:
            env: A Gymnasium environment or a VecEnv, with as many environments as before.
            force_reset: Drop the running episodes, and reset the environment in the next `learn`.

        Raises:
            TypeError, ValueError: The environment does not fit. Nothing is changed.
        """
        self._attach(self._wrap_env(env, self.verbose), any_number=False, force_reset=force_reset)

    def _attach(self, env: VecEnv, any_number: bool, force_reset: bool) -> None:
        """Check an environment, and play in it from now on.

        If `any_number`, another number of environments is allowed, and running episodes are then dropped.
        """
        check_not_normalized(env)
        known = None if force_reset else self._task.facts  # a check in place would reset it
        task = VecTask(env, fallback=known, **task_options(self._given))
        task.check_replaces(self._task, self.network.config)
        is_equal_number = env.num_envs == self.n_envs
        if not (any_number or is_equal_number):
            raise ValueError(f"env must be {self.n_envs} environments, got {env.num_envs}")
        self.env = env
        self.n_envs = env.num_envs
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        running = self._episodes
        self._use(task)
        if force_reset or not is_equal_number:
            self._last_obs = None
        else:
            self._episodes.load_state_dict(running.state_dict(), running.infos)

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed the generators of the model, the action space and the environments.

        A `seed` of replay_buffer_kwargs keeps its generator. No global state is changed.

        Args:
            seed: From 0 to 2**128 - 1. With None nothing is done.

        Raises:
            TypeError, ValueError: `seed` is not allowed.
        """
        if check_seed(seed) is None:
            return
        for role, rng in self._streams.items():
            if role is not Role.REPLAY or self.replay_buffer_kwargs.get("seed") is None:
                rng.bit_generator.state = stream(seed, role).bit_generator.state
        self.action_space.seed(seed)
        if self.env is not None:
            self.env.seed(seed)

    def _setup_learn(
        self, total_timesteps: int, callback: Any = None, reset_num_timesteps: bool = True, *args: Any
    ) -> tuple[int, Any]:
        begins = reset_num_timesteps or self._last_obs is None
        try:
            arguments = (total_timesteps, callback, reset_num_timesteps, *args)
            result: tuple[int, Any] = super()._setup_learn(*arguments)
        except BaseException:
            self._last_obs = None  # the environment may have been reset
            raise
        if begins:
            self._episodes.begin(self._last_obs)
            self._collected_steps = 0
            self._collected_episodes = 0
        return result

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: Any,
        train_freq: TrainFreq,
        replay_buffer: Any,
        action_noise: Any = None,
        learning_starts: int = 0,
        log_interval: int | None = None,
    ) -> RolloutReturn:
        """Play until updates are due. Callbacks get the names of its variables."""
        num_collected_steps = self._collected_steps
        num_collected_episodes = self._collected_episodes
        continue_training = True
        callback.on_rollout_start()
        while should_collect_more_steps(train_freq, num_collected_steps, num_collected_episodes):
            actions, buffer_actions = self._sample_action(learning_starts, action_noise, env.num_envs)
            self._last_obs = None  # an exception before the step is stored ends the running episodes
            new_obs, rewards, dones, infos = env.step(actions)
            self.num_timesteps += env.num_envs
            num_collected_steps += 1
            callback.update_locals(locals())
            self._complete_step(buffer_actions, new_obs, rewards, dones, infos)
            continue_training = bool(callback.on_step())
            self.logger.record("rollout/exploration_rate", self.exploration_rate)
            self._episode_num -= self._collected_episodes - num_collected_episodes  # dump_logs writes it
            for idx, done in enumerate(dones):  # noqa: B007 (callbacks get it)
                if done:
                    num_collected_episodes += 1
                    self._episode_num += 1
                    if log_interval is not None and self._episode_num % log_interval == 0:
                        self.dump_logs()
            if not continue_training:
                break
        if continue_training:
            callback.on_rollout_end()
            self._collected_steps = 0
            self._collected_episodes = 0
        return RolloutReturn(num_collected_steps * env.num_envs, num_collected_episodes, continue_training)

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[Any, Any]:
        """Return the next actions twice: for the environments and for the replay buffer."""
        actions = np.zeros(n_envs, np.uint16)
        epsilon = 1.0
        if self.num_timesteps >= learning_starts:
            epsilon = self.exploration_rate
            self._acting.restart()  # so that the actions after loading a file are the same
            self._acting.act(self._episodes.states, self._episodes.goals, self._rows, actions)
        rng = self._streams[Role.EXPLORATION].bit_generator
        _core.explore(rng, epsilon, self._task.n_actions, self._rows, actions)
        return (self._task.own_actions(actions.astype(np.int64)),) * 2

    def _complete_step(self, actions: Any, new_obs: Any, rewards: Any, dones: Any, infos: Any) -> None:
        """Store a step, and make updates if an episode ended."""
        self._collected_steps += 1
        self._update_info_buffer(infos, dones)
        packed = self._task.packed_actions(actions)
        finished = self._episodes.add(packed, new_obs, rewards, dones, infos)
        self._last_obs = new_obs
        self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
        self._on_step()
        if not finished:
            return
        n_done = int(np.count_nonzero(dones))  # fewer if an episode was cut
        self._collected_episodes += n_done
        self._episode_num += n_done
        for episode in finished:
            self.replay_buffer.add_episode(*episode)
        self._make_updates(self.batch_size)

    def _on_step(self) -> None:
        """Note an update of the target network if due, and set the exploration rate."""
        self._n_calls += 1
        interval = self.target_update_interval
        if interval is not None and self._n_calls % max(interval // self.n_envs, 1) == 0:
            self._due.add_target_update()
        self.exploration_rate = self._scheduled_rate()

    def _scheduled_rate(self) -> float:
        """Return the exploration rate of the next step."""
        if not self._is_linear:
            return self.network.config.epsilon_at(self.num_timesteps)
        rates = (self.exploration_initial_eps, self.exploration_final_eps)
        return linear_rate(*rates, self.exploration_fraction, 1 - self._current_progress_remaining)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Note updates that are due.

        They are made when an episode ends, and at once if `train_freq` counts episodes or outside of `learn`.

        Args:
            gradient_steps: Number of updates.
            batch_size: Transitions per update, if they are made at once.
        """
        self._due.add(gradient_steps)
        if self.train_freq.unit is TrainFrequencyUnit.EPISODE or not self._is_learning:
            self._make_updates(batch_size)

    def _make_updates(self, batch_size: int) -> None:
        """Make the updates that are due, and log them.

        Raises:
            FloatingPointError: The loss or the weights are no longer finite.
        """
        network = self.network
        learning_rate = network.config.learning_rate_at(network.updates)
        losses = self._due.make(self._task, self.replay_buffer, network, batch_size, self.tau)
        if not losses.size:
            return
        loss = float(losses.mean())
        if not (np.isfinite(loss) and network.is_finite()):
            raise FloatingPointError(
                f"loss or weights are no longer finite after {self.num_timesteps:,} steps, with "
                f"learning rate {learning_rate:g} and gamma {self.gamma:g}; lowering one of them may help"
            )
        self._n_updates = network.updates
        self.logger.record("train/learning_rate", learning_rate)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", loss)
