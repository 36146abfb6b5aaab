"""Gymnasium faces of the packed bit-flip game: one game (`BitFlipEnv`), or E games in lockstep (`BitFlipVectorEnv`).

Both keep the packed words of `herfast.envs` and unpack them once per call, into arrays that belong to the caller.
A step that is refused changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from herfast import show
from herfast.bits import unpack_bits
from herfast.checks import as_actions, as_elapsed, as_goals, check_integer, shown
from herfast.data import Words, checked_seed, n_words
from herfast.envs import BitFlip

Observation: TypeAlias = dict[str, NDArray[np.int8]]
Info: TypeAlias = dict[str, Any]
Frame: TypeAlias = str | NDArray[np.uint8]

_PARTS = ("observation", "achieved_goal", "desired_goal")
_RENDERED: dict[str, Callable[[show.Bits, show.Bits], Frame]] = {"ansi": show.line, "rgb_array": show.picture}
_RENDER_MODES = list(_RENDERED)


class BitFlipEnv(gymnasium.Env[dict[str, Any], np.int64]):
    """One game: flip one bit per step until the state equals the goal.

    Observations are a dict of `observation`, `achieved_goal` and `desired_goal`, each int8[n]; actions are the number
    of the bit to flip. The reward is 0 on the step that reaches the goal and -1 on every other. The game is terminated
    when the goal is reached and truncated after `max_steps` (default: n_bits) steps without it, never both. Info holds
    `is_success` (bool) and `elapsed_steps` (int).
    """

    metadata: dict[str, Any] = {"render_modes": _RENDER_MODES, "render_fps": 4}  # noqa: RUF012 (declared so by Gymnasium)

    def __init__(self, n_bits: int, max_steps: int | None = None, render_mode: str | None = None) -> None:
        """Raises ValueError or TypeError as `BitFlip` does, and for a render mode but None and those in `metadata`."""
        self.game = BitFlip(n_bits, max_steps)
        self.render_mode = _checked_render_mode(render_mode)
        self.observation_space = _observation_space(self.game)
        self.action_space = spaces.Discrete(self.game.n_actions)
        self._words: Words = np.zeros((2, 1, n_words(self.game.n_bits)), np.uint64)  # the state, then the goal
        self._row = np.zeros(1, np.int64)
        self._elapsed = 0
        self._over: str | None = "has not begun"  # why there can be no step, if so

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        """A new game; `seed` restarts the stream that games are drawn from, `options` are ignored."""
        super().reset(seed=checked_seed(seed))
        self.game.reset(self.np_random, *self._words)  # states, goals
        self._elapsed, self._over = 0, None
        return self._observe(), {"is_success": False, "elapsed_steps": 0}

    def step(self, action: np.int64) -> tuple[Observation, SupportsFloat, bool, bool, Info]:
        """Flip bit `action`. ResetNeeded unless a game is running; TypeError or ValueError for a bad action."""
        if self._over:
            raise ResetNeeded(f"the game {self._over}: call reset() before step()")
        flip = as_actions(action, (), self.game.n_actions)
        reached = np.zeros(1, np.bool_)
        states, goals = self._words
        self.game.step(states, goals, flip.reshape(1), self._row, states, reached)
        self._elapsed += 1
        terminated = bool(reached[0])
        truncated = not terminated and self._elapsed >= self.game.max_steps
        if terminated or truncated:
            self._over = f"ended after {self._elapsed} steps"
        info = {"is_success": terminated, "elapsed_steps": self._elapsed}
        return self._observe(), 0.0 if terminated else -1.0, terminated, truncated, info

    def render(self) -> Frame | None:
        """State and goal: for "ansi" in one line, for "rgb_array" in pixels uint8[height, width, 3]; None for None."""
        return None if self.render_mode is None else _rendered(self._words, self.game.n_bits, self.render_mode)[0]

    def compute_reward(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """0 where the achieved goal equals the desired one, else -1: [n] gives a float, [B, n] a float64[B]."""
        reached = self._reached(achieved_goal, desired_goal)
        return (0.0 if reached else -1.0) if reached.ndim == 0 else np.where(reached, 0.0, -1.0)

    def compute_terminated(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Whether the achieved goal equals the desired one: [n] gives a bool, [B, n] a bool[B]."""
        reached = self._reached(achieved_goal, desired_goal)
        return bool(reached) if reached.ndim == 0 else reached

    def compute_truncated(self, achieved_goal: ArrayLike, desired_goal: ArrayLike, info: object) -> Any:
        """Whether the step limit ends the game here, the goal not being reached: [n] gives a bool, [B, n] a bool[B].

        `info` must tell `elapsed_steps`: a dict for [n]; for [B, n] a dict of arrays [B] or a sequence of B dicts.
        """
        reached = self._reached(achieved_goal, desired_goal)
        truncated = ~reached & (as_elapsed(info, reached.shape) >= self.game.max_steps)
        return bool(truncated) if reached.ndim == 0 else truncated

    def _reached(self, achieved_goal: ArrayLike, desired_goal: ArrayLike) -> NDArray[np.bool_]:
        achieved, desired = as_goals(self.game.n_bits, achieved_goal=achieved_goal, desired_goal=desired_goal)
        return np.asarray((achieved == desired).all(axis=-1))

    def _observe(self) -> Observation:
        return _observation(self._words[:, 0], self.game.n_bits)


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
        self.game = BitFlip(n_bits, max_steps)
        self.num_envs = check_integer("num_envs", num_envs, 1, 2**31 - 1)
        self.render_mode = _checked_render_mode(render_mode)
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            allowed = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise ValueError(f"autoreset_mode must be one of {allowed}, got {shown(autoreset_mode)}") from None
        self.metadata = {**BitFlipEnv.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = _observation_space(self.game)
        self.single_action_space = spaces.Discrete(self.game.n_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._words: Words = np.zeros((2, self.num_envs, n_words(self.game.n_bits)), np.uint64)  # states, then goals
        self._all = np.arange(self.num_envs)
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._over: NDArray[np.bool_] | None = None  # games that ended in the last step; None before the first reset

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        """New games, or with `options={"reset_mask": bool[E]}` only where the mask is True, once all have begun.

        `seed` restarts the stream that games are drawn from. Infos are masked as in Gymnasium: `_is_success` tells
        which entries of `is_success` belong to a game that was reset.
        """
        chosen = self._checked_mask(options)
        super().reset(seed=checked_seed(seed))
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
        flips = as_actions(actions, (self.num_envs,), self.game.n_actions)
        ended = np.flatnonzero(self._over)  # empty with SAME_STEP
        if ended.size and self.autoreset_mode is AutoresetMode.DISABLED:
            raise ResetNeeded(f"game {ended[0]} has ended, autoreset is disabled: reset it by options['reset_mask']")
        running = np.flatnonzero(~self._over) if ended.size else self._all
        terminated = np.zeros(self.num_envs, np.bool_)
        states, goals = self._words
        self.game.step(states, goals, flips, running, states, terminated)
        self._elapsed[running] += 1
        self._begin(ended)
        truncated = ~terminated & (self._elapsed >= self.game.max_steps)
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
        return None if self.render_mode is None else _rendered(self._words, self.game.n_bits, self.render_mode)

    def _begin(self, games: NDArray[np.intp]) -> None:
        """Draw new starts and goals for `games`, ascending indices."""
        if games.size:
            words = np.empty((2, games.size, self._words.shape[2]), np.uint64)
            self.game.reset(self.np_random, *words)
            self._words[:, games], self._elapsed[games] = words, 0

    def _restart(self, ended: NDArray[np.intp], over: NDArray[np.bool_], infos: Info) -> Info:
        """Put the last observations and infos of `ended` games aside and begin new ones: SAME_STEP's infos."""
        last = _observation(self._words[:, ended], self.game.n_bits)
        final_obs = np.full(self.num_envs, None, dtype=object)  # Gymnasium wants a dict per finished game
        for place, game in enumerate(ended):
            final_obs[game] = {name: bits[place] for name, bits in last.items()}
        success, elapsed = infos["is_success"], infos["elapsed_steps"]
        final_info = _infos(success & over, np.where(over, elapsed, 0), over)
        self._begin(ended)
        success[ended], elapsed[ended] = False, 0
        final = {"final_obs": final_obs, "_final_obs": over.copy(), "final_info": final_info, "_final_info": over}
        return final | infos

    def _checked_mask(self, options: Info | None) -> NDArray[np.bool_]:
        if not (options is None or isinstance(options, Mapping)):
            raise TypeError(f"options must be None or a dict, got {shown(options)}")
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            got = f"{mask.dtype} array of shape {list(mask.shape)}" if isinstance(mask, np.ndarray) else shown(mask)
            raise ValueError(f"options['reset_mask'] must be a bool array of shape [{self.num_envs}], got {got}")
        if not mask.any():
            raise ValueError("options['reset_mask'] must choose at least one game, got only False")
        if self._over is None and not mask.all():
            raise ResetNeeded("the games have not begun: reset all of them before resetting some")
        return mask.copy()

    def _observe(self) -> Observation:
        return _observation(self._words, self.game.n_bits)


def _observation_space(game: BitFlip) -> spaces.Dict[Any]:
    return spaces.Dict({name: spaces.MultiBinary(game.n_bits) for name in _PARTS})


def _observation(words: Words, n_bits: int) -> Observation:
    """States and goals uint64[2, ..., W] as three fresh arrays int8[..., n]."""
    states, goals = unpack_bits(words, n_bits).view(np.int8)
    return dict(zip(_PARTS, (states, states.copy(), goals), strict=True))


def _infos(is_success: NDArray[np.bool_], elapsed_steps: NDArray[np.int64], mask: NDArray[np.bool_]) -> Info:
    """Infos of E games in Gymnasium's form: beside each array a mask of the games it speaks of."""
    infos = {"is_success": is_success, "elapsed_steps": elapsed_steps}
    return {**infos, **{f"_{name}": mask.copy() for name in infos}}


def _rendered(words: Words, n_bits: int, render_mode: str) -> tuple[Frame, ...]:
    """A frame for each of the games whose states and goals are uint64[2, E, W]."""
    states, goals = unpack_bits(words, n_bits).view(np.int8)
    return tuple(map(_RENDERED[render_mode], states, goals))


def _checked_render_mode(render_mode: str | None) -> str | None:
    if render_mode is not None and render_mode not in _RENDER_MODES:
        raise ValueError(f"render_mode must be None, 'ansi' or 'rgb_array', got {shown(render_mode)}")
    return render_mode
