"""Plots of a run as in the bit-flip notebook: success, return and loss by cycle.

matplotlib is optional and imported inside functions. pyplot, with its state and its windows, is never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from herfast.plotting.style import BLUE, FORMATS, ORANGE, default_style, new_figure, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Columns = Mapping[str, NDArray[Any]]
PLOT_FILES = tuple(f"{name}.{kind}" for name in ("success", "return", "loss") for kind in FORMATS)
RETURN_WINDOW = 50  # cycles of the rolling mean, as in the notebook
LOSS_WINDOW = 100
MAX_MARKERS = 60  # more of them would overlap
_TRAINING: dict[str, Any] = {"color": BLUE, "alpha": 0.6, "linewidth": 1.2}
_GREEDY: dict[str, Any] = {"color": ORANGE, "linewidth": 1.2}
_MEAN: dict[str, Any] = {"color": ORANGE, "linewidth": 1.8}
_MARKERS: dict[str, Any] = {"marker": "o", "markersize": 4}


def plot_run(history: Columns, folder: Path | str, title: str = "") -> list[Path]:
    """Plot success, return and loss of a run, each as PNG and SVG.

    Args:
        history: columns [cycles]. `success`, `return` and `loss` are required. Optional are `greedy_success`
            (NaN where it was not measured), and `episodes` and `updates` (totals since the start).
        folder: an existing folder for the files. Older files are replaced.
        title: title of every plot.

    Returns:
        The paths of the files.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: a column is missing, or no cycle was completed.
        OSError: a file cannot be written.
    """
    missing = [name for name in ("success", "return", "loss") if name not in history]
    if missing:
        raise ValueError(
            f"the plots need the columns success, return and loss, and {missing[0]!r} is missing"
        )
    if not len(history["success"]):
        raise ValueError("there is nothing to plot: no cycle has been completed")
    paths = []
    with default_style():
        figures = {
            "success": _plot_success(history, title),
            "return": _plot_return(history, title),
            "loss": _plot_loss(history, title),
        }
        for name, figure in figures.items():
            paths += save_figure(figure, Path(folder) / name)
    return paths


def rolling_mean(values: NDArray[Any], window: int) -> NDArray[np.float64]:
    """Return the rolling mean of values [n], float64[n].

    Each entry is the mean over the last `window` values, or over all values up to it at the start. NaN is
    ignored.
    """
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(known, values, 0.0))))
    counts = np.concatenate(([0], np.cumsum(known)))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - window, 0)
    n_known = counts[last] - counts[first]
    return np.where(n_known > 0, (sums[last] - sums[first]) / np.maximum(n_known, 1), np.nan)


def _plot_success(history: Columns, title: str) -> Figure:
    figure, axes, cycles = _new_plot(history, "Success rate", title)
    axes.plot(
        cycles, history["success"], label="training episodes, each cycle", **_TRAINING, **_markers(cycles)
    )
    if "greedy_success" in history:
        greedy = np.asarray(history["greedy_success"], np.float64)
        measured = ~np.isnan(greedy)
        if measured.any():
            style = dict(_GREEDY)
            if measured.sum() <= MAX_MARKERS:
                style |= _MARKERS
            axes.plot(cycles[measured], greedy[measured], label="greedy test episodes", **style)
    axes.set_ylabel("success rate (share of episodes)")
    axes.set_ylim(-0.02, 1.04)
    return _with_legend(figure, axes)


def _plot_return(history: Columns, title: str) -> Figure:
    figure, axes, cycles = _new_plot(history, "Return", title)
    _with_mean(axes, cycles, history["return"], RETURN_WINDOW)
    axes.set_ylabel("return (mean sum of rewards per episode)")
    return _with_legend(figure, axes)


def _plot_loss(history: Columns, title: str) -> Figure:
    figure, axes, cycles = _new_plot(history, "Loss", title)
    _with_mean(axes, cycles, history["loss"], LOSS_WINDOW)
    axes.set_ylabel("loss (mean squared error of Q)")
    axes.set_ylim(bottom=0.0)
    return _with_legend(figure, axes)


def _new_plot(history: Columns, subject: str, title: str) -> tuple[Figure, Axes, NDArray[np.int64]]:
    """Return a figure, its axes over cycles, and the numbers of the cycles from 1."""
    figure = new_figure(9, 4)
    from matplotlib.ticker import MaxNLocator

    n_cycles = len(history["success"])
    axes = figure.add_subplot()
    style_axes(axes)
    if title:
        subject = f"{subject}: {title}"
    axes.set_title(subject, loc="left", pad=26)
    axes.set_xlabel(f"cycle{_cycle_size(history)}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlim(0, 1.01 * max(n_cycles, 2))
    return figure, axes, np.arange(1, n_cycles + 1)


def _cycle_size(history: Columns) -> str:
    """Return the size of a cycle, without which curves cannot be compared."""
    sizes = []
    for name in ("episodes", "updates"):
        if name in history:
            sizes.append(f"{round(history[name][-1] / len(history[name])):,} {name}")
    if not sizes:
        return ""
    return f" ({' and '.join(sizes)} each)"


def _with_mean(axes: Axes, cycles: NDArray[np.int64], values: NDArray[Any], window: int) -> None:
    axes.plot(cycles, values, label="each cycle", **_TRAINING, **_markers(cycles))
    if len(cycles) > 1:
        axes.plot(cycles, rolling_mean(values, window), label=f"mean of the last {window} cycles", **_MEAN)


def _with_legend(figure: Figure, axes: Axes) -> Figure:
    # The legend is between the title and the axes, so that it covers neither.
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.0, borderpad=0.2
    )
    return figure


def _markers(cycles: NDArray[np.int64]) -> dict[str, Any]:
    if len(cycles) < 3:  # a line through one point is invisible
        return _MARKERS
    return {}
