"""Rows of a sweep, grouped into the curves that its plots show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from herfast.config import config_fields
from herfast.plotting.env_labels import env_labels, several_values

Rows: TypeAlias = Sequence[Mapping[str, Any]]
SOLVED = 0.99  # greedy success rate at which a trial without `until` counts as solved

# 97.5 % quantiles of Student's t for 1 to 9 degrees of freedom.
_T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
_NORMAL_QUANTILE = 1.95996  # the same of the normal distribution


class TrialCurve(NamedTuple):
    """Results of one trial, as columns over its epochs."""

    curve: str
    """Label of the curve that the trial belongs to.
    Trials that differ only in size or seed belong to the same curve."""
    n_bits: int
    success: NDArray[np.float64]
    updates: NDArray[np.float64]
    seconds: NDArray[np.float64]
    solved: int | None
    """Epoch, from 0, in which the trial was solved."""
    threshold: float
    """Greedy success rate at which the trial counts as solved."""


def trial_curves(rows: Rows) -> list[TrialCurve]:
    """Return one TrialCurve per trial, sorted by number of bits."""
    rows_by_trial: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        rows_by_trial.setdefault(row["cell"], []).append(row)
    first_rows = [trial_rows[0] for trial_rows in rows_by_trial.values()]
    first_rows = [{**row, "env": env} for row, env in zip(first_rows, env_labels(first_rows), strict=True)]
    varied = _varied_fields(first_rows)
    trials = [
        _trial_curve(trial_rows, _label(row, varied))
        for trial_rows, row in zip(rows_by_trial.values(), first_rows, strict=True)
    ]
    return sorted(trials, key=lambda trial: trial.n_bits)


def _trial_curve(rows: Rows, curve: str) -> TrialCurve:
    success = _column(rows, "greedy_success")
    if rows[0]["ended"] == "diverged":
        success[-1] = 0.0
    threshold = float(rows[0]["until"] or SOLVED)
    solved = None
    solved_epochs = np.flatnonzero(success >= threshold)
    if len(solved_epochs):
        solved = int(solved_epochs[0])
    return TrialCurve(
        curve=curve,
        n_bits=int(rows[0]["n_bits"]),
        success=success,
        updates=_column(rows, "updates"),
        seconds=_column(rows, "seconds"),
        solved=solved,
        threshold=threshold,
    )


def _column(rows: Rows, name: str) -> NDArray[np.float64]:
    return np.array([float(row[name]) for row in rows])


def _varied_fields(first_rows: Rows) -> list[str]:
    """Return the fields that distinguish curves.

    The environment and `max_steps` do if trials of equal size and preset have several of them. A field of
    Config does if it has several values for one environment and preset. A preset may set other values for
    each environment, which do not count.
    """
    groupings: dict[str, tuple[str, ...]] = {
        "preset": (),
        "env": ("preset", "n_bits"),
        "max_steps": ("preset", "n_bits", "env"),
        **dict.fromkeys(config_fields(), ("preset", "n_bits", "env", "max_steps")),
    }
    varied = []
    for name, grouping in groupings.items():
        groups = [tuple(str(row[column]) for column in grouping) for row in first_rows]
        if several_values(groups, [str(row[name]) for row in first_rows]):
            varied.append(name)
    return varied


def _label(row: Mapping[str, Any], varied: list[str]) -> str:
    if not varied:
        return f"preset {row['preset']}"
    parts = []
    for name in varied:
        if name == "k" and int(row["k"]) == 0:
            parts.append("without HER")
        elif name == "k":
            parts.append(f"HER, k = {row['k']}")
        else:
            parts.append(f"{name} {row[name]}")
    return ", ".join(parts)


def group_by(trials: Iterable[TrialCurve], field: str) -> dict[Any, list[TrialCurve]]:
    """Group trials by the value of a field, in the order of first occurrence."""
    groups: dict[Any, list[TrialCurve]] = {}
    for trial in trials:
        groups.setdefault(getattr(trial, field), []).append(trial)
    return groups


def confidence_interval(values: NDArray[Any]) -> tuple[float, float, float]:
    """Return the mean and the 95 % confidence interval by Student's t.

    Args:
        values: one value per seed.

    Returns:
        The mean and the two ends of the interval. With one seed all three are equal.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    freedom = len(values) - 1
    if freedom <= len(_T_QUANTILES):
        t = _T_QUANTILES[freedom - 1]
    else:  # Fisher's expansion
        z = _NORMAL_QUANTILE
        t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    half = t * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half
