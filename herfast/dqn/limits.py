"""Limits of one call of `learn`: when training stops."""

from __future__ import annotations

from typing import NamedTuple

from herfast.common.validation import check_integer
from herfast.config import Config, check_field


class Limits(NamedTuple):
    """Totals since the start of training at which `learn` stops."""

    cycles: float  # infinite without a limit
    env_steps: float  # infinite without a limit
    until: float | None  # greedy success rate


def resolve_limits(
    config: Config,
    cycles: int,
    env_steps: int,
    epochs: int | None,
    total_timesteps: int | None,
    until: float | None,
) -> Limits:
    """Validate the limits given to `learn` and complete them from the Config.

    Args:
        config: its `epochs` and `until` apply if no limit is given, its `epochs` also if only `until` is.
        cycles: completed cycles.
        env_steps: completed environment steps.
        epochs: number of further epochs, or None.
        total_timesteps: number of further environment steps, or None.
        until: greedy success rate, or None.
    """
    if until is None and epochs is None and total_timesteps is None:
        until = config.until
    if until is not None:
        check_field("until", until)
    if epochs is not None:  # converted, because NumPy integers overflow
        epochs = check_integer("epochs", epochs, 1, 2**40)
    if total_timesteps is not None:
        total_timesteps = check_integer("total_timesteps", total_timesteps, 1, 2**40)
    if epochs is None and total_timesteps is None:
        epochs = config.epochs
    max_cycles = float("inf")
    if epochs is not None:
        max_cycles = cycles + epochs * config.cycles_per_epoch
    max_env_steps = float("inf")
    if total_timesteps is not None:
        max_env_steps = env_steps + total_timesteps
    return Limits(max_cycles, max_env_steps, until)
