"""The packed game behind an environment that wears another face."""

from __future__ import annotations

from herfast.checks import shown
from herfast.envs import BitFlip


def packed_game(env: object) -> BitFlip:
    """The packed game behind `env`, a BitFlip or one of herfast's Gymnasium environments; TypeError for any other.

    Of the wrappers around an environment those of `gymnasium.make` are seen through, TimeLimit as a lower max_steps;
    another one might change the task, and is refused.
    """
    if isinstance(env, BitFlip):
        return env
    import gymnasium
    from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

    from herfast.gym_envs import BitFlipEnv, BitFlipVectorEnv

    inner, limits = env, []
    while isinstance(inner, gymnasium.Wrapper) and isinstance(inner, (OrderEnforcing, PassiveEnvChecker, TimeLimit)):
        limits += [inner._max_episode_steps] if isinstance(inner, TimeLimit) else []
        inner = inner.env
    if not isinstance(inner, (BitFlipEnv, BitFlipVectorEnv)):
        raise TypeError(f"env must be a BitFlip or an environment made with 'herfast/BitFlip-v0', got {shown(env)}")
    return BitFlip(inner.game.n_bits, min([inner.game.max_steps, *limits]))
