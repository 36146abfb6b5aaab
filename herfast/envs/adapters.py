"""Conversion of a user's environment to a packed environment."""

from __future__ import annotations

import dataclasses
from typing import Any

from herfast.common.validation import check_integer, is_json, short_repr
from herfast.envs.base import GoalEnv
from herfast.envs.goal_task import GoalTask, PackedTask
from herfast.envs.registry import make_env
from herfast.envs.task_contract import check_contract

# Members of GoalEnv.
_MEMBERS = (
    "n_state_bits",
    "n_goal_bits",
    "n_actions",
    "max_steps",
    "reset",
    "step",
    "spec",
    "describe",
)


def as_goal_env(env: object) -> GoalEnv:
    """Return the packed environment of `env`.

    A GoalTask is packed, and a few episodes are played to check that it does what GoalTask promises.

    The wrappers that `gymnasium.make` adds are removed, and TimeLimit becomes a lower max_steps. Other
    wrappers are rejected, since they might change the task.

    Environments are recognised by their members, not by their classes, since a module that is imported again
    defines other classes.

    Args:
        env: A GoalTask, or an object with all members of GoalEnv, which is returned itself. Also a Gymnasium
            environment with such an object as `goal_env`, as those of herfast.

    Returns:
        The packed environment.

    Raises:
        TypeError, ValueError: `env` is another object, its max_steps, spec or description is not allowed, or
            a GoalTask does something else than it promises.
    """
    if isinstance(env, type) and hasattr(env, "step"):
        raise TypeError(f"env must be an instance, as in {env.__name__}(), got {short_repr(env)}")
    if isinstance(env, GoalTask):
        env = PackedTask(env)
    missing = _missing_members(env)
    if len(missing) > len(_MEMBERS) // 2:
        return _unwrapped(env)
    if missing:
        raise TypeError(
            f"env must have all members of herfast.GoalEnv, got {short_repr(env)} without {missing[0]}"
        )
    goal_env: GoalEnv = env  # type: ignore[assignment]
    check_integer("max_steps", goal_env.max_steps, 1, 65_535)
    spec = goal_env.spec()
    if not (isinstance(spec, dict) and isinstance(spec.get("id"), str) and is_json(spec)):
        raise TypeError(
            f"env.spec() must be a dict that JSON can hold, with a str as its id, got {short_repr(spec)}"
        )
    description: object = goal_env.describe()
    if not isinstance(description, str):
        raise TypeError(f"env.describe() must return a str, got {short_repr(description)}")
    if isinstance(goal_env, PackedTask):
        check_contract(goal_env)
    return goal_env


def _missing_members(env: object) -> list[str]:
    """Return the members of GoalEnv that `env` does not have."""
    return [name for name in _MEMBERS if not hasattr(env, name)]


def _unwrapped(env: object) -> GoalEnv:
    """Return the packed environment of a Gymnasium environment."""
    import gymnasium
    from gymnasium.wrappers import (
        HumanRendering,
        OrderEnforcing,
        PassiveEnvChecker,
        RenderCollection,
        TimeLimit,
    )

    inner: Any = env
    limits = []
    while isinstance(inner, (HumanRendering, OrderEnforcing, PassiveEnvChecker, RenderCollection, TimeLimit)):
        if isinstance(inner, TimeLimit):
            limits.append(inner._max_episode_steps)
        inner = inner.env
    packed = getattr(inner, "goal_env", None)
    is_bare = isinstance(inner, (gymnasium.Env, gymnasium.vector.VectorEnv)) and inner.unwrapped is inner
    if not is_bare or _missing_members(packed):
        raise TypeError(
            "env must be a BitFlip or another environment of herfast, a herfast.GoalTask, an environment "
            "made with an id of herfast, as 'herfast/BitFlip-v0', or have the members of herfast.GoalEnv, "
            f"got {short_repr(env)}"
        )
    if isinstance(inner.action_space, gymnasium.spaces.Box):
        raise TypeError(f"env must have discrete actions, got {short_repr(env)} with {inner.action_space}")
    if getattr(inner, "max_episode_steps", None) is not None:  # a vector environment limits itself
        limits.append(inner.max_episode_steps)
    goal_env = as_goal_env(packed)
    max_steps = min([goal_env.max_steps, *limits])
    if max_steps == goal_env.max_steps:
        return goal_env
    return _limited(goal_env, max_steps)


def _limited(env: GoalEnv, max_steps: int) -> GoalEnv:
    """Return `env` with another max_steps."""
    spec = env.spec()
    if not isinstance(env, PackedTask):
        return make_env({**spec, "max_steps": max_steps})
    if "max_steps" not in spec:
        raise TypeError(
            f"{type(env.task).__name__} must take max_steps as a field to get a step limit of {max_steps:,}"
        )
    task: Any = env.task  # a dataclass, since its class takes an argument
    return PackedTask(dataclasses.replace(task, max_steps=max_steps))
