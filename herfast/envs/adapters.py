"""Conversion of a user's environment to a packed environment."""

from __future__ import annotations

import json

from herfast.common.validation import check_integer, short_repr
from herfast.envs.base import GoalEnv
from herfast.envs.bit_flip import BitFlip

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

    The wrappers that `gymnasium.make` adds are removed, and TimeLimit becomes a lower max_steps. Other
    wrappers are rejected, since they might change the task.

    Args:
        env: An object with all members of GoalEnv, which is returned itself, or one of the Gymnasium
            environments of herfast.

    Returns:
        The packed environment.

    Raises:
        TypeError, ValueError: `env` is another object, or its max_steps or spec is not allowed.
    """
    missing = [name for name in _MEMBERS if not hasattr(env, name)]
    if isinstance(env, type) or len(missing) > len(_MEMBERS) // 2:
        return _unwrapped(env)
    if missing:
        raise TypeError(
            f"env must have all members of herfast.GoalEnv, got {short_repr(env)} without {missing[0]}"
        )
    goal_env: GoalEnv = env  # type: ignore[assignment]
    check_integer("max_steps", goal_env.max_steps, 1, 65_535)
    spec = goal_env.spec()
    if not (isinstance(spec, dict) and isinstance(spec.get("id"), str) and _is_json(spec)):
        raise TypeError(
            f"env.spec() must be a dict that JSON can hold, with a str as its id, got {short_repr(spec)}"
        )
    return goal_env


def _is_json(value: object) -> bool:
    """Return whether `value` is unchanged after conversion to JSON and back."""
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False


def _unwrapped(env: object) -> BitFlip:
    """Return the packed environment of a Gymnasium environment of herfast."""
    import gymnasium
    from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

    from herfast.envs.gym_env import BitFlipEnv
    from herfast.envs.gym_vector_env import BitFlipVectorEnv

    inner = env
    limits = []
    while isinstance(inner, gymnasium.Wrapper) and isinstance(
        inner, (OrderEnforcing, PassiveEnvChecker, TimeLimit)
    ):
        if isinstance(inner, TimeLimit):
            limits.append(inner._max_episode_steps)
        inner = inner.env
    if not isinstance(inner, (BitFlipEnv, BitFlipVectorEnv)):
        raise TypeError(
            "env must be a BitFlip or an environment made with 'herfast/BitFlip-v0', or have the members of "
            f"herfast.GoalEnv, got {short_repr(env)}"
        )
    return BitFlip(inner.goal_env.n_bits, min([inner.goal_env.max_steps, *limits]))
