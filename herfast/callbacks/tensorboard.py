"""Callback that writes the history for TensorBoard."""

from __future__ import annotations

import math
import time
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herfast.callbacks.base import HistoryWriter
from herfast.common.history import HISTORY_SCHEMA
from herfast.common.validation import check_path

if TYPE_CHECKING:
    from tensorboardX import RecordWriter


class TensorBoard(HistoryWriter):
    """Callback of `Agent.learn` that writes the history for TensorBoard.

    It needs tensorboardX.

        with TensorBoard("logs/seed0") as log:
            agent.learn(callback=log)  # meanwhile: tensorboard --logdir logs

    Scalars are plotted over environment steps and have the names of Stable-Baselines3:

    - rollout/success_rate, rollout/ep_rew_mean (the return) and rollout/exploration_rate (epsilon)
    - train/loss and train/learning_rate
    - time/fps, the mean number of environment steps per second since the start of training
    - eval/success_rate, the success rate of the greedy policy, at the end of each epoch

    They are flushed to disk at the end of each epoch and on `close`.

    The folder shows the history of the agent that calls. Its first call writes the whole history to a new
    event file, which hides the contents of older event files in the folder. An agent loaded from a checkpoint
    therefore continues its folder. Use one folder per agent. Close the callback with `close()`, or use it as
    a context manager.

    Args:
        folder: Folder of the event files. The first call creates it.

    Raises:
        TypeError, ValueError: `folder` is not a valid path.
        NotADirectoryError: `folder` is a file, or is below one.
        ImportError: tensorboardX is not installed.
        OSError: On a call, if the event file cannot be written.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        super().__init__()
        check_path("folder", folder)
        self._folder = Path(folder)
        existing = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        if not existing.is_dir():
            raise NotADirectoryError(f"cannot write into {folder}: {existing} is a file")
        try:
            # SummaryWriter would wait forever on a full disk.
            from tensorboardX import RecordWriter
            from tensorboardX.proto.event_pb2 import Event
        except ImportError as error:
            raise ImportError(
                "TensorBoard needs tensorboardX, which is not installed: pip install 'herfast[tensorboard]'"
            ) from error
        self._writer_class = RecordWriter
        self._event_class = Event

    def _open_file(self, columns: list[str]) -> RecordWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        # TensorBoard reads the event files of a folder in the order of their names.
        file = self._writer_class(str(self._folder / f"events.out.tfevents.{now:.6f}"))
        self._add(file, now, file_version="brain.Event:2")
        # This event hides all events of older files from step 0.
        self._add(file, now, step=0, session_log={"status": "START"})
        return file

    def _write(self, rows: list[dict[str, Any]]) -> None:
        now = time.time()
        for row in rows:
            scalars = {column.tag: row[name] for name, column in HISTORY_SCHEMA.items() if column.tag}
            scalars["time/fps"] = row["env_steps"] / row["seconds"]
            values = [
                {"tag": tag, "simple_value": value} for tag, value in scalars.items() if not math.isnan(value)
            ]
            wall_time = now + row["seconds"] - rows[-1]["seconds"]  # time at which this cycle ended
            self._add(self._file, wall_time, step=row["env_steps"], summary={"value": values})
        # Flush once per epoch, not once per cycle, since it waits for the disk.
        if not all(math.isnan(row["greedy_success"]) for row in rows):
            self._file.flush()

    def _add(self, file: RecordWriter, wall_time: float, **event: Any) -> None:
        """Append one event to the file."""
        file.write(self._event_class(wall_time=wall_time, **event).SerializeToString())
