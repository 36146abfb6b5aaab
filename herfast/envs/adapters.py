"""Unwrap a Gymnasium environment to the packed environment behind it."""

from __future__ import annotations

from herfast.common.validation import short_repr
from herfast.envs.bit_flip import BitFlip


def as_goal_env(env: object) -> BitFlip:
    """The packed game behind `env`, a BitFlip or one of herfast's Gymnasium environments; TypeError for any other.

    Of the wrappers around an environment those of `gymnasium.make` are seen through, TimeLimit as a lower max_steps;
    another one might change the task, and is refused.
    """
    if isinstance(env, BitFlip):
        return env
    import gymnasium
    from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

    from herfast.envs.gym_env import BitFlipEnv
    from herfast.envs.gym_vector_env import BitFlipVectorEnv

    inner, limits = env, []
    while isinstance(inner, gymnasium.Wrapper) and isinstance(inner, (OrderEnforcing, PassiveEnvChecker, TimeLimit)):
        limits += [inner._max_episode_steps] if isinstance(inner, TimeLimit) else []
        inner = inner.env
    if not isinstance(inner, (BitFlipEnv, BitFlipVectorEnv)):
        raise TypeError(
            f"env must be a BitFlip or an environment made with 'herfast/BitFlip-v0', got {short_repr(env)}"
        )
    return BitFlip(inner.goal_env.n_bits, min([inner.goal_env.max_steps, *limits]))
