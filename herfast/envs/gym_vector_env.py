"""Gymnasium's vector interface of the bit-flipping environment: E episodes in lockstep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from herfast.common.batches import Words, n_words
from herfast.common.seeding import check_seed
from herfast.common.validation import check_integer, short_repr
from herfast.envs.bit_flip import BitFlip
from herfast.envs.gym_env import (
    BitFlipEnv,
    Frame,
    Info,
    Observation,
    as_actions,
    check_render_mode,
    observation_space_of,
    render_frames,
    to_observation,
)


class BitFlipVectorEnv(gymnasium.vector.VectorEnv[Observation, NDArray[Any], NDArray[Any]]):
    """E games in lockstep, the batched twin of `BitFlipEnv`: what a SyncVectorEnv returns, without a loop over games.

    All games are drawn from one stream, those of lower index first; so one integer seeds them all. Autoreset modes are
    Gymnasium's: NEXT_STEP (the step after a game's end ignores its action and starts the next), SAME_STEP (`final_obs`
    and `final_info` in the infos), DISABLED (the caller resets, with `options={"reset_mask": bool[E]}`).
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        n_bits: int,
        max_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        """Raises ValueError or TypeError, naming the argument, its value and what is allowed."""
        self.goal_env = BitFlip(n_bits, max_steps)
        self.num_envs = check_integer("num_envs", num_envs, 1, 2**31 - 1)
        self.render_mode = check_render_mode(render_mode)
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            allowed = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise ValueError(f"autoreset_mode must be one of {allowed}, got {short_repr(autoreset_mode)}") from None
        self.metadata = {**BitFlipEnv.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space_of(self.goal_env)
        self.single_action_space = spaces.Discrete(self.goal_env.n_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._words: Words = np.zeros(
            (2, self.num_envs, n_words(self.goal_env.n_bits)), np.uint64
        )  # states, then goals
        self._all = np.arange(self.num_envs)
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._over: NDArray[np.bool_] | None = None  # games that ended in the last step; None before the first reset

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        """New games, or with `options={"reset_mask": bool[E]}` only where the mask is True, once all have begun.

        `seed` restarts the stream that games are drawn from. Infos are masked as in Gymnasium: `_is_success` tells
        which entries of `is_success` belong to a game that was reset.
        """
        chosen = self._checked_mask(options)
        super().reset(seed=check_seed(seed))
        if self._over is None:
            self._over = np.zeros(self.num_envs, np.bool_)
        self._begin(np.flatnonzero(chosen))
        self._over[chosen] = False
        return self._observe(), _infos(np.zeros_like(chosen), np.zeros_like(self._elapsed), chosen)

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """Flip bit `actions[e]` of every game e that runs.

        Args:
            actions: integers [E] in [0, n_bits); those of games that only begin in this step are checked but not used.

        Returns:
            observations, rewards float64[E], terminations bool[E], truncations bool[E], infos.

        Raises:
            ResetNeeded: before the first reset, and with autoreset DISABLED while a finished game was not reset.
            TypeError, ValueError: for bad actions.
        """
        if self._over is None:
            raise ResetNeeded("the games have not begun: call reset() before step()")
        flips = as_actions(actions, (self.num_envs,), self.goal_env.n_actions)
        ended = np.flatnonzero(self._over)  # empty with SAME_STEP
        if ended.size and self.autoreset_mode is AutoresetMode.DISABLED:
            raise ResetNeeded(f"game {ended[0]} has ended, autoreset is disabled: reset it by options['reset_mask']")
        running = np.flatnonzero(~self._over) if ended.size else self._all
        terminated = np.zeros(self.num_envs, np.bool_)
        states, goals = self._words
        self.goal_env.step(states, goals, flips, running, states, terminated)
        self._elapsed[running] += 1
        self._begin(ended)
        truncated = ~terminated & (self._elapsed >= self.goal_env.max_steps)
        rewards = np.where(terminated, 0.0, -1.0)
        rewards[ended] = 0.0
        over = terminated | truncated
        infos = _infos(terminated.copy(), self._elapsed.copy(), np.ones(self.num_envs, np.bool_))
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            if over.any():
                infos = self._restart(np.flatnonzero(over), over, infos)
        else:
            self._over = over
        return self._observe(), rewards, terminated, truncated, infos

    def render(self) -> tuple[Frame, ...] | None:
        """A tuple of what `BitFlipEnv.render` returns for each game, or None."""
        return None if self.render_mode is None else render_frames(self._words, self.goal_env.n_bits, self.render_mode)

    def _begin(self, envs: NDArray[np.intp]) -> None:
        """Draw new starts and goals for `envs`, ascending indices."""
        if envs.size:
            words = np.empty((2, envs.size, self._words.shape[2]), np.uint64)
            self.goal_env.reset(self.np_random, *words)
            self._words[:, envs], self._elapsed[envs] = words, 0

    def _restart(self, ended: NDArray[np.intp], over: NDArray[np.bool_], infos: Info) -> Info:
        """Put the last observations and infos of `ended` games aside and begin new ones: SAME_STEP's infos."""
        last = to_observation(self._words[:, ended], self.goal_env.n_bits)
        final_obs = np.full(self.num_envs, None, dtype=object)  # Gymnasium wants a dict per finished game
        for place, env in enumerate(ended):
            final_obs[env] = {name: bits[place] for name, bits in last.items()}
        success, elapsed = infos["is_success"], infos["elapsed_steps"]
        final_info = _infos(success & over, np.where(over, elapsed, 0), over)
        self._begin(ended)
        success[ended], elapsed[ended] = False, 0
        final = {"final_obs": final_obs, "_final_obs": over.copy(), "final_info": final_info, "_final_info": over}
        return final | infos

    def _checked_mask(self, options: Info | None) -> NDArray[np.bool_]:
        if not (options is None or isinstance(options, Mapping)):
            raise TypeError(f"options must be None or a dict, got {short_repr(options)}")
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            got = (
                f"{mask.dtype} array of shape {list(mask.shape)}" if isinstance(mask, np.ndarray) else short_repr(mask)
            )
            raise ValueError(f"options['reset_mask'] must be a bool array of shape [{self.num_envs}], got {got}")
        if not mask.any():
            raise ValueError("options['reset_mask'] must choose at least one game, got only False")
        if self._over is None and not mask.all():
            raise ResetNeeded("the games have not begun: reset all of them before resetting some")
        return mask.copy()

    def _observe(self) -> Observation:
        return to_observation(self._words, self.goal_env.n_bits)


def _infos(is_success: NDArray[np.bool_], elapsed_steps: NDArray[np.int64], mask: NDArray[np.bool_]) -> Info:
    """Infos of E games in Gymnasium's form: beside each array a mask of the games it speaks of."""
    infos = {"is_success": is_success, "elapsed_steps": elapsed_steps}
    return {**infos, **{f"_{name}": mask.copy() for name in infos}}
