"""The progress bar of `learn`: success, loss, steps per second and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def show_progress(
    wanted: bool, cycles: tuple[float, float], env_steps: tuple[float, float]
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Within it, a function that shows a row of the history on a bar; it does nothing unless `wanted`.

    `cycles` and `env_steps` are pairs of now and the limit; the bar counts what is limited, and the time left is that
    to the limit, so at most what it says when learning also ends at a success rate.
    """
    if not wanted:
        yield lambda row: None
        return
    from tqdm.auto import tqdm

    by_cycles = cycles[1] != float("inf")
    first, last = cycles if by_cycles else env_steps
    started, steps_before = time.perf_counter(), env_steps[0]
    with tqdm(total=int(last - first), unit="cycle" if by_cycles else "step", dynamic_ncols=True) as bar:

        def show(row: Mapping[str, float]) -> None:
            rate = (row["env_steps"] - steps_before) / (time.perf_counter() - started)
            bar.set_postfix_str(
                f"success={row['success']:.2f}, loss={row['loss']:.3g}, {rate:,.0f} steps/s", refresh=False
            )
            bar.update(1 if by_cycles else min(row["env_steps"] - first, last - first) - bar.n)

        yield show
