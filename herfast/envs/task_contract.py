"""Check that a task does what `GoalTask` promises.

A few episodes are played with a generator of the check's own. Errors name the class and what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from herfast.common.validation import one_line
from herfast.envs.goal_task import Bools, PackedTask

_MAX_BITS = 2**20  # of all states in a call of `step`, and in a search
_MAX_DEPTH = 256  # steps of a search
_MIN_EPISODES = 64
_MAX_STEPS = 8  # of random play


def check_contract(env: PackedTask) -> None:
    """Check the task of an environment.

    For small tasks this takes a few milliseconds.

    Raises:
        TypeError, ValueError: The task returns other arrays than it should, or fails. Its results depend on
            more than its arguments, or it changes them. No sequence of actions changes the achieved goal.
    """
    _reset(env, 1)
    n_episodes = min(max(_MIN_EPISODES, env.n_actions), _MAX_BITS // env.n_state_bits)
    starts, goals = _reset(env, n_episodes)
    if _play(env, starts, goals):
        return
    is_at_goal = (starts[:, : env.n_goal_bits] == goals).all(axis=1)
    if not is_at_goal.all():  # a task may be undefined at the goal
        starts = starts[~is_at_goal]
    if not _can_change_goal(env, starts[:4]):
        raise ValueError(
            f"{_name(env)}.step never changes the first {env.n_goal_bits} bits of the state, which are "
            "compared with the goal: put the bits that the goal describes first"
        )


def _play(env: PackedTask, states: Bools, goals: Bools) -> bool:
    """Play random actions and return whether the achieved goal of an episode changed.

    The first step takes every action, or as many as there are episodes.
    """
    rng = np.random.default_rng(0)
    actions = np.arange(len(states)) * (env.n_actions - 1) // (len(states) - 1)
    has_changed = False
    for _ in range(min(env.max_steps, _MAX_STEPS)):
        next_states = _step_repeatedly(env, states, actions)
        achieved = next_states[:, : env.n_goal_bits]
        has_changed |= bool((achieved != states[:, : env.n_goal_bits]).any())
        # Training does not continue an episode at its goal either, and a task may be undefined there.
        continues = (achieved != goals).any(axis=1)
        if not continues.any():
            break
        states = next_states[continues]
        goals = goals[continues]
        actions = rng.integers(0, env.n_actions, len(states))
    return has_changed


def _name(env: PackedTask) -> str:
    return type(env.task).__name__


def _reset(env: PackedTask, n_episodes: int) -> tuple[Bools, Bools]:
    """Return the start states and goals of two equal resets."""
    results = []
    for _ in range(2):
        with _described(f"{_name(env)}.reset fails for n_episodes={n_episodes}"):
            result = env.task.reset(np.random.default_rng(0), n_episodes)
        results.append(env.check_start(result, n_episodes))
    for first, second in zip(*results, strict=True):
        if (first != second).any():
            raise ValueError(
                f"{_name(env)}.reset returns other episodes for an equal rng: all draws must come from rng"
            )
    return results[0]


def _step(env: PackedTask, states: Bools, actions: NDArray[np.int64]) -> Bools:
    """Return the next states; raise an error if the task fails or changes arguments."""
    given = states.copy()
    given_actions = actions.copy()
    try:
        result = env.task.step(given, given_actions)
    except Exception:
        _find_failing_action(env, states, actions)
        raise
    next_states = env.check_next(result, len(states)).copy()
    if (given != states).any() or (given_actions != actions).any():
        raise ValueError(f"{_name(env)}.step changes its arguments: it must work on a copy")
    return next_states


def _find_failing_action(env: PackedTask, states: Bools, actions: NDArray[np.int64]) -> None:
    """Raise ValueError for the first action that fails alone, or for all."""
    for row, action in enumerate(actions):
        with _described(f"{_name(env)}.step fails for action {action}"):
            env.task.step(states[row : row + 1].copy(), actions[row : row + 1].copy())
    with _described(f"{_name(env)}.step fails for {len(states)} episodes, but not for one"):
        env.task.step(states.copy(), actions.copy())


def _step_repeatedly(env: PackedTask, states: Bools, actions: NDArray[np.int64]) -> Bools:
    """Return the next states; raise ValueError unless further calls return the same.

    The second call has equal arguments, the third has the episodes in reverse order, and the fourth only the
    last one.
    """
    next_states = _step(env, states, actions)
    if (_step(env, states, actions) != next_states).any():
        raise ValueError(
            f"{_name(env)}.step returns other states for equal arguments: it must not draw or store anything"
        )
    is_alone_equal = (_step(env, states[-1:], actions[-1:]) == next_states[-1:]).all()
    is_reversed_equal = (_step(env, states[::-1], actions[::-1]) == next_states[::-1]).all()
    if not (is_alone_equal and is_reversed_equal):
        raise ValueError(
            f"{_name(env)}.step returns another state for an episode alone or in another row: "
            "each row of states must depend only on the same row of the arguments"
        )
    return next_states


def _can_change_goal(env: PackedTask, states: Bools) -> bool:
    """Return False if no sequence of actions changes the achieved goal.

    All states that can be reached are searched. If they are too many or too far, True is returned.
    """
    seen: set[bytes] = set()
    n_searched_bits = 0
    for _ in range(_MAX_DEPTH):
        n_searched_bits += states.size * env.n_actions
        if n_searched_bits > _MAX_BITS:
            return True
        before = np.repeat(states, env.n_actions, axis=0)
        after = _step(env, before, np.tile(np.arange(env.n_actions), len(states)))
        changed = after[:, : env.n_goal_bits] != before[:, : env.n_goal_bits]
        if changed.any():
            return True
        seen.update(state.tobytes() for state in states)
        new = [state for state in np.unique(after, axis=0) if state.tobytes() not in seen]
        if not new:
            return False
        states = np.array(new)
    return True


@contextmanager
def _described(what: str) -> Iterator[None]:
    """Turn an exception of a task into a ValueError that begins with `what`."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{what}: {type(error).__name__}: {one_line(str(error))}") from error
