"""DQN with the interface of Stable-Baselines3."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from stable_baselines3.common.utils import get_system_info
from stable_baselines3.dqn import MultiInputPolicy

from herfast.common.bits import _core
from herfast.common.seeding import Role
from herfast.common.tensor_file import open_tensors, write_tensors
from herfast.common.validation import check_bool
from herfast.presets import Preset
from herfast.sb3 import dqn_file
from herfast.sb3.dqn_arguments import Defaults, check_policy, given_arguments, only
from herfast.sb3.training import HindsightAlgorithm


class DQN(HindsightAlgorithm):
    """Double DQN with the interface of Stable-Baselines3, on goals made of bits.

    It replaces `stable_baselines3.DQN` for environments that a GymnasiumTask supports: Discrete actions, and
    observations made of MultiBinary, Discrete and MultiDiscrete. Environments, wrappers, callbacks and
    loggers are those of Stable-Baselines3. Network, replay buffer and updates are herfast's.

    What differs from `stable_baselines3.DQN`:

    - Updates that are due are made when an episode ends. Those after the last episode stay due.
    - The target is that of Double DQN, unless `double_q` is False.
    - The loss is the mean squared error. Gradients are not clipped.
    - Inputs of the network for a bit are -1 and 1, or 0 and 1, by `encoding`.
    - A transition is relabelled with probability k / (k + 1), each by itself.
    - Each observation of a batch explores by itself. Random numbers come from generators of the model.
    - There is no `policy`, but a `network`.
    - `save` writes all that is needed to continue bit for bit, also the replay buffer.

    Arguments that are not listed are those of `stable_baselines3.DQN`, with its defaults.

    Args:
        policy: "MultiInputPolicy".
        env: A Gymnasium environment, the id of one, or a VecEnv without VecNormalize.
        learning_rate: A number. `learning_rate_end` sets a decay.
        train_freq, gradient_steps: Number of updates per step. With the unit "episode" there may be several
            environments, too.
        replay_buffer_class: HerReplayBuffer, of herfast or Stable-Baselines3, or None for no hindsight.
        replay_buffer_kwargs: Arguments of herfast's HerReplayBuffer. `terminated_from_goal` is True by
            default with a preset.
        policy_kwargs: None, or `net_arch` with one to eight widths.
        optimize_memory_usage, n_steps, max_grad_norm: Only the defaults, since they have no meaning here.
        device: "auto" or "cpu".
        preset: "fast", "paper" or "notebook" for all settings that are not passed. Then updates_per_cycle
            updates follow after every episodes_per_cycle episodes.
        threads: Threads of a call, as in QNetwork.
        deterministic_env: A promise that an action in a state always leads to the same state. The preset
            "fast" then uses `hindsight_bound`, if rewards and terminations suit it.
        config_fields: Fields of Config without a name in Stable-Baselines3, such as double_q and dueling.

    Attributes:
        network: The QNetwork.
        replay_buffer: A HindsightReplay.

    Raises:
        TypeError, ValueError: An argument or the environment is not supported. The message says what is.
    """

    policy_aliases: ClassVar = {"MultiInputPolicy": MultiInputPolicy}

    def __init__(
        self,
        policy: Any,
        env: Any,
        learning_rate: float = Defaults.learning_rate,
        buffer_size: int = Defaults.buffer_size,
        learning_starts: int = Defaults.learning_starts,
        batch_size: int = Defaults.batch_size,
        tau: float = Defaults.tau,
        gamma: float = Defaults.gamma,
        train_freq: int | tuple[int, str] = Defaults.train_freq,
        gradient_steps: int = Defaults.gradient_steps,
        replay_buffer_class: type | None = Defaults.replay_buffer_class,
        replay_buffer_kwargs: dict[str, Any] | None = None,
        optimize_memory_usage: bool = False,
        n_steps: int = 1,
        target_update_interval: int = Defaults.target_update_interval,
        exploration_fraction: float = Defaults.exploration_fraction,
        exploration_initial_eps: float = Defaults.exploration_initial_eps,
        exploration_final_eps: float = Defaults.exploration_final_eps,
        max_grad_norm: float = 10,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: Any = "auto",
        _init_setup_model: bool = True,
        *,
        preset: Preset | None = None,
        threads: int | None = None,
        deterministic_env: bool = False,
        **config_fields: Any,
    ) -> None:
        arguments = {**locals(), **config_fields}
        for name in ("self", "__class__", "policy", "env", "config_fields", "_init_setup_model"):
            del arguments[name]
        check_policy(policy)
        super().__init__(policy, env, given_arguments(arguments))
        if _init_setup_model:
            self._setup_model()

    def learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int = 4,
        tb_log_name: str = "DQN",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> DQN:
        """Train for a number of environment steps, and return the model.

        It stops after a whole number of `train_freq`. Updates that are due then are made in the next call.

        Args:
            total_timesteps: Minimum number of further environment steps.
            callback: A function or callback of Stable-Baselines3, or a list of callbacks.
            log_interval: Episodes between two entries of the log.
            tb_log_name: Name of the run in TensorBoard.
            reset_num_timesteps: Count steps from 0, and drop running episodes.
            progress_bar: Show a progress bar.

        Raises:
            FloatingPointError: The loss or the weights are no longer finite.
        """
        self._is_learning = True
        try:
            arguments = (total_timesteps, callback, log_interval, tb_log_name)
            super().learn(*arguments, reset_num_timesteps, progress_bar)
        finally:
            self._is_learning = False
        return self

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Return the actions for observations, and `state`.

        Args:
            observation: An observation of the environment, or a batch as a VecEnv returns it.
            state: Returned unchanged.
            episode_start: Not used.
            deterministic: If False, each action is random with probability `exploration_rate`.

        Returns:
            The action as an array int64[], or int64[E] for a batch.

        Raises:
            TypeError, ValueError: A part is missing or not in its space.
        """
        states, goals, is_batch = self._task.pack_observation(observation)
        actions = self.network.act(states, goals, self.network.config.evaluate_with)
        if not deterministic:
            chosen = actions.astype(np.uint16)
            rng = self._streams[Role.EVALUATION].bit_generator
            _core.explore(rng, self.exploration_rate, self._task.n_actions, np.arange(len(chosen)), chosen)
            actions = chosen.astype(np.int64)
        actions = self._task.own_actions(actions)
        if not is_batch:
            return actions.squeeze(axis=0), state
        return actions, state

    def get_parameters(self) -> dict[str, dict[str, Any]]:
        """Return copies of the parameters as tensors, named as in `QNetwork.state_dict`.

        "policy" holds those of both networks, "policy.optimizer" Adam's moments and the number of updates.
        """
        return dqn_file.parameters(self.network)

    def set_parameters(
        self,
        load_path_or_dict: str | os.PathLike[str] | Mapping[str, Mapping[str, Any]],
        exact_match: bool = True,
        device: Any = "auto",
    ) -> None:
        """Replace parameters.

        Args:
            load_path_or_dict: A file of `save`, or parameters as `get_parameters` returns them.
            exact_match: If False, some parameters may be missing, which are kept.
            device: "auto" or "cpu".

        Raises:
            OSError, TypeError, ValueError: The parameters do not fit. Nothing is changed.
        """
        only("auto", "cpu", reason="herfast computes on the CPU")("device", str(device))
        check_bool("exact_match", exact_match)
        parameters = load_path_or_dict
        if not isinstance(parameters, Mapping):
            parameters = dqn_file.read_parameters(parameters)
        dqn_file.load_parameters(self.network, parameters, exact_match)
        self._n_updates = self.network.updates

    def save(
        self,
        path: str | os.PathLike[str],
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """Write the model to a safetensors file, atomically.

        It holds all that is needed to continue bit for bit in the same environment.

        Args:
            path: The file, with the suffix .safetensors if it has none. Its folder is created.
            exclude: ["replay_buffer"] leaves out the finished episodes.
            include: ["replay_buffer"] has priority.

        Raises:
            OSError: The file cannot be written.
            TypeError, ValueError: An argument is not allowed, or the weights are not finite.
        """
        excluded = dqn_file.part_names("exclude", exclude) - dqn_file.part_names("include", include)
        file = dqn_file.new_path(path)
        write_tensors(file, *dqn_file.state_dict(self, with_replay="replay_buffer" not in excluded))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        env: Any = None,
        device: Any = "auto",
        custom_objects: None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> DQN:
        """Load a model that `save` wrote.

        Args:
            path: The file. The suffix .safetensors may be left out, or be .zip.
            env: The environment, or None to call `set_env` later, or only `predict`.
            device: "auto" or "cpu".
            custom_objects: Only None.
            print_system_info: Print versions of packages.
            force_reset: Drop the running episodes and reset `env` in the next `learn`. With False, training
                continues bit for bit if `env` is in the state that it had at `save`.
            kwargs: Arguments of DQN to change, but no sizes.

        Raises:
            OSError, TypeError, ValueError: The file cannot be read, holds no such model, or does not suit
                `env` or the arguments.
        """
        only(None, reason="arguments are passed as keywords")("custom_objects", custom_objects)
        if check_bool("print_system_info", print_system_info):
            get_system_info()
        found = dqn_file.existing_path(path)
        with open_tensors(found) as file:
            with dqn_file.load_errors(found):
                arguments = dqn_file.saved_arguments(file)
            changed = {**arguments, **kwargs, "device": device}
            model = cls("MultiInputPolicy", None, _init_setup_model=False, **changed)
            with dqn_file.load_errors(found):
                dqn_file.load_state_dict(model, file)
        if env is not None:
            model._attach(model._wrap_env(env, model.verbose), any_number=True, force_reset=force_reset)
        if kwargs.get("seed") is not None:
            model.set_random_seed(kwargs["seed"])
        elif env is not None and force_reset and model.seed is not None:
            model.env.seed(model.seed)
        return model

    def save_replay_buffer(self, path: str | os.PathLike[str]) -> None:
        """Write the finished episodes to a safetensors file, atomically.

        `path` is as in `save`.
        """
        tensors = dqn_file.replay_state_dict(self.replay_buffer)
        write_tensors(dqn_file.new_path(path), tensors, {"kind": dqn_file.REPLAY})

    def load_replay_buffer(self, path: str | os.PathLike[str], truncate_last_traj: bool = True) -> None:
        """Replace the finished episodes by those of a file of `save_replay_buffer`.

        Args:
            path: As in `load`.
            truncate_last_traj: Has no effect, since the file holds no running episodes.

        Raises:
            OSError, TypeError, ValueError: The file cannot be read or does not fit. Nothing is changed.
        """
        check_bool("truncate_last_traj", truncate_last_traj)
        found = dqn_file.existing_path(path)
        with open_tensors(found) as file, dqn_file.load_errors(found):
            dqn_file.load_replay(self.replay_buffer, file, self._task.n_actions)
