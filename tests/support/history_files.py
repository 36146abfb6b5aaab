"""What files of a history hold: the rows of an agent, those of a file of JSON lines, and columns for a CSV log."""

import json
import math

import numpy as np


def reject_constant(constant):
    raise ValueError(f"{constant} is not JSON")


def json_lines_rows(path):
    """The objects of a file of whole lines of strict JSON."""
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line, parse_constant=reject_constant) for line in text.splitlines()]


def history_rows(agent):
    """The rows of an agent's history, None where it has NaN."""
    columns = [column.tolist() for column in agent.history.values()]
    known = ([None if math.isnan(value) else value for value in row] for row in zip(*columns, strict=True))
    return [dict(zip(agent.history, row, strict=True)) for row in known]


def progress_columns(n_cycles: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "epoch": np.arange(n_cycles) // 10 + 1,
        "success": rng.random(n_cycles),
        "return": -rng.random(n_cycles),
        "loss": rng.random(n_cycles) * 1e-9,
        "updates": 2**60 // 2**20 * np.arange(n_cycles),
        "greedy_success": np.where(np.arange(n_cycles) % 10 == 9, 0.1, np.nan),
    }
