"""The three plots of a run: success, return and loss over cycles, as in the bit-flip notebook.

matplotlib is optional and imported inside; pyplot, with its state and its windows, is never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from herfast.plotting.style import BLUE, FORMATS, ORANGE, new_figure, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Columns = Mapping[str, NDArray[Any]]
PLOT_FILES = tuple(f"{name}.{kind}" for name in ("success", "return", "loss") for kind in FORMATS)
RETURN_WINDOW, LOSS_WINDOW = 50, 100  # cycles of the rolling means, the notebook's
_PLAYED: dict[str, Any] = {"color": BLUE, "alpha": 0.6, "linewidth": 1.2}
_GREEDY: dict[str, Any] = {"color": ORANGE, "linewidth": 1.2}
_MEAN: dict[str, Any] = {"color": ORANGE, "linewidth": 1.8}
_DOTS: dict[str, Any] = {"marker": "o", "markersize": 4}


def plot_run(history: Columns, folder: Path | str, title: str = "") -> list[Path]:
    """Draw success, return and loss, each as PNG and SVG, into `folder`, which must exist.

    Args:
        history: columns [cycles]: success, return and loss, and if there are any greedy_success (NaN where not
            measured), episodes and updates (both counted from the start).
        folder: where the pictures go; older ones are replaced.
        title: what was learnt, written above every picture.

    Returns:
        The paths of the pictures.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: a column is missing, or there is no cycle to draw.
    """
    missing = [name for name in ("success", "return", "loss") if name not in history]
    if missing:
        raise ValueError(f"the plots need the columns success, return and loss, and {missing[0]!r} is missing")
    if not len(history["success"]):
        raise ValueError("there is nothing to plot: no cycle has been finished")
    drawn = {"success": _success, "return": _return, "loss": _loss}
    figures = {name: draw(history, title) for name, draw in drawn.items()}
    return [path for name, figure in figures.items() for path in save_figure(figure, Path(folder) / name)]


def rolling_mean(values: NDArray[Any], window: int) -> NDArray[np.float64]:
    """Mean of the last `window` values at each place, of as many as there are at the start; NaN is left out. [n]."""
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(known, values, 0.0))))
    counts = np.concatenate(([0], np.cumsum(known)))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - window, 0)
    n_known = counts[last] - counts[first]
    return np.where(n_known > 0, (sums[last] - sums[first]) / np.maximum(n_known, 1), np.nan)


def _success(history: Columns, title: str) -> Figure:
    figure, axes, cycles = _canvas(history, "Success rate", title)
    greedy = np.asarray(history.get("greedy_success", np.full(len(cycles), np.nan)), np.float64)
    measured = ~np.isnan(greedy)
    axes.plot(cycles, history["success"], label="while exploring, each cycle", **_PLAYED, **_dots(cycles))
    if measured.any():
        dots = _DOTS if measured.sum() <= 60 else {}  # more of them would run into each other
        axes.plot(cycles[measured], greedy[measured], label="greedy test episodes", **_GREEDY, **dots)
    axes.set_ylabel("success rate (share of episodes)")
    axes.set_ylim(-0.02, 1.04)
    return _with_legend(figure, axes)


def _return(history: Columns, title: str) -> Figure:
    figure, axes, cycles = _canvas(history, "Return", title)
    _with_mean(axes, cycles, history["return"], RETURN_WINDOW)
    axes.set_ylabel("return (mean sum of rewards per episode)")
    return _with_legend(figure, axes)


def _loss(history: Columns, title: str) -> Figure:
    figure, axes, cycles = _canvas(history, "Loss", title)
    _with_mean(axes, cycles, history["loss"], LOSS_WINDOW)
    axes.set_ylabel("loss (mean squared error of Q)")
    axes.set_ylim(bottom=0.0)
    return _with_legend(figure, axes)


def _canvas(history: Columns, subject: str, title: str) -> tuple[Figure, Axes, NDArray[np.int64]]:
    figure = new_figure(9, 4)
    from matplotlib.ticker import MaxNLocator

    n_cycles = len(history["success"])
    axes = figure.add_subplot()
    style_axes(axes)
    axes.set_title(f"{subject}: {title}" if title else subject, loc="left", pad=26)
    axes.set_xlabel(f"cycle{_cycle_size(history)}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlim(0, 1.01 * max(n_cycles, 2))
    return figure, axes, np.arange(1, n_cycles + 1)


def _cycle_size(history: Columns) -> str:
    """What a cycle is, since curves over cycles cannot be compared without it."""
    counted = [name for name in ("episodes", "updates") if name in history]
    sizes = [f"{round(history[name][-1] / len(history[name])):,} {name}" for name in counted]
    return f" ({' and '.join(sizes)} each)" if sizes else ""


def _with_mean(axes: Axes, cycles: NDArray[np.int64], values: NDArray[Any], window: int) -> None:
    axes.plot(cycles, values, label="each cycle", **_PLAYED, **_dots(cycles))
    if len(cycles) > 1:
        axes.plot(cycles, rolling_mean(values, window), label=f"mean of the last {window} cycles", **_MEAN)


def _with_legend(figure: Figure, axes: Axes) -> Figure:
    # Between the title and the axes, where it can hide neither.
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.0, borderpad=0.2)
    return figure


def _dots(cycles: NDArray[np.int64]) -> dict[str, Any]:
    return _DOTS if len(cycles) < 3 else {}  # a line through one point is invisible
