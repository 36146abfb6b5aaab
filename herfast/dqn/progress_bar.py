"""Progress bar of `learn`: success, loss, steps per second and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from herfast.dqn.limits import Limits


@contextmanager
def show_progress(
    wanted: bool, cycles: int, env_steps: int, limits: Limits
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Show a progress bar, and yield a function that updates it from a history row.

    The bar counts cycles if they are limited, and environment steps otherwise. The time left is that to this
    limit: it is an upper bound if training may also end at a success rate.

    Args:
        wanted: if False, there is no bar and the function does nothing.
        cycles: completed cycles.
        env_steps: completed environment steps.
        limits: totals at which training stops.
    """
    if not wanted:
        yield lambda row: None
        return
    from tqdm.auto import tqdm

    by_cycles = limits.cycles != float("inf")
    unit = "step"
    total = limits.env_steps - env_steps
    if by_cycles:
        unit = "cycle"
        total = limits.cycles - cycles
    started = time.perf_counter()
    with tqdm(total=int(total), unit=unit, dynamic_ncols=True) as bar:

        def show(row: Mapping[str, float]) -> None:
            new_steps = row["env_steps"] - env_steps
            rate = new_steps / (time.perf_counter() - started)
            bar.set_postfix_str(
                f"success={row['success']:.2f}, loss={row['loss']:.3g}, {rate:,.0f} steps/s", refresh=False
            )
            if by_cycles:
                bar.update(1)
            else:
                bar.update(min(new_steps, total) - bar.n)  # the last cycle may pass the limit

        yield show
