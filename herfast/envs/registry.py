"""Registry of environments by id, as used in files of agents, runs and sweeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, get_type_hints

from herfast.common.validation import is_json, one_line, short_repr
from herfast.envs.base import GoalEnv, Spec, UnknownEnvError
from herfast.envs.bit_flip import BitFlip
from herfast.envs.goal_task import GoalTask, PackedTask
from herfast.envs.grid_world import GridWorld
from herfast.envs.lights_out import LightsOut

_SCRIPT = "__main__"  # the module of a script or notebook
_MAX_LABEL = 100  # bytes; file names have at most 255, and a seed and settings follow the label


def _gymnasium_task(**parameters: Any) -> GoalEnv:
    """Return the GymnasiumTask of its spec."""
    from herfast.envs.gym_task.task import rebuild_task

    return rebuild_task(parameters)


_REGISTRY: dict[str, Callable[..., GoalEnv | GoalTask]] = {
    "BitFlip": BitFlip,
    "GridWorld": GridWorld,
    "Gymnasium": _gymnasium_task,
    "LightsOut": LightsOut,
}


def register_env(id: str, cls: Callable[..., GoalEnv | GoalTask]) -> None:
    """Register an environment.

    Files of agents and runs can then be loaded, and the environment can be used in sweeps. A GoalTask of a
    module that can be imported needs no registration.

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


def is_registered(id: str) -> bool:
    """Return whether herfast knows the id, and need not import a module for it."""
    return id in _REGISTRY


def make_env(spec: Mapping[str, Any]) -> GoalEnv:
    """Build the environment of a spec.

    The id is registered, or it is "module:Class" with a subclass of GoalTask, whose module is then imported.

    Args:
        spec: As returned by `GoalEnv.spec`.

    Returns:
        A new environment.

    Raises:
        TypeError, ValueError: `spec` is not a spec, its id is not registered and names no GoalTask that can
            be imported, or the environment rejects its values.
    """
    if not (isinstance(spec, Mapping) and isinstance(spec.get("id"), str)):
        raise TypeError(f"spec must be a dict with the id of an environment, got {short_repr(spec)}")
    id = spec["id"]
    values = {name: value for name, value in spec.items() if name != "id"}
    if id in _REGISTRY:
        env = _REGISTRY[id](**values)
    else:
        if not is_json(values):
            raise TypeError(f"spec must hold JSON values, got {short_repr(dict(spec))}")
        env = _task_class(id)(**values)
    if isinstance(env, GoalTask):
        return PackedTask(env)
    return env


def text_parameters(id: str) -> frozenset[str]:
    """Return the parameters of an environment that take text.

    They are annotated as str, or as str or None.

    Args:
        id: As for `make_env`.

    Returns:
        Their names, none if the id names no such class or its annotations cannot be evaluated.
    """
    try:
        cls: Any = _REGISTRY.get(id) or _task_class(id)
        hints = {**get_type_hints(cls.__init__), **get_type_hints(cls)}  # of a class, or of a function
    except Exception:  # whatever the evaluation of a text raises
        return frozenset()
    return frozenset(name for name, hint in hints.items() if hint in (str, str | None))


def _task_class(id: str) -> type[GoalTask]:
    """Return the class that an id of the form "module:Class" names.

    Raises:
        UnknownEnvError: The id has another form, cannot be imported, or names something else.
    """
    module, colon, name = id.partition(":")
    if not colon:
        known = ", ".join(map(repr, sorted(_REGISTRY)))
        raise UnknownEnvError(
            f"the environment {id!r} is not registered, only {known}: see herfast.register_env, "
            "or name the class of a GoalTask, as in 'module:Class'"
        )
    if module == _SCRIPT or "<locals>" in name:
        raise UnknownEnvError(
            f"the environment {id!r} cannot be imported, since its class is defined in a script, a notebook "
            "or a function: put the class into a module"
        )
    try:
        found = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # whatever the module raises
        reason = one_line(f"{type(error).__name__}: {error}")
        if isinstance(error, ModuleNotFoundError):
            reason += "; start in the folder of the module, or install it"
        raise UnknownEnvError(f"the environment {id!r} cannot be imported: {reason}") from error
    if not (isinstance(found, type) and issubclass(found, GoalTask)):
        raise UnknownEnvError(f"{id!r} must name a subclass of herfast.GoalTask, got {short_repr(found)}")
    return found


def is_same_env(saved: object, own: Spec) -> bool:
    """Return whether a saved spec is that of an environment.

    The module of a script equals every other, since a script has its own name when it is imported.
    """
    if not (isinstance(saved, dict) and isinstance(saved.get("id"), str)):
        return False
    if _SCRIPT in (saved["id"].partition(":")[0], own["id"].partition(":")[0]):
        return _without_module(saved) == _without_module(own)
    if own["id"] == "Gymnasium":  # an agent may continue with other sub-environments
        return _without_vector(saved) == _without_vector(own)
    return saved == own


def _without_vector(spec: Spec) -> Spec:
    """Return the spec of a GymnasiumTask without those of its vector environment."""
    return {name: value for name, value in spec.items() if name != "vector"}


def _without_module(spec: Spec) -> Spec:
    """Return a spec whose id has no module before its colon."""
    return {**spec, "id": spec["id"].partition(":")[2]}


def env_label(env: GoalEnv) -> str:
    """Return a name for folders: the environment's `label`, or its id and parameters.

    It is cut to at most 100 bytes.
    """
    label: str | None = getattr(env, "label", None)
    if label is None:
        label = "-".join(str(value) for value in env.spec().values())
    name = "".join(char if char.isalnum() or char in "-_." else "-" for char in label)
    return name.encode()[:_MAX_LABEL].decode(errors="ignore")


def _full_name(cls: Callable[..., GoalEnv | GoalTask]) -> str:
    """Return the dotted name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"
