"""Registry of environments by id, as used in files of agents, runs and sweeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from herfast.common.validation import short_repr
from herfast.envs.base import GoalEnv
from herfast.envs.bit_flip import BitFlip

_REGISTRY: dict[str, Callable[..., GoalEnv]] = {"BitFlip": BitFlip}


def register_env(id: str, cls: Callable[..., GoalEnv]) -> None:
    """Register an environment.

    Files of agents and runs can then be loaded, and the environment can be used in sweeps.

    A class with the same module and name as the registered one replaces it, as when a module is imported
    again.

    Args:
        id: The "id" of its spec.
        cls: Class or function that returns the environment. It is called with the other values of the spec as
            keyword arguments.

    Raises:
        TypeError: `id` is not a str, or `cls` is not a class or function.
        ValueError: Another class is registered as `id`.
    """
    if not isinstance(id, str):
        raise TypeError(f"id must be a str, got {short_repr(id)}")
    if not (callable(cls) and hasattr(cls, "__qualname__")):
        raise TypeError(f"cls must be a class or function, got {short_repr(cls)}")
    older = _REGISTRY.get(id, cls)
    name = _full_name(cls)
    is_same = older is cls or (_full_name(older) == name and "<" not in name)  # "<lambda>", "<locals>"
    if not is_same:
        raise ValueError(f"id {id!r} is already registered for {_full_name(older)}")
    _REGISTRY[id] = cls


def make_env(spec: Mapping[str, Any]) -> GoalEnv:
    """Build the environment of a spec.

    Args:
        spec: As returned by `GoalEnv.spec`.

    Returns:
        A new environment.

    Raises:
        TypeError, ValueError: `spec` is not a spec, its id is not registered, or the environment rejects its
            values.
    """
    if not (isinstance(spec, Mapping) and isinstance(spec.get("id"), str)):
        raise TypeError(f"spec must be a dict with the id of an environment, got {short_repr(spec)}")
    if spec["id"] not in _REGISTRY:
        known = ", ".join(map(repr, sorted(_REGISTRY)))
        raise ValueError(
            f"the environment {spec['id']!r} is not registered, only {known}: see herfast.register_env"
        )
    return _REGISTRY[spec["id"]](**{name: value for name, value in spec.items() if name != "id"})


def env_label(env: GoalEnv) -> str:
    """Return a name for folders: the environment's `label`, or its id and parameters."""
    label: str | None = getattr(env, "label", None)
    if label is None:
        label = "-".join(str(value) for value in env.spec().values())
    return "".join(char if char.isalnum() or char in "-_." else "-" for char in label)


def _full_name(cls: Callable[..., GoalEnv]) -> str:
    """Return the dotted name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"
