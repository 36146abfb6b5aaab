"""Rows of an agent's history and of JSON lines files, and columns for a CSV log."""

import json
import math

import numpy as np


def reject_constant(constant):
    """Raise ValueError for NaN and Infinity, which are not JSON."""
    raise ValueError(f"{constant} is not JSON")


def json_lines_rows(path):
    """Return the objects of a file of complete lines of strict JSON."""
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line, parse_constant=reject_constant) for line in text.splitlines()]


def history_rows(agent):
    """Return the rows of an agent's history, with None instead of NaN."""
    columns = [column.tolist() for column in agent.history.values()]
    rows = []
    for row in zip(*columns, strict=True):
        values = [None if math.isnan(value) else value for value in row]
        rows.append(dict(zip(agent.history, values, strict=True)))
    return rows


def progress_columns(n_cycles: int) -> dict[str, np.ndarray]:
    """Return columns of a history of `n_cycles` cycles, with 10 cycles per epoch."""
    rng = np.random.default_rng(0)
    return {
        "epoch": np.arange(n_cycles) // 10 + 1,
        "success": rng.random(n_cycles),
        "return": -rng.random(n_cycles),
        "loss": rng.random(n_cycles) * 1e-9,
        "updates": 2**60 // 2**20 * np.arange(n_cycles),
        "greedy_success": np.where(np.arange(n_cycles) % 10 == 9, 0.1, np.nan),
    }
