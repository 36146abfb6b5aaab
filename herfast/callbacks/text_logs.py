"""The history as text files: JSON lines and CSV."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from herfast.callbacks.base import HistoryWriter
from herfast.common.history import COLUMNS
from herfast.common.validation import check_file, check_path


class JsonLines(HistoryWriter):
    """A callback of `Agent.learn` that writes the history as JSON lines: an object a cycle, as soon as the cycle ends.

        with JsonLines("run.jsonl") as log:
            agent.learn(callback=log)

    An object has all columns of `agent.history`; NaN, which JSON lacks, is null. A process that is killed leaves whole
    lines, and at most the last one torn.

    The file mirrors the history of the agent that calls: the first call writes it anew, whatever it held, and later
    ones append. An agent loaded from a checkpoint (`save(replay=True)`) so goes on with its file: cycles after the
    checkpoint, which it will learn again, are dropped. Give each agent a file of its own. It is a context manager, or
    is closed with `close()`.

    Args:
        path: the file, in a folder that exists. Nothing is written before the first call.

    Raises:
        TypeError, ValueError: a path that cannot name a file.
        FileNotFoundError, IsADirectoryError: its folder is missing, or it is a folder.
        OSError: when called, where it cannot be written.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__()
        check_path("path", path)
        self._path = Path(path)
        check_file(self._path)

    def _begin(self) -> IO[str]:
        return self._path.open("w", buffering=1, encoding="utf-8")  # 1: each line is flushed

    def _write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            known = {name: value if math.isfinite(value) else None for name, value in row.items()}
            self._file.write(json.dumps(known) + "\n")


class CsvLog:
    """Writes a CSV file anew, then appends the rows of a history that it lacks. A context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._n_rows = -1  # not even the header

    def write(self, history: Mapping[str, NDArray[Any]]) -> None:
        """Write and flush the new rows of `history`, columns [cycles]; the first call writes the header."""
        columns = [history[name] for name in history]
        if self._n_rows < 0:
            self._writer.writerow(list(history))
            self._n_rows = 0
        rows = list(zip(*(column[self._n_rows :].tolist() for column in columns), strict=True))
        self._writer.writerows(rows)
        self._file.flush()
        self._n_rows += len(rows)

    def __enter__(self) -> CsvLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:  # closed, whatever comes
            self._file.flush()
            os.fsync(self._file.fileno())


def read_csv_log(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a progress.csv, int64 or float64 [cycles]; a last line that a crash left unfinished is left out.

    Raises ValueError if it is not the progress of a run.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not the progress of a run: it is not text") from None
    header, *rows = list(csv.reader(text[: text.rfind("\n") + 1].splitlines())) or [[]]
    if "success" not in header:
        raise ValueError(f"{path} is not the progress of a run: its first line names no column 'success'")
    try:
        columns = list(zip(*rows, strict=True)) or [()] * len(header)
        return {
            name: np.array(column, dtype=np.float64).astype(COLUMNS.get(name, np.float64))
            for name, column in zip(header, columns, strict=True)
        }
    except ValueError:
        raise ValueError(f"{path} is not the progress of a run: not every row holds {len(header)} numbers") from None
