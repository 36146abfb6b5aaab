"""Run trials on a Dask cluster and copy their files to the output folder."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from tempfile import TemporaryDirectory

from herfast.experiments.trial import Trial, store_files, train_trial, warm_up_kernels

_POLL_SECONDS = 1.0  # seconds for which a worker caches the answer whether to stop


def check_dask() -> None:
    """Raise ImportError with installation instructions without dask.distributed."""
    try:
        import dask.distributed  # noqa: F401 (only checks that it can be imported)
    except ImportError as error:
        raise ImportError(
            "a scheduler needs dask.distributed, which is not installed: pip install 'herfast[cluster]'"
        ) from error


def train_on_cluster(plan: list[Trial], out: Path, scheduler: str) -> Generator[Trial, None, None]:
    """Train trials on the workers of a Dask cluster.

    If a worker dies, another worker restarts its trial. When the generator is closed, the workers discard the
    trials that are still running.

    Args:
        plan: the trials to train.
        out: the folder of the sweep. The caller holds its lock.
        scheduler: address of the Dask scheduler.

    Yields:
        Each trial as soon as its files are in its folder in `out`.

    Raises:
        OSError: the scheduler cannot be reached, the connection to it is lost, or a trial fails on the
            workers. A trial that kills several workers fails.
    """
    from dask.distributed import Client, Event, as_completed

    with Client(scheduler, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        stop = Event(f"herfast-{uuid.uuid4()}", client=client)  # type: ignore[no-untyped-call]
        futures = {
            client.submit(_train_and_read_files, trial, stop.name, key=trial.name): trial for trial in plan
        }
        try:
            for future in as_completed(list(futures), loop=client.loop):  # type: ignore[no-untyped-call]
                trial = futures.pop(future)
                if future.status == "error":
                    raise OSError(
                        f"the workers of {scheduler} could not train {trial.name}: {future.exception()}"
                    )
                if future.status != "finished":
                    raise ConnectionError(
                        f"lost the connection to the Dask scheduler {scheduler}: "
                        "run the same command again to continue"
                    )
                store_files(trial, out / trial.name, future.result())
                yield trial
        finally:
            if client.status == "running":
                stop.set()  # type: ignore[no-untyped-call]


def _train_and_read_files(trial: Trial, stop_name: str) -> dict[str, bytes]:
    """Train a trial on a worker and return the files of its folder by name."""
    from dask.distributed import Event

    warm_up_kernels()
    with TemporaryDirectory() as folder:
        stop = Event(stop_name)  # type: ignore[no-untyped-call]
        train_trial(trial, Path(folder), _rate_limited(stop.is_set))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _rate_limited(ask: Callable[[], bool]) -> Callable[[], bool]:
    """Cache the answer of `ask`, which uses the network, for _POLL_SECONDS."""
    answer = False
    asked = time.monotonic()

    def stopped() -> bool:
        nonlocal answer, asked
        if time.monotonic() - asked > _POLL_SECONDS:
            answer = ask()
            asked = time.monotonic()
        return answer

    return stopped
