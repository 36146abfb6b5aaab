"""Conversion of a user's environment to a packed environment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from herfast.common.validation import check_integer, is_json, short_repr
from herfast.envs.base import GoalEnv, UnknownEnvError
from herfast.envs.goal_task import GoalTask, PackedTask
from herfast.envs.registry import is_registered, make_env
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


def as_goal_env(env: object, env_kwargs: Mapping[str, Any] | None = None) -> GoalEnv:
    """Return the packed environment of `env`.

    A GoalTask is packed, and a few episodes are played to check that it does what GoalTask promises.

    Of a Gymnasium environment of herfast, the wrappers that `gymnasium.make` adds are removed, and TimeLimit
    becomes a lower max_steps. Others become a GymnasiumTask.

    Environments are recognised by their members, not by their classes, since a module that is imported again
    defines other classes.

    Args:
        env: A GoalTask, or an object with all members of GoalEnv, which is returned itself. Also a Gymnasium
            goal environment, and the id of any of them, as in `named_env`.
        env_kwargs: Arguments of the environment of an id.

    Returns:
        The packed environment.

    Raises:
        TypeError, ValueError: `env` is another object, its max_steps, spec or description is not allowed, or
            a GoalTask does something else than it promises.
    """
    if isinstance(env, str):
        env = named_env(env, env_kwargs or {})
    elif env_kwargs is not None:
        raise TypeError(f"env_kwargs needs an id as env, got {short_repr(env_kwargs)} with {short_repr(env)}")
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


def named_env(id: str, parameters: Mapping[str, Any]) -> GoalEnv:
    """Return the packed environment of an id.

    Args:
        id: An id that `make_env` takes, or one of Gymnasium. With "module:id" the module is imported first.
        parameters: Arguments of the environment.

    Raises:
        TypeError, ValueError: The id is unknown, or the environment rejects a parameter or is not supported.
    """
    if not (isinstance(parameters, Mapping) and all(isinstance(name, str) for name in parameters)):
        raise TypeError(f"env_kwargs must be a dict with names as its keys, got {short_repr(parameters)}")
    if "id" in parameters:
        raise TypeError(f"env_kwargs must not hold an id, got {short_repr(parameters['id'])} with {id!r}")
    if is_registered(id):
        return make_env({**parameters, "id": id})
    from herfast.envs.gym_task.identity import has_gymnasium_form, make_gymnasium

    module, _, name = id.rpartition(":")
    unknown = None
    if not has_gymnasium_form(name):  # a class first: Gymnasium takes "Taxi" for its own "Taxi-v3"
        try:
            return make_env({**parameters, "id": id})
        except UnknownEnvError as error:
            unknown = error
    try:
        env = make_gymnasium(id, **parameters)
    except UnknownEnvError as error:
        raise unknown or error from None
    return _unwrapped(env, module or None)


def _missing_members(env: object) -> list[str]:
    """Return the members of GoalEnv that `env` does not have."""
    return [name for name in _MEMBERS if not hasattr(env, name)]


def _unwrapped(env: object, module: str | None = None) -> GoalEnv:
    """Return the packed environment of a Gymnasium environment.

    `module` registers its id, or is None.
    """
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
    if not isinstance(env, (gymnasium.Env, gymnasium.vector.VectorEnv)):
        raise TypeError(
            "env must be a BitFlip or another environment of herfast, a herfast.GoalTask, a Gymnasium goal "
            f"environment or its id, or have the members of herfast.GoalEnv, got {short_repr(env)}"
        )
    if not is_bare or _missing_members(packed):
        from herfast.envs.gym_task.task import GymnasiumTask

        return GymnasiumTask(env, _module=module)
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
