"""Callback that writes the history for TensorBoard."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from herfast.callbacks.base import HistoryWriter
from herfast.callbacks.event_file import append_record, last_record
from herfast.common.history import HISTORY_SCHEMA
from herfast.common.validation import check_path

_FILE_NAME = "events.out.tfevents."  # TensorBoard's name for event files, before the time
_N_HEADER_EVENTS = 2  # file version and start


class TensorBoard(HistoryWriter):
    """Callback of `Agent.learn` that writes the history for TensorBoard.

    It needs tensorboardX. For example::

        with TensorBoard("logs/seed0") as log:
            agent.learn(callback=log)  # meanwhile: tensorboard --logdir logs

    Scalars are plotted over environment steps and have the names of Stable-Baselines3:

    - rollout/success_rate, rollout/ep_rew_mean (the return) and rollout/exploration_rate (epsilon)
    - train/loss and train/learning_rate
    - time/fps, the mean number of environment steps per second since the start of training
    - eval/success_rate, the success rate of the greedy policy, at the end of each epoch

    A cycle is written as soon as it ends, and is on disk at the end of its epoch.

    The folder shows the history of the agent that calls. If its newest event file ends with a row of that
    history, the first call appends later rows, also if another callback wrote the file. Otherwise it writes
    the whole history to a new event file, which hides the contents of older ones. An agent loaded from a
    checkpoint therefore continues its folder.

    Use one folder per agent, in one thread: agents that call in turn write their whole histories each time.
    Close the callback with `close()`, or use it as a context manager.

    Args:
        folder: Folder of the event files. A relative path is resolved at once. The first call creates it.

    Raises:
        TypeError, ValueError: `folder` is not a valid path.
        NotADirectoryError: `folder` is a file, or is below one.
        ImportError: tensorboardX is not installed.
        OSError: On a call, if the event file cannot be written.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        check_path("folder", folder)
        super().__init__(Path(folder))
        try:
            # SummaryWriter would wait forever on a full disk, and RecordWriter cannot append.
            from tensorboardX import record_writer
            from tensorboardX.proto.event_pb2 import Event
        except ImportError as error:
            raise ImportError(
                "TensorBoard needs tensorboardX, which is not installed: pip install 'herfast[tensorboard]'"
            ) from error
        self._event_class = Event
        self._checksum = record_writer.masked_crc32c

    def _check_path(self) -> None:
        existing = next(path for path in (self._path, *self._path.parents) if path.exists())
        if not existing.is_dir():
            raise NotADirectoryError(f"cannot write into {self._path}: {existing} is not a folder")

    def _open_file(self, history: Mapping[str, NDArray[Any]]) -> int:
        self._path.mkdir(parents=True, exist_ok=True)
        n_rows = self._open_newest(history)
        if n_rows == 0:
            now = time.time()
            self._file = (self._path / f"{_FILE_NAME}{now:.6f}").open("wb")
            self._add(now, file_version="brain.Event:2")
            # This event hides all events of older files from step 0.
            self._add(now, step=0, session_log={"status": "START"})
        return n_rows

    def _write(self, rows: list[dict[str, Any]]) -> None:
        now = time.time()
        for row in rows:
            wall_time = now + row["seconds"] - rows[-1]["seconds"]  # time at which this cycle ended
            self._add(wall_time, **_scalars(row))
        self._file.flush()
        # Once per epoch, not once per cycle, since it waits for the disk.
        if not all(math.isnan(row["greedy_success"]) for row in rows):
            os.fsync(self._file.fileno())

    def _is_current(self) -> bool:
        # Another callback may have appended.
        return super()._is_current() and self._file.tell() == os.fstat(self._file.fileno()).st_size

    def _add(self, wall_time: float, **event: Any) -> None:
        """Append one event to the file."""
        data = self._event_class(wall_time=wall_time, **event).SerializeToString()
        append_record(self._file, data, self._checksum)

    def _open_newest(self, history: Mapping[str, NDArray[Any]]) -> int:
        """Open the newest event file if its last event is a row of `history`.

        Other events are not compared, since the time/fps of one row tells trainings with equal results apart.

        Returns:
            The number of rows in the file, 0 if none was opened.
        """
        # TensorBoard reads the event files of a folder in the order of their names.
        newest = max(filter(Path.is_file, self._path.glob(f"{_FILE_NAME}*")), default=None)
        if newest is None:
            return 0
        with suppress(OSError):  # a file of another user
            n_events, data = last_record(newest)
            n_rows = n_events - _N_HEADER_EVENTS
            if 0 < n_rows <= len(history["env_steps"]):
                row = {name: column[n_rows - 1].item() for name, column in history.items()}
                # The time, which differs, comes first in the data.
                if data.endswith(self._event_class(**_scalars(row)).SerializeToString()):
                    self._file = newest.open("ab")
                    return n_rows
        return 0


def _scalars(row: dict[str, Any]) -> dict[str, Any]:
    """Return step and summary of a row's event."""
    scalars = {column.tag: row[name] for name, column in HISTORY_SCHEMA.items() if column.tag}
    scalars["time/fps"] = row["env_steps"] / row["seconds"]
    values = [{"tag": tag, "simple_value": value} for tag, value in scalars.items() if not math.isnan(value)]
    return {"step": row["env_steps"], "summary": {"value": values}}
