"""The plots of a sweep: success by number of bits, as figure 1 of the HER paper, learning curves, effort to solve.

Curves are what the sweep varied at one size, by preset and fields; seeds are averaged. matplotlib is imported inside.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from herfast.config import config_fields
from herfast.plotting.style import CURVE_COLOURS, CURVE_DASHES, CURVE_MARKERS, new_figure, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows: TypeAlias = Sequence[Mapping[str, Any]]
FIGURES = ("figure1", "curves", "updates-to-solve", "time-to-solve")
SOLVED = 0.99  # greedy success, of cells that set no `until` of their own


# 97.5 % quantiles of Student's t for 1 to 9 degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


class TrialCurve(NamedTuple):
    """A cell's rows, as columns over its epochs."""

    curve: str
    n_bits: int
    success: NDArray[np.float64]
    updates: NDArray[np.float64]
    seconds: NDArray[np.float64]
    solved: int | None
    """The epoch, from 0, in which it was solved."""
    threshold: float


def plot_sweep(rows: Rows, folder: Path | str) -> list[Path]:
    """Draw figure1, curves, updates-to-solve and time-to-solve, each as PNG and SVG, into `folder`, which must exist.

    Args:
        rows: of a sweep: what `herfast.sweep` returns, or its results.csv as text; one a cell and epoch.
        folder: where the pictures go; older ones are replaced.

    Returns:
        The paths of the pictures. What no cell solved has no picture of the effort. Learning that diverged ends at 0.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("there is nothing to plot: no cell of the sweep is finished")
    trials = _trial_curves(rows)
    presets = {row["preset"] for row in rows}
    preset = f", preset {presets.pop()}" if len(presets) == 1 else ""
    drawn = (_figure1(trials, preset), _curves(trials, preset), *_efforts(trials, preset))
    pictures = dict(zip(FIGURES, drawn, strict=True))
    return [path for name, figure in pictures.items() if figure for path in save_figure(figure, Path(folder) / name)]


def interval(values: NDArray[Any]) -> tuple[float, float, float]:
    """Mean of [seeds], and the ends of its 95 % interval by Student's t; all three equal with one seed."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    freedom, z = len(values) - 1, 1.95996
    series = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)  # Fisher's
    t = _T[freedom - 1] if freedom <= len(_T) else series
    half = t * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def _trial_curves(rows: Rows) -> list[TrialCurve]:
    of_cell: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        of_cell.setdefault(row["cell"], []).append(row)
    varied = _varied_fields([lines[0] for lines in of_cell.values()])
    curves = []
    for lines in of_cell.values():
        success, updates, seconds = (
            np.array([float(line[name]) for line in lines]) for name in ("greedy_success", "updates", "seconds")
        )
        if lines[0]["ended"] == "diverged":
            success[-1] = 0.0
        threshold = float(lines[0]["until"] or SOLVED)
        solved = np.flatnonzero(success >= threshold)
        first = int(solved[0]) if len(solved) else None
        label, n_bits = _label(lines[0], varied), int(lines[0]["n_bits"])
        curves.append(TrialCurve(label, n_bits, success, updates, seconds, first, threshold))
    return sorted(curves, key=lambda trial: trial.n_bits)


def _varied_fields(first_rows: Rows) -> list[str]:
    """The fields that tell the curves apart: those with several values where size and preset are the same."""
    names = ["max_steps", *config_fields()]
    values: dict[tuple[str, str], dict[str, set[str]]] = {}
    for row in first_rows:
        group = values.setdefault((str(row["n_bits"]), row["preset"]), {name: set() for name in names})
        for name in names:
            group[name].add(str(row[name]))
    varied = [name for name in names if any(len(group[name]) > 1 for group in values.values())]
    if len({preset for _, preset in values}) > 1:
        return ["preset", *varied]
    return varied


def _label(row: Mapping[str, Any], varied: list[str]) -> str:
    parts = []
    for name in varied:
        value = row[name]
        if name == "k":
            parts.append("without HER" if int(value) == 0 else f"HER, k = {value}")
        else:
            parts.append(f"preset {value}" if name == "preset" else f"{name} {value}")
    return ", ".join(parts) or f"preset {row['preset']}"


def _group_by(trials: Iterable[TrialCurve], key: str) -> dict[Any, list[TrialCurve]]:
    groups: dict[Any, list[TrialCurve]] = {}
    for trial in trials:
        groups.setdefault(getattr(trial, key), []).append(trial)
    return groups


def _figure1(trials: list[TrialCurve], preset: str) -> Figure:
    figure, axes = _canvas(trials, f"Success by number of bits{preset}")
    for curve, of_curve, style in _styled(trials):
        at = _group_by(of_curve, "n_bits")
        points = np.array([interval(np.array([trial.success[-1] for trial in group])) for group in at.values()])
        means, low, high = points.clip(0.0, 1.0).T
        axes.errorbar(list(at), means, (means - low, high - means), label=curve, capsize=3, **style)
    axes.set_ylabel("success rate of greedy play at the end\n(mean over seeds, 95 % interval)")
    axes.set_ylim(-0.02, 1.04)
    return _with_legend(figure, axes)


