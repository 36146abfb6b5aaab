"""Run trials on a Dask cluster and copy their files to the output folder."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from tempfile import TemporaryDirectory

from herfast.experiments.trial import Trial, store_files, train_trial, warm_up_kernels

_POLL_SECONDS = 1.0  # seconds until a worker asks again whether it shall stop


def check_dask() -> None:
    """Raises ImportError, in a sentence, without dask.distributed."""
    try:
        import dask.distributed  # noqa: F401 (whether it is there)
    except ImportError as error:
        raise ImportError(
            "a scheduler needs dask.distributed, which is not installed: pip install 'herfast[cluster]'"
        ) from error


def train_on_cluster(plan: list[Trial], out: Path, scheduler: str) -> Generator[Trial, None, None]:
    """Have the workers learn the cells; each as its files are in `out`, where nobody else writes.

    When it is closed, workers give up the cells under way. A cell whose worker dies is begun anew by another. Raises
    OSError if the scheduler cannot be reached or goes away, or if a cell keeps killing its workers.
    """
    from dask.distributed import Client, Event, as_completed

    with Client(scheduler, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        stop = Event(f"herfast-{uuid.uuid4()}", client=client)  # type: ignore[no-untyped-call]
        futures = {client.submit(_train_and_read_files, trial, stop.name, key=trial.name): trial for trial in plan}
        try:
            for future in as_completed(list(futures), loop=client.loop):  # type: ignore[no-untyped-call]
                trial = futures.pop(future)
                if future.status == "error":
                    raise OSError(
                        f"{trial.name} could not be learnt by the workers of {scheduler}: {future.exception()}"
                    )
                if future.status != "finished":
                    raise ConnectionError(f"the Dask scheduler {scheduler} went away; the same command goes on")
                store_files(trial, out / trial.name, future.result())
                yield trial
        finally:
            if client.status == "running":
                stop.set()  # type: ignore[no-untyped-call]


def _train_and_read_files(trial: Trial, stop_name: str) -> dict[str, bytes]:
    """On a worker: learn a cell, and what its folder then holds."""
    from dask.distributed import Event

    warm_up_kernels()
    with TemporaryDirectory() as folder:
        train_trial(trial, Path(folder), _rate_limited(Event(stop_name).is_set))  # type: ignore[no-untyped-call]
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _rate_limited(ask: Callable[[], bool]) -> Callable[[], bool]:
    """`ask`, whose last answer stands for a while, as it goes over the network."""
    answer, asked = False, time.monotonic()

    def stopped() -> bool:
        nonlocal answer, asked
        if time.monotonic() - asked > _POLL_SECONDS:
            answer, asked = ask(), time.monotonic()
        return answer

    return stopped
