"""Callbacks that write the history as text: JSON lines and CSV."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast.callbacks.base import HistoryWriter
from herfast.common.atomic_file import check_not_special
from herfast.common.history import HISTORY_SCHEMA
from herfast.common.validation import check_path


class JsonLines(HistoryWriter):
    """Callback of `Agent.learn` that writes the history as JSON lines.

    For example::

        with JsonLines("run.jsonl") as log:
            agent.learn(callback=log)

    Each cycle is one line, written as soon as the cycle ends. It has all columns of `agent.history`. NaN and
    infinities are written as null, since JSON has neither. If the process is killed, at most the last line is
    incomplete.

    The file mirrors the history of the agent that calls. Its first call replaces the contents of the file and
    later calls append. An agent loaded from a checkpoint (`save(replay=True)`) therefore continues its file.
    Rows of cycles after the checkpoint are dropped, since those cycles are trained again. A file that was
    removed is written again. Use one file per agent, in one thread: agents that call in turn write their
    whole histories each time. Close the callback with `close()`, or use it as a context manager.

    Args:
        path: File to write, in an existing folder. A relative path is resolved at once. Nothing is written
            before the first call.

    Raises:
        TypeError, ValueError: `path` is not a valid path.
        FileNotFoundError, IsADirectoryError: The folder of `path` is missing, or `path` is a folder.
        OSError: `path` is a device, a FIFO or a socket; or, on a call, the file cannot be written.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        check_path("path", path)
        super().__init__(Path(path))

    def _open_file(self, history: Mapping[str, NDArray[Any]]) -> int:
        self._file = self._path.open("w", buffering=1, encoding="utf-8")  # buffering=1 flushes each line
        return 0

    def _write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            line: dict[str, Any] = dict.fromkeys(row)  # None, which JSON writes as null
            line.update((name, value) for name, value in row.items() if math.isfinite(value))
            self._file.write(json.dumps(line) + "\n")


class CsvLog(HistoryWriter):
    """Callback that writes the history as CSV, a header and one line per cycle.

    A line is written as soon as its cycle ends. The file mirrors the history as that of JsonLines does.
    """

    def _open_file(self, history: Mapping[str, NDArray[Any]]) -> int:
        self._file = self._path.open("w", newline="", encoding="utf-8")
        csv.writer(self._file).writerow(history)
        return 0

    def _write(self, rows: list[dict[str, Any]]) -> None:
        csv.writer(self._file).writerows(row.values() for row in rows)
        self._file.flush()

    def _close_file(self) -> None:
        """Wait until all lines are on disk, then close the file."""
        if not self._file.closed:
            with self._file:  # closes the file also after an error
                self._file.flush()
                os.fsync(self._file.fileno())


def read_csv_log(path: Path) -> dict[str, NDArray[Any]]:
    """Read a file that CsvLog wrote.

    An incomplete last line, as left by a crash, is ignored.

    Args:
        path: File to read, for instance progress.csv.

    Returns:
        Columns by name, int64 or float64 [cycles].

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not such a log.
    """
    check_not_special(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not the progress of a run: it is not text") from None
    header, *rows = list(csv.reader(text[: text.rfind("\n") + 1].splitlines())) or [[]]
    if "success" not in header:
        raise ValueError(f"{path} is not the progress of a run: its header has no column 'success'")
    try:
        columns = list(zip(*rows, strict=True)) or [()] * len(header)
        history: dict[str, NDArray[Any]] = {}
        for name, column in zip(header, columns, strict=True):
            dtype: type = np.float64
            if name in HISTORY_SCHEMA:
                dtype = HISTORY_SCHEMA[name].dtype
            history[name] = np.array(column, dtype=np.float64).astype(dtype)
        return history
    except ValueError:
        raise ValueError(
            f"{path} is not the progress of a run: not every row holds {len(header)} numbers"
        ) from None
