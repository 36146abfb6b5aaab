"""The cells of a sweep on a Dask cluster: learnt by its workers, their files brought home."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from tempfile import TemporaryDirectory

from herfast import cell as cells
from herfast.cell import Cell

_ASK_EVERY = 1.0  # seconds until a worker asks again whether it shall stop


def check() -> None:
    """Raises ImportError, in a sentence, without dask.distributed."""
    try:
        import dask.distributed  # noqa: F401 (whether it is there)
    except ImportError as error:
        raise ImportError(
            "a scheduler needs dask.distributed, which is not installed: pip install 'herfast[cluster]'"
        ) from error


def learn(plan: list[Cell], out: Path, scheduler: str) -> Generator[Cell, None, None]:
    """Have the workers learn the cells; each as its files are in `out`, where nobody else writes.

    When it is closed, workers give up the cells under way. A cell whose worker dies is begun anew by another. Raises
    OSError if the scheduler cannot be reached or goes away, or if a cell keeps killing its workers.
    """
    from dask.distributed import Client, Event, as_completed

    with Client(scheduler, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        stop = Event(f"herfast-{uuid.uuid4()}", client=client)  # type: ignore[no-untyped-call]
        futures = {client.submit(_files_of, cell, stop.name, key=cell.name): cell for cell in plan}
        try:
            for future in as_completed(list(futures), loop=client.loop):  # type: ignore[no-untyped-call]
                cell = futures.pop(future)
                if future.status == "error":
                    raise OSError(
                        f"{cell.name} could not be learnt by the workers of {scheduler}: {future.exception()}"
                    )
                if future.status != "finished":
                    raise ConnectionError(f"the Dask scheduler {scheduler} went away; the same command goes on")
                cells.store(cell, out / cell.name, future.result())
                yield cell
        finally:
            if client.status == "running":
                stop.set()  # type: ignore[no-untyped-call]


def _files_of(cell: Cell, stop_name: str) -> dict[str, bytes]:
    """On a worker: learn a cell, and what its folder then holds."""
    from dask.distributed import Event

    cells.warm_up()
    with TemporaryDirectory() as folder:
        cells.learn(cell, Path(folder), _now_and_then(Event(stop_name).is_set))  # type: ignore[no-untyped-call]
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _now_and_then(ask: Callable[[], bool]) -> Callable[[], bool]:
    """`ask`, whose last answer stands for a while, as it goes over the network."""
    answer, asked = False, time.monotonic()

    def stopped() -> bool:
        nonlocal answer, asked
        if time.monotonic() - asked > _ASK_EVERY:
            answer, asked = ask(), time.monotonic()
        return answer

    return stopped
