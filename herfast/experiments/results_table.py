"""Results of a sweep: the rows of its finished trials and results.csv."""

from __future__ import annotations

import csv
import io
import itertools
import time
from collections.abc import Iterable
from json import dumps
from pathlib import Path
from typing import Any

from herfast.common.atomic_file import check_not_special, write_file
from herfast.config import OLDER_BEHAVIOUR
from herfast.experiments.sweep_folder import RESULTS_FILE
from herfast.experiments.trial import RESULT_COLUMNS, Trial, trial_rows

_WRITE_EVERY = 5.0  # seconds between two writes of the whole file


class ResultsTable:
    """Rows of the finished trials in a sweep's folder.

    Args:
        folder: the folder of the sweep. The trials that are finished there are read at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = 0.0
        self._rows: dict[str, list[dict[str, Any]]] = {}
        for trial_folder in sorted(folder.iterdir()):
            self.add(trial_folder.name)

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def add(self, name: str) -> list[dict[str, Any]]:
        """Read and return the rows of the trial `name`; empty if it is not finished."""
        rows = trial_rows(self._folder / name)
        if rows is None:
            return []
        self._rows[name] = rows
        return rows

    def rows_of(self, trials: Iterable[Trial]) -> list[dict[str, Any]]:
        """Rows of these trials, in the order of the trials."""
        rows: list[dict[str, Any]] = []
        for trial in trials:
            rows.extend(self._rows.get(trial.name, []))
        return rows

    def write_if_due(self) -> None:
        """Write results.csv, at most once every five seconds. Raises OSError."""
        if time.monotonic() - self._written > _WRITE_EVERY:
            self.write()
            self._written = time.monotonic()

    def write(self) -> None:
        """Replace results.csv atomically, unless there are no rows. Raises OSError."""
        if not self._rows:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, RESULT_COLUMNS)
        writer.writeheader()
        writer.writerows(itertools.chain.from_iterable(self._rows.values()))
        write_file(self._folder / RESULTS_FILE, text.getvalue().encode())


def read_results(folder: Path) -> list[dict[str, str]]:
    """Read results.csv.

    Args:
        folder: the folder of the sweep.

    Returns:
        A dict per row, from column name to text. Columns that files of herfast 0.1.0 do not have are added.

    Raises:
        ValueError: the file was not written by a sweep, or is damaged.
        OSError: the file cannot be read.
    """
    path = folder / RESULTS_FILE
    check_not_special(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            columns = tuple(reader.fieldnames or ())
            rows = list(reader)
        is_complete = all(None not in row and None not in row.values() for row in rows)
        missing = set(RESULT_COLUMNS) - set(columns)
        is_known = columns == tuple(name for name in RESULT_COLUMNS if name not in missing)
        if is_complete and is_known and missing <= {"env", *OLDER_BEHAVIOUR}:
            return [_with_all_columns(row) for row in rows]
    except (UnicodeDecodeError, csv.Error, ValueError):
        pass
    raise ValueError(
        f"{path} is damaged or is not the {RESULTS_FILE} of a sweep: move it away, "
        "and run the sweep again to recreate it"
    )


def _with_all_columns(row: dict[str, str]) -> dict[str, str]:
    """Return a row with the columns that files of herfast 0.1.0 do not have."""
    if "env" not in row:
        row = {**row, "env": _bit_flip_spec(row)}
    row = {**OLDER_BEHAVIOUR, **row}
    return {name: row[name] for name in RESULT_COLUMNS}


def _bit_flip_spec(row: dict[str, str]) -> str:
    """Spec of a row's BitFlip environment, as JSON."""
    return dumps({"id": "BitFlip", "n_bits": int(row["n_bits"]), "max_steps": int(row["max_steps"])})
