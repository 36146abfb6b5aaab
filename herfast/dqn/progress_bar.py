"""Progress bars on stderr, or as a widget in notebooks that have ipywidgets."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from herfast.common.console import LossyStream
from herfast.dqn.limits import Limits
from herfast.envs.base import GoalEnv, stateful


def new_bar(**options: Any) -> Any:
    """Return a new bar of tqdm, which is not shown where stderr cannot be written.

    Args:
        options: options of tqdm.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # so does tqdm, but before 4.68.1 its half-made bar prints an AttributeError
    except (OSError, ValueError):
        options["disable"] = True
    return _tqdm()(file=LossyStream(sys.stderr), dynamic_ncols=True, **options)


@cache
def _tqdm() -> Any:
    """Return the class tqdm that suits a terminal or a notebook."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a notebook without ipywidgets, which gets a bar of text
        from tqdm.auto import tqdm
    return tqdm


def env_seconds(env: GoalEnv) -> float:
    """Return the time that an environment itself took, 0 if it is not measured."""
    sub_envs = stateful(env)
    if sub_envs is None:
        return 0.0
    return sub_envs.seconds


@contextmanager
def show_progress(
    wanted: bool, cycles: int, env_steps: int, limits: Limits, env: GoalEnv
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Show a progress bar, and yield a function that updates it from a history row.

    The bar counts cycles if they are limited, and environment steps otherwise. The time left is that to this
    limit: it is an upper bound if training may also end at a success rate. Without a stderr that can be
    written, there is no bar.

    Args:
        wanted: if False, there is no bar and the function does nothing.
        cycles: completed cycles.
        env_steps: completed environment steps.
        limits: totals at which training stops.
        env: the environment. If it measures its time, its share is shown.
    """
    if not wanted:
        yield lambda row: None
        return
    by_cycles = limits.cycles != float("inf")
    unit = "step"
    total = limits.env_steps - env_steps
    if by_cycles:
        unit = "cycle"
        total = limits.cycles - cycles
    started = time.perf_counter()
    env_started = env_seconds(env)
    with new_bar(total=int(total), unit=unit) as bar:

        def show(row: Mapping[str, float]) -> None:
            new_steps = row["env_steps"] - env_steps
            seconds = time.perf_counter() - started
            text = f"success={row['success']:.2f}, loss={row['loss']:.3g}, {new_steps / seconds:,.0f} steps/s"
            if stateful(env) is not None:
                text += f", env {(env_seconds(env) - env_started) / seconds:.0%}"
            bar.set_postfix_str(text, refresh=False)
            if by_cycles:
                bar.update(1)
            else:
                bar.update(min(new_steps, total) - bar.n)  # the last cycle may pass the limit

        yield show
