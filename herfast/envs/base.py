"""Protocol of packed, batched environments with goals.

An environment holds no state. The caller owns all arrays and steps any number of episodes in lockstep with
one object.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Minibatches, Origins, Outcomes, Words
from herfast.common.validation import check_array, check_layout, short_repr

Spec: TypeAlias = dict[str, Any]


class GoalEnv(Protocol):
    """Protocol of an environment that an agent can train on.

    The achieved goal is the first n_goal_bits of the state.

    An environment may have more members, for the network, the diagnosis and display:

    - encoding: inputs of a network that suit the states. "signed" (the default) is for states with many ones,
      "binary" for states with few.
    - better_actions(states uint64[M, Ws], goals uint64[M, Wg]) -> bool[M, A]: actions that bring a state
      closer to its goal
    - optimal_play() -> OptimalPlay: results of an optimal policy
    - label: short name without spaces, for folders; by default made from `spec()`
    - action_label: display name of an action; by default "action"
    - action_names: tuple of A names, one per action; by default their numbers
    - render_ansi(state int8[S], goal int8[G]) -> str: state and goal as text; by default their bits
    - render_rgb_array(state int8[S], goal int8[G]) -> uint8[height, width, 3]: state and goal as an image
      with even sides, whose size depends only on the environment; by default their bits
    - holds_state: True if `step` depends on more than its arguments; by default False
    - unsuitable_settings: dict of names of fields of Config that must be False, each with the reason
    """

    @property
    def n_state_bits(self) -> int:
        """Number of bits of a state, S, from 1 to 65,535."""

    @property
    def n_goal_bits(self) -> int:
        """Number of bits of a goal, G, from 1 to S."""

    @property
    def n_actions(self) -> int:
        """Number of actions, A, from 1 to 65,536."""

    @property
    def max_steps(self) -> int:
        """Number of steps after which an episode is truncated, from 1 to 65,535."""

    def reset(self, rng: np.random.Generator, out_states: Words, out_goals: Words) -> None:
        """Start one episode per row.

        Args:
            rng: Source of all draws.
            out_states: uint64[E, Ws], receives the start states.
            out_goals: uint64[E, Wg], receives the goals.
        """

    def step(
        self,
        states: Words,
        goals: Words,
        actions: NDArray[np.uint16],
        active: NDArray[np.int64],
        out_states: Words,
        out_terminated: NDArray[np.bool_],
    ) -> None:
        """Step the episodes in `active`.

        Rows of other episodes are neither read nor written.

        Args:
            states: uint64[E, Ws].
            goals: uint64[E, Wg].
            actions: uint16[E].
            active: int64[n_active], indices of episodes.
            out_states: uint64[E, Ws], receives the next states. It may be `states` itself.
            out_terminated: bool[E], receives whether the next state reaches the goal.
        """

    def spec(self) -> Spec:
        """Return `{"id": ..., **parameters}`, the argument of `make_env`.

        `make_env` builds an equal environment from it. All values can be written as JSON.
        """

    def describe(self) -> str:
        """Return a short description, such as "8 bits in at most 8 steps"."""


class StatefulEnv(GoalEnv, Protocol):
    """Protocol of an environment whose sub-environments hold their states.

    `step` takes only states that the last `reset` or `step` returned. `out_terminated` is True for all
    episodes that have ended, truncated ones too. Row e is an episode of sub-environment e.
    """

    num_envs: int  # number of sub-environments
    seconds: float  # time that the environment itself took
    copies_infos: bool  # whether Outcomes and Origins hold infos

    def finish(self, done: NDArray[np.int64]) -> Outcomes:
        """Return the outcomes of these rows' episodes, which end with the last step."""

    def begin(self, waiting: NDArray[np.int64], out_states: Words, out_goals: Words) -> NDArray[np.int64]:
        """Start the next episodes of finished rows, with the environment's own draws.

        Returns:
            Rows of `waiting` whose episode has begun. The others need another step, of any rows.
        """

    def judge(self, batches: Minibatches, origins: Origins) -> Minibatches:
        """Return minibatches with the rewards and terminations of the environment."""

    def pack_observation(self, observation: Any) -> tuple[Words, Words, bool]:
        """Return states [E, Ws] and goals [E, Wg] of observations, and True for a batch."""

    def own_actions(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the environment's own numbers of actions."""


def stateful(env: GoalEnv) -> StatefulEnv | None:
    """Return `env` if it has the members of StatefulEnv, or None."""
    if hasattr(env, "judge"):
        return cast(StatefulEnv, env)
    return None


class UnknownEnvError(ValueError):
    """Error for a spec or an id that names no environment that can be built."""


class OptimalPlay(NamedTuple):
    """Results of an optimal policy."""

    mean_steps: float  # mean number of steps per episode
    unreachable: float  # fraction of episodes whose goal is more than max_steps away


class CoreEnv:
    """Base class of the environments whose steps are in the compiled core.

    A subclass has `_reset` and `_step`, which pass their arguments to the core. The core checks them.
    """

    def _reset(self, bit_generator: np.random.BitGenerator, out_states: Words, out_goals: Words) -> None:
        raise NotImplementedError

    def _step(self, *arrays: NDArray[Any]) -> None:
        raise NotImplementedError

    def reset(self, rng: np.random.Generator, out_states: Words, out_goals: Words) -> None:
        """Start E episodes.

        The order of draws is stated in the environment's header in csrc/.

        Args:
            rng: Source of all draws.
            out_states: C-contiguous uint64[E, W], receives the start states.
            out_goals: C-contiguous uint64[E, W], receives the goals.

        Raises:
            TypeError, ValueError: An argument has another type, dtype, shape or layout, or the arrays share
                memory. Nothing is drawn.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {short_repr(rng)}")
        try:
            self._reset(rng.bit_generator, out_states, out_goals)
        except (TypeError, ValueError):
            check_arrays(out_states=(out_states, np.uint64, 2), out_goals=(out_goals, np.uint64, 2))
            raise

    def step(
        self,
        states: Words,
        goals: Words,
        actions: NDArray[np.uint16],
        active: NDArray[np.int64],
        out_states: Words,
        out_terminated: NDArray[np.bool_],
    ) -> None:
        """Step the episodes in `active`.

        Rows of other episodes are neither read nor written. All arrays are C-contiguous.

        Args:
            states: uint64[E, W], in active rows states of the environment.
            goals: uint64[E, W], likewise.
            actions: uint16[E], each below n_actions in active rows.
            active: int64[n_active], indices of episodes, from 0 to E - 1.
            out_states: uint64[E, W], receives the next states. It may be `states`, but not `goals`.
            out_terminated: bool[E], receives whether the next state equals the goal.

        Raises:
            TypeError, ValueError: An argument is not allowed. Nothing is written.
        """
        try:
            self._step(states, goals, actions, active, out_states, out_terminated)
        except (TypeError, ValueError):
            # The core does not always name the wrong array. The full check is slower, so it runs only here.
            check_arrays(
                states=(states, np.uint64, 2),
                goals=(goals, np.uint64, 2),
                actions=(actions, np.uint16, 1),
                active=(active, np.int64, 1),
                out_states=(out_states, np.uint64, 2),
                out_terminated=(out_terminated, np.bool_, 1),
            )
            raise


def check_arrays(**expected: tuple[NDArray[Any], type, int]) -> None:
    """Check arrays given as name=(array, dtype, number of axes).

    Types and axes of all arrays are checked first, then memory layouts.

    Raises:
        TypeError: An argument is not a NumPy array of its dtype.
        ValueError: An array has another number of axes, is not C-contiguous, or is read-only but named out_*.
    """
    for name, (array, dtype, ndim) in expected.items():
        check_array(name, array, dtype, ndim)
    for name, (array, _, _) in expected.items():
        check_layout(name, array)
