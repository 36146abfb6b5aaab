"""The history in TensorBoard."""

from __future__ import annotations

import math
import time
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herfast.callbacks.base import HistoryWriter
from herfast.common.validation import check_path

if TYPE_CHECKING:
    from tensorboardX import RecordWriter

_TAGS = {  # of the history's columns in TensorBoard, as Stable-Baselines3 names them
    "success": "rollout/success_rate",
    "return": "rollout/ep_rew_mean",
    "epsilon": "rollout/exploration_rate",
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "greedy_success": "eval/success_rate",
}


class TensorBoard(HistoryWriter):
    """A callback of `Agent.learn` that shows the history in TensorBoard, over environment steps; needs tensorboardX.

        with TensorBoard("logs/seed0") as log:
            agent.learn(callback=log)  # meanwhile: tensorboard --logdir logs

    The scalars have Stable-Baselines3's names: rollout/success_rate, rollout/ep_rew_mean (the return),
    rollout/exploration_rate (epsilon), train/loss, train/learning_rate, time/fps (environment steps a second, of all
    learning so far), and at each epoch's end eval/success_rate (of greedy play). They are on the disk at each epoch's
    end, and when it is closed.

    The folder shows the history of the agent that calls: the first call writes all of it into a new event file, which
    hides what older ones in the folder hold. So an agent loaded from a checkpoint goes on with its folder. Give each
    agent a folder of its own. It is a context manager, or is closed with `close()`.

    Args:
        folder: where the event file goes. Made, and written into, by the first call.

    Raises:
        TypeError, ValueError: a path that cannot name a folder.
        NotADirectoryError: it is a file, or below one.
        ImportError: tensorboardX is not installed.
        OSError: when called, where it cannot be written.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        super().__init__()
        check_path("folder", folder)
        self._folder = Path(folder)
        existing = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        if not existing.is_dir():
            raise NotADirectoryError(f"cannot write into {folder}: {existing} is a file")
        try:
            from tensorboardX import RecordWriter  # SummaryWriter would wait for ever once the disk is full
            from tensorboardX.proto.event_pb2 import Event
        except ImportError as error:
            raise ImportError(
                "TensorBoard needs tensorboardX, which is not installed: pip install 'herfast[tensorboard]'"
            ) from error
        self._open, self._event = RecordWriter, Event

    def _begin(self) -> RecordWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        file = self._open(str(self._folder / f"events.out.tfevents.{now:.6f}"))  # a folder's are read in this order
        self._add(file, now, file_version="brain.Event:2")
        self._add(file, now, step=0, session_log={"status": "START"})  # hides what older files hold, from step 0 on
        return file

    def _write(self, rows: list[dict[str, Any]]) -> None:
        now = time.time()
        for row in rows:
            scalars = {tag: row[column] for column, tag in _TAGS.items()}
            scalars["time/fps"] = row["env_steps"] / row["seconds"]
            known = [{"tag": tag, "simple_value": value} for tag, value in scalars.items() if not math.isnan(value)]
            ended = now + row["seconds"] - rows[-1]["seconds"]
            self._add(self._file, ended, step=row["env_steps"], summary={"value": known})
        if not all(math.isnan(row["greedy_success"]) for row in rows):  # not each cycle: it waits for the disk
            self._file.flush()

    def _add(self, file: RecordWriter, wall_time: float, **event: Any) -> None:
        file.write(self._event(wall_time=wall_time, **event).SerializeToString())