def _curves(trials: list[TrialCurve], preset: str) -> Figure:
    sizes = _group_by(trials, "n_bits")
    n_columns = math.ceil(math.sqrt(len(sizes)))
    n_rows = math.ceil(len(sizes) / n_columns)
    figure = new_figure(max(9.0, 3.2 * n_columns), max(4.5, 2.4 * n_rows))
    from matplotlib.ticker import EngFormatter, MaxNLocator

    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True).ravel()
    styles = {curve: style for curve, _, style in _styled(trials)}
    for axes, (n_bits, of_size) in zip(panels, sizes.items(), strict=False):
        for curve, of_curve in _group_by(of_size, "curve").items():
            _curve(axes, of_curve, styles[curve], curve)
        style_axes(axes)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_title(f"{n_bits} bits", loc="left", fontsize="medium")
        axes.set_xlim(left=0.0)
        axes.set_ylim(-0.02, 1.04)
    for axes in panels[len(sizes) :]:
        axes.remove()
    figure.supxlabel("updates (a cell that has ended keeps its last success)")
    figure.supylabel("success rate of greedy play")
    figure.suptitle(f"Learning curves{preset}: mean over seeds, 95 % interval", x=0.01, ha="left")
    return _with_legend(figure, panels[0], list(styles))


def _curve(axes: Axes, trials: list[TrialCurve], style: dict[str, Any], label: str) -> None:
    longest = max(trials, key=lambda trial: len(trial.success))
    n = len(longest.success)
    successes = np.array([np.pad(trial.success, (0, n - len(trial.success)), "edge") for trial in trials])
    means, low, high = np.array([interval(seeds) for seeds in successes.T]).clip(0.0, 1.0).T
    x, means = np.concatenate(([0.0], longest.updates)), np.concatenate(([np.nan], means))
    marker = style["marker"] if n == 1 else ""  # a line through one point is invisible
    (line,) = axes.plot(x, means, label=label, **{**style, "marker": marker})
    if len(trials) > 1:
        axes.fill_between(longest.updates, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _efforts(trials: list[TrialCurve], preset: str) -> tuple[Figure | None, Figure | None]:
    if all(trial.solved is None for trial in trials):
        return None, None
    updates = _effort(trials, "updates", f"Updates to solve{preset}", "updates")
    return updates, _effort(trials, "seconds", f"Time to solve{preset}", "time, s")


def _effort(trials: list[TrialCurve], what: str, title: str, label: str) -> Figure:
    figure, axes = _canvas(trials, title)
    for curve, of_curve, style in _styled(trials):
        points = []
        for n_bits, group in _group_by(of_curve, "n_bits").items():
            values = [getattr(trial, what)[trial.solved] for trial in group if trial.solved is not None]
            if values:
                points.append((n_bits, np.median(values), min(values), max(values), len(values) == len(group)))
        if not points:
            continue
        n, middle, low, high, all_solved = np.array(points).T
        axes.errorbar(n, middle, (middle - low, high - middle), label=curve, capsize=3, **style)
        some_failed = all_solved == 0
        axes.plot(n[some_failed], middle[some_failed], **{**style, "linestyle": ""}, markerfacecolor="white", zorder=3)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _ticks_at_sizes(axes, trials)
    thresholds = {trial.threshold for trial in trials}
    reached = f"{thresholds.pop():g}" if len(thresholds) == 1 else "its `until`"
    axes.set_ylabel(f"{label}, until greedy success reaches {reached}\n(median over seeds, lowest to highest)")
    axes.set_xlabel("number of bits (hollow: not every seed got there)")
    return _with_legend(figure, axes)


def _canvas(trials: list[TrialCurve], title: str) -> tuple[Figure, Axes]:
    figure = new_figure(9, 5)
    axes = figure.add_subplot()
    style_axes(axes)
    axes.set_title(title, loc="left")
    axes.set_xlabel("number of bits")
    _ticks_at_sizes(axes, trials)
    return figure, axes


def _ticks_at_sizes(axes: Axes, trials: list[TrialCurve]) -> None:
    sizes = sorted({trial.n_bits for trial in trials})
    step = math.ceil(len(sizes) / 16)  # more labels would run into each other
    axes.set_xticks(sizes[::step], [str(n) for n in sizes[::step]])
    axes.xaxis.minorticks_off()


def _styled(trials: list[TrialCurve]) -> list[tuple[str, list[TrialCurve], dict[str, Any]]]:
    """Each curve, its cells and how it is drawn: few with colours that are far apart, many along a colour map."""
    from matplotlib import colormaps

    curves = _group_by(trials, "curve")
    few = len(curves) <= len(CURVE_COLOURS)
    size = {"markersize": 5, "linewidth": 1.6} if few else {"markersize": 3, "linewidth": 1.0}
    colours = CURVE_COLOURS if few else colormaps["viridis"](np.linspace(0.0, 0.92, len(curves)))
    return [
        (curve, of_curve, {"color": colour, "marker": marker, "linestyle": dash, **size})
        for (curve, of_curve), colour, marker, dash in zip(
            curves.items(), colours, itertools.cycle(CURVE_MARKERS), itertools.cycle(CURVE_DASHES), strict=False
        )
    ]


def _with_legend(figure: Figure, axes: Axes, curves: Sequence[str] = ()) -> Figure:
    """Outside of the axes, where it can hide nothing, in as many columns as a long list needs."""
    handles, labels = axes.get_legend_handles_labels()
    n_columns = math.ceil(len(labels) / 26)
    size = "medium" if len(labels) <= 16 else "x-small"
    figure.legend(handles, labels, loc="outside right upper", ncols=n_columns, frameon=False, fontsize=size)
    return figure
