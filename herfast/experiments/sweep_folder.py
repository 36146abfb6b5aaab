"""Recognition of the folder of a sweep."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS_FILE = "results.csv"
_FIRST_COLUMNS = b"cell,n_bits,"
_TRIAL_NAME = r".+-k\d+-seed\d+-[0-9a-f]{12}"


def is_sweep_folder(folder: Path) -> bool:
    """Return True if `folder` has the results.csv or the trials of a sweep."""
    try:
        with (folder / RESULTS_FILE).open("rb") as file:
            if file.read(len(_FIRST_COLUMNS)) == _FIRST_COLUMNS:
                return True
    except OSError:  # a sweep without a finished trial has no results.csv
        pass
    return folder.is_dir() and any(
        re.fullmatch(_TRIAL_NAME, path.name) and path.is_dir() for path in folder.iterdir()
    )
