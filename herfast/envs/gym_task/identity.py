"""Ids of Gymnasium environments: what files hold to build them again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec, parse_env_id
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from herfast.common.validation import is_json, one_line, short_repr
from herfast.envs.base import UnknownEnvError


class Identity(NamedTuple):
    """Id and arguments of an environment."""

    parameters: dict[str, Any]  # of `rebuild`, and for an environment without an id only `env`, None
    name: str
    label: str  # for folders


def has_gymnasium_form(name: str) -> bool:
    """Return whether a name has a namespace or a version, as no class has."""
    return "/" in name or re.search(r"-v\d+$", name) is not None


def make_gymnasium(id: str, *args: Any, make: Callable[..., Any] = gymnasium.make, **kwargs: Any) -> Any:
    """Return the environment of an id, which may begin with a module and a colon.

    Args:
        id: The id.
        args: Further arguments of `make`.
        make: `gymnasium.make` or `gymnasium.make_vec`, called with the id without the module.
        kwargs: Further arguments of `make`.

    Raises:
        UnknownEnvError: Gymnasium does not know the id, or the module cannot be imported.
    """
    module, colon, name = id.rpartition(":")
    try:
        if colon:
            import_module(module)
    except Exception as error:  # whatever the module raises
        reason = one_line(f"{type(error).__name__}: {error}")
        raise UnknownEnvError(f"the environment {id!r} cannot be imported: {reason}") from error
    try:
        parse_env_id(name)
    except gymnasium.error.Error as error:
        raise UnknownEnvError(f"{id!r} is not the id of a Gymnasium environment") from error
    try:
        return make(name, *args, **kwargs)
    except gymnasium.error.UnregisteredEnv as error:
        reason = one_line(str(error))
        raise UnknownEnvError(f"Gymnasium does not know the environment {id!r}: {reason}") from error


def rebuild(
    env: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
    vector: Mapping[str, Any] | None = None,
    class_name: str | None = None,
) -> Any:
    """Return the environment of an Identity's parameters.

    Raises:
        TypeError: A parameter has another type.
        UnknownEnvError: The environment has no id, or one that Gymnasium does not know.
    """
    if env is None and class_name is not None:
        raise UnknownEnvError(f"the environment {class_name} was made without a Gymnasium id")
    if not isinstance(env, str):
        raise TypeError(f"env must be the id of a Gymnasium environment, got {short_repr(env)}")
    if not isinstance(kwargs, (Mapping, type(None))):
        raise TypeError(f"kwargs must be a dict of arguments of {env}, got {short_repr(kwargs)}")
    values = dict(kwargs or {})
    if max_episode_steps is not None:
        values["max_episode_steps"] = max_episode_steps
    if vector is None:
        return make_gymnasium(env, **values)
    mode = AutoresetMode(vector["autoreset_mode"])
    arguments = (vector["num_envs"], vector["vectorization_mode"], {"autoreset_mode": mode})
    return make_gymnasium(env, *arguments, make=gymnasium.make_vec, **values)


def identify(env: Any, module: str | None) -> Identity:
    """Return how an environment was made.

    Args:
        env: The environment, single or vector.
        module: Module that registers its id, or None.
    """
    spec = getattr(env, "spec", None)  # other libraries have vector environments without one
    if spec is not None and spec.id in gymnasium.registry and not spec.additional_wrappers:
        kwargs = dict(spec.kwargs)
        parameters: dict[str, Any] | None = {}
        if isinstance(env, gymnasium.vector.VectorEnv):
            parameters = _vector_parameters(env, kwargs)
        if parameters is not None and is_json(kwargs):
            return _identity_of(spec, kwargs, parameters, module)
    cls = type(env.unwrapped)
    class_name = f"{cls.__module__}.{cls.__qualname__}"
    return Identity({"env": None, "class_name": class_name}, short_repr(env), cls.__qualname__)


def _identity_of(
    spec: EnvSpec, kwargs: dict[str, Any], parameters: dict[str, Any], module: str | None
) -> Identity:
    """Return the identity of an environment that was made with an id."""
    id = spec.id
    if module is not None:
        id = f"{module}:{id}"
    limit = spec.max_episode_steps
    if limit is None and gymnasium.registry[spec.id].max_episode_steps is not None:
        limit = -1  # as `gymnasium.make` takes it; an unwrapped environment has no limit
    if limit is not None:
        parameters = {"max_episode_steps": limit, **parameters}
    parameters = {"env": id, "kwargs": kwargs, **parameters}
    label = "-".join([spec.id, *(str(value) for value in kwargs.values())])
    arguments = "".join(f", {key}={short_repr(value)}" for key, value in kwargs.items())
    return Identity(parameters, f"{spec.id}{arguments}", label[:100])


def _vector_parameters(env: Any, kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """Return the parameters of a vector environment, or None if it has wrappers.

    They are removed from `kwargs`.
    """
    n_envs = kwargs.pop("num_envs", 1)
    mode = kwargs.pop("vectorization_mode", None)
    vector_kwargs = kwargs.pop("vector_kwargs", {})
    limit = kwargs.pop("max_episode_steps", None)
    if type(env) not in (SyncVectorEnv, AsyncVectorEnv) or "wrappers" in kwargs or mode is None:
        return None
    if not vector_kwargs.keys() <= {"autoreset_mode"}:
        return None
    autoreset = env.metadata["autoreset_mode"].value
    vector = {"num_envs": n_envs, "vectorization_mode": mode, "autoreset_mode": autoreset}
    if limit is None:
        return {"vector": vector}
    return {"vector": vector, "max_episode_steps": limit}
