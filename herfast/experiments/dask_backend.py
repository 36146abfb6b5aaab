"""Run trials on a Dask cluster and copy their files to the output folder."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from herfast.common.console import LossyStream
from herfast.experiments.run import has_ended
from herfast.experiments.trial import Trial, store_files, train_trial, warm_up_kernels

_POLL_SECONDS = 1.0  # seconds for which a worker caches the answer whether to stop
_CHECK_SECONDS = 5.0  # seconds between two checks of the client whether the cluster has workers
_MESSAGE_SECONDS = 60.0  # seconds between two messages that it has none


def check_dask() -> None:
    """Raise ImportError with installation instructions without dask.distributed."""
    try:
        import dask.distributed  # noqa: F401 (only checks that it can be imported)
    except ImportError as error:
        raise ImportError(
            "a scheduler needs dask.distributed, which is not installed: pip install 'herfast[cluster]'"
        ) from error


def train_on_cluster(
    plan: list[Trial], out: Path, scheduler: str
) -> Generator[tuple[Trial, Exception | None], None, None]:
    """Train trials on the workers of a Dask cluster.

    If a worker dies, another worker restarts its trial. When the generator is closed or this process dies,
    the workers discard the trials that are still running. Without workers, a message is printed on stderr
    from time to time.

    Args:
        plan: the trials to train.
        out: the folder of the sweep. The caller holds its lock.
        scheduler: address of the Dask scheduler.

    Yields:
        Each trial as soon as its files are in its folder in `out`, or with its exception if it fails. A trial
        that kills several workers fails.

    Raises:
        OSError: the scheduler cannot be reached, or the connection to it is lost.
    """
    from dask.distributed import Client, as_completed

    with Client(scheduler, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        futures = {
            client.submit(_train_and_read_files, trial, key=f"{trial.name}-{uuid.uuid4()}"): trial
            for trial in plan
        }
        completed = as_completed(list(futures), loop=client.loop)  # type: ignore[no-untyped-call]
        next_check = time.monotonic() + _CHECK_SECONDS
        while not completed.is_empty():  # type: ignore[no-untyped-call]
            batch = completed.next_batch(block=False)  # type: ignore[no-untyped-call]
            for future in batch:
                trial = futures.pop(future)
                if future.status not in ("finished", "error"):
                    raise ConnectionError(
                        f"lost the connection to the Dask scheduler {scheduler}: "
                        "run the same command again to continue"
                    )
                yield trial, _store_result(future, trial, out / trial.name)
            if not batch:
                time.sleep(0.1)
            if client.status == "running" and time.monotonic() > next_check:
                next_check = time.monotonic() + _check_workers(client, scheduler)


def _store_result(future: Any, trial: Trial, folder: Path) -> Exception | None:
    """Write the files of a trial that has ended, or return its exception."""
    if future.status == "error":
        error: Exception = future.exception()
        return error
    try:
        store_files(trial, folder, future.result())
    except OSError as error:
        return error
    return None


def _check_workers(client: Any, scheduler: str) -> float:
    """Print a message if the cluster has no workers.

    Returns the seconds until the next check.
    """
    from tqdm import tqdm

    if client.nthreads():
        return _CHECK_SECONDS
    tqdm.write(
        f"waiting for workers of {scheduler}: none is connected; start some with `dask worker {scheduler}`",
        file=LossyStream(sys.stderr),
    )
    return _MESSAGE_SECONDS


def _train_and_read_files(trial: Trial) -> dict[str, bytes]:
    """Train a trial on a worker and return the files of its folder by name.

    Raises:
        ConnectionError: the sweep has ended or died, or the connection to the scheduler is lost.
    """
    from dask.distributed import get_worker

    warm_up_kernels([trial.config])
    worker = get_worker()
    key = worker.get_current_task()
    stopped = _rate_limited(lambda: not _is_wanted(worker, key))
    with TemporaryDirectory() as name:
        folder = Path(name)
        train_trial(trial, folder, stopped)
        if not has_ended(folder):
            raise ConnectionError(f"lost the connection to the sweep of {trial.name}")
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def _is_wanted(worker: Any, key: Any) -> bool:
    """Return True if the scheduler has the task `key` on `worker`.

    The scheduler forgets the tasks of a client that has disconnected.
    """
    from dask.distributed import get_client

    try:
        (keys,) = get_client().processing([worker.contact_address]).values()  # type: ignore[no-untyped-call]
    except Exception:  # the connection is lost; depending on when, Dask raises different errors
        return False
    return key in keys


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
