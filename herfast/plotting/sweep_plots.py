"""Plots of a sweep: success by number of bits, learning curves, effort to solve.

The first is figure 1 of the HER paper. A curve is a combination of preset, environment and fields that the
sweep varied at one size, averaged over seeds. matplotlib is imported inside functions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from herfast.plotting.style import (
    CURVE_COLOURS,
    CURVE_DASHES,
    CURVE_MARKERS,
    default_style,
    new_figure,
    save_figure,
    style_axes,
)
from herfast.plotting.trial_curves import Rows, TrialCurve, confidence_interval, group_by, trial_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURES = ("figure1", "curves", "updates-to-solve", "time-to-solve")
MAX_TICK_LABELS = 16  # more of them would overlap


def plot_sweep(rows: Rows, folder: Path | str) -> list[Path]:
    """Plot the results of a sweep, each plot as PNG and SVG.

    The plots are figure1, curves, updates-to-solve and time-to-solve. The last two are left out if no trial
    was solved. A trial that diverged counts with success 0 in its last epoch.

    Args:
        rows: one row per trial and epoch, as `herfast.sweep` returns them or as text from its results.csv.
        folder: an existing folder for the files. Older files are replaced.

    Returns:
        The paths of the files.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no row.
        OSError: a file cannot be written.
    """
    if not rows:
        raise ValueError("there is nothing to plot: no trial of the sweep is finished")
    trials = trial_curves(rows)
    presets = {row["preset"] for row in rows}
    preset = ""
    if len(presets) == 1:
        preset = f", preset {presets.pop()}"
    paths = []
    with default_style():
        figures = [
            _plot_figure1(trials, preset),
            _plot_curves(trials, preset),
            *_plot_efforts(trials, preset),
        ]
        for name, figure in zip(FIGURES, figures, strict=True):
            if figure is not None:
                paths += save_figure(figure, Path(folder) / name)
    return paths


def _plot_figure1(trials: list[TrialCurve], preset: str) -> Figure:
    figure, axes = _new_plot(trials, f"Success by number of bits{preset}")
    for curve, curve_trials, style in _curve_styles(trials):
        sizes = group_by(curve_trials, "n_bits")
        points = []
        for size_trials in sizes.values():
            last = np.array([trial.success[-1] for trial in size_trials])
            points.append(confidence_interval(last))
        means, low, high = np.array(points).clip(0.0, 1.0).T
        errors = np.array([means - low, high - means])
        axes.errorbar(list(sizes), means, errors, label=curve, capsize=3, **style)
    axes.set_ylabel("success rate of the greedy policy at the end\n(mean over seeds, 95 % interval)")
    axes.set_ylim(-0.02, 1.04)
    return _with_legend(figure, axes)


def _plot_curves(trials: list[TrialCurve], preset: str) -> Figure:
    sizes = group_by(trials, "n_bits")
    n_columns = math.ceil(math.sqrt(len(sizes)))
    n_rows = math.ceil(len(sizes) / n_columns)
    figure = new_figure(max(9.0, 3.2 * n_columns), max(4.5, 2.4 * n_rows))
    from matplotlib.ticker import EngFormatter, MaxNLocator

    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True).ravel()
    styles = {curve: style for curve, _, style in _curve_styles(trials)}
    for axes, (n_bits, size_trials) in zip(panels, sizes.items(), strict=False):
        for curve, curve_trials in group_by(size_trials, "curve").items():
            _plot_curve(axes, curve_trials, styles[curve], curve)
        style_axes(axes)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_title(f"{n_bits} bits", loc="left", fontsize="medium")
        axes.set_xlim(left=0.0)
        axes.set_ylim(-0.02, 1.04)
    for axes in panels[len(sizes) :]:
        axes.remove()
    figure.supxlabel("updates (a finished trial keeps its last success rate)")
    figure.supylabel("success rate of the greedy policy")
    figure.suptitle(f"Learning curves{preset}: mean over seeds, 95 % interval", x=0.01, ha="left")
    return _with_legend(figure, panels[0])


def _plot_curve(axes: Axes, trials: list[TrialCurve], style: dict[str, Any], label: str) -> None:
    longest = max(trials, key=lambda trial: len(trial.success))
    n_epochs = len(longest.success)
    success = np.array(
        [np.pad(trial.success, (0, n_epochs - len(trial.success)), "edge") for trial in trials]
    )
    means, low, high = np.array([confidence_interval(seeds) for seeds in success.T]).clip(0.0, 1.0).T
    if n_epochs > 1:  # a line through one point is invisible, so it keeps its marker
        style = {**style, "marker": ""}
    x = np.concatenate(([0.0], longest.updates))
    y = np.concatenate(([np.nan], means))
    (line,) = axes.plot(x, y, label=label, **style)
    if len(trials) > 1:
        axes.fill_between(longest.updates, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _plot_efforts(trials: list[TrialCurve], preset: str) -> tuple[Figure | None, Figure | None]:
    if all(trial.solved is None for trial in trials):
        return None, None
    updates = _plot_effort(trials, "updates", f"Updates to solve{preset}", "updates")
    seconds = _plot_effort(trials, "seconds", f"Time to solve{preset}", "time, s")
    return updates, seconds


def _plot_effort(trials: list[TrialCurve], field: str, title: str, label: str) -> Figure:
    figure, axes = _new_plot(trials, title)
    for curve, curve_trials, style in _curve_styles(trials):
        points = []
        for n_bits, group in group_by(curve_trials, "n_bits").items():
            values = [getattr(trial, field)[trial.solved] for trial in group if trial.solved is not None]
            if values:
                all_solved = len(values) == len(group)
                points.append((n_bits, np.median(values), min(values), max(values), all_solved))
        if points:
            _plot_medians(axes, points, style, curve)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _set_size_ticks(axes, trials)
    thresholds = {trial.threshold for trial in trials}
    threshold = "its `until`"
    if len(thresholds) == 1:
        threshold = f"{thresholds.pop():g}"
    axes.set_ylabel(
        f"{label}, until greedy success reaches {threshold}\n(median over seeds, lowest to highest)"
    )
    axes.set_xlabel("number of bits (hollow: not solved by every seed)")
    return _with_legend(figure, axes)


def _plot_medians(axes: Axes, points: list[tuple[Any, ...]], style: dict[str, Any], label: str) -> None:
    """Plot medians and ranges over seeds, with hollow points where a seed failed."""
    n_bits, median, low, high, all_solved = np.array(points).T
    errors = np.array([median - low, high - median])
    axes.errorbar(n_bits, median, errors, label=label, capsize=3, **style)
    failed = all_solved == 0
    hollow = {**style, "linestyle": "", "markerfacecolor": "white", "zorder": 3}
    axes.plot(n_bits[failed], median[failed], **hollow)


def _new_plot(trials: list[TrialCurve], title: str) -> tuple[Figure, Axes]:
    """Return a figure and its axes over the number of bits."""
    figure = new_figure(9, 5)
    axes = figure.add_subplot()
    style_axes(axes)
    axes.set_title(title, loc="left")
    axes.set_xlabel("number of bits")
    _set_size_ticks(axes, trials)
    return figure, axes


def _set_size_ticks(axes: Axes, trials: list[TrialCurve]) -> None:
    sizes = sorted({trial.n_bits for trial in trials})
    step = math.ceil(len(sizes) / MAX_TICK_LABELS)
    axes.set_xticks(sizes[::step], [str(n) for n in sizes[::step]])
    axes.xaxis.minorticks_off()


def _curve_styles(trials: list[TrialCurve]) -> list[tuple[str, list[TrialCurve], dict[str, Any]]]:
    """Return the label, the trials and the line style of each curve.

    A few curves get colours that are far apart, many get the colours of a colour map.
    """
    from matplotlib import colormaps

    curves = group_by(trials, "curve")
    colours: Iterable[Any] = CURVE_COLOURS
    size = {"markersize": 5, "linewidth": 1.6}
    if len(curves) > len(CURVE_COLOURS):
        colours = colormaps["viridis"](np.linspace(0.0, 0.92, len(curves)))
        size = {"markersize": 3, "linewidth": 1.0}
    markers = itertools.cycle(CURVE_MARKERS)
    dashes = itertools.cycle(CURVE_DASHES)
    styled = []
    for (curve, curve_trials), colour in zip(curves.items(), colours, strict=False):
        style = {"color": colour, "marker": next(markers), "linestyle": next(dashes), **size}
        styled.append((curve, curve_trials, style))
    return styled


def _with_legend(figure: Figure, axes: Axes) -> Figure:
    """Add the legend outside of the axes, in as many columns as a long list needs."""
    handles, labels = axes.get_legend_handles_labels()
    n_columns = math.ceil(len(labels) / 26)
    size = "medium"
    if len(labels) > 16:
        size = "x-small"
    figure.legend(handles, labels, loc="outside right upper", ncols=n_columns, frameon=False, fontsize=size)
    return figure
