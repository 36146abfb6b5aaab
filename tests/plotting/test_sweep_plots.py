"""Tests of the plots of a sweep: curves, labels and files."""

import itertools
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy import stats

from herfast.config import config_fields
from herfast.plotting import style, sweep_plots
from herfast.plotting.trial_curves import confidence_interval, trial_curves

pytest.importorskip("matplotlib")


def rising(n_bits, k, seed, epoch):
    return 0.25 * epoch


def rows(n_bits=(5, 10), k=(0, 4), seeds=2, presets=("paper",), success=rising, epochs=4):
    """Return rows as of a sweep. Settings depend on preset and size."""
    sweep_rows = []
    for n, goals, preset, seed in itertools.product(n_bits, k, presets, range(seeds)):
        settings = dict.fromkeys(config_fields(), preset) | {"k": goals, "until": None, "hidden": str(n)}
        trial = {
            "cell": f"{n}-{goals}-{preset}-{seed}",
            "n_bits": n,
            "max_steps": n,
            "preset": preset,
            "seed": seed,
        }
        for epoch in range(1, epochs + 1):
            counts = {"updates": 100 * epoch, "seconds": (1.0 + seed) * epoch, "ended": "epochs"}
            greedy = {"greedy_success": success(n, goals, seed, epoch)}
            sweep_rows.append({**trial, **settings, "epoch": epoch, **greedy, **counts})
    return sweep_rows


def error_bars(axes):
    """Return x, y and the ends of the error bars in the axes, by label."""
    found = {}
    for bars in axes.containers:
        line, _, (ends,) = bars
        found[bars.get_label()] = (
            line.get_xdata(),
            line.get_ydata(),
            [part[:, 1] for part in ends.get_segments()],
        )
    return found


@pytest.mark.parametrize("n", [2, 3, 5, 10, 11, 12, 100])
def test_confidence_intervals_are_those_of_students_t(n):
    values = np.random.default_rng(n).normal(size=n)
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert confidence_interval(values) == pytest.approx((values.mean(), low, high), rel=2e-3, abs=1e-3)
    assert confidence_interval(values[:1]) == (values[0],) * 3


def test_a_sweep_gives_four_plots_in_two_formats(tmp_path):
    paths = sweep_plots.plot_sweep(rows(), tmp_path)
    assert [path.name for path in paths] == [
        f"{name}.{kind}" for name in sweep_plots.FIGURES for kind in style.FORMATS
    ]
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
            assert len(path.read_bytes()) > 5000
        else:
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert len({path.read_bytes() for path in paths}) == 8


def test_rows_as_text_give_the_same_plots(tmp_path):
    texts = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows()]
    for name, sweep_rows in (("numbers", rows()), ("text", texts)):
        (tmp_path / name).mkdir()
        sweep_plots.plot_sweep(sweep_rows, tmp_path / name)
    for path in (tmp_path / "text").iterdir():
        assert path.read_bytes() == (tmp_path / "numbers" / path.name).read_bytes(), path.name


def test_figure_1_shows_the_last_success_with_its_confidence_interval():
    def success(n_bits, k, seed, epoch):
        if epoch < 4:
            return 0.9
        return (k > 0) * (0.5 + 0.1 * seed)

    sweep_rows = rows(seeds=3, success=success)
    shown = error_bars(sweep_plots._plot_figure1(trial_curves(sweep_rows), "").axes[0])
    assert set(shown) == {"without HER", "HER, k = 4"}
    x, y, ends = shown["HER, k = 4"]
    assert list(x) == [5, 10]
    np.testing.assert_allclose(y, 0.6)
    np.testing.assert_allclose(ends[0], confidence_interval(np.array([0.5, 0.6, 0.7]))[1:], rtol=1e-12)
    np.testing.assert_array_equal(shown["without HER"][1], 0.0)


def test_confidence_intervals_are_clipped_to_rates():
    trials = trial_curves(rows(success=lambda n, k, seed, epoch: float(seed)))
    ends = error_bars(sweep_plots._plot_figure1(trials, "").axes[0])["HER, k = 4"][2]
    np.testing.assert_array_equal(ends, [[0.0, 1.0]] * 2)


def test_a_diverged_trial_ends_with_success_0():
    sweep_rows = rows(k=(4,), n_bits=(5,))
    for row in sweep_rows:
        if row["seed"] == 1:
            row["ended"] = "diverged"
            if row["epoch"] == 4:
                row["greedy_success"] = float("nan")
    trials = trial_curves(sweep_rows)
    assert list(error_bars(sweep_plots._plot_figure1(trials, "").axes[0])["preset paper"][1]) == [0.5]
    (line,) = sweep_plots._plot_curves(trials, "").axes[0].lines
    np.testing.assert_array_equal(line.get_ydata()[1:], [0.25, 0.5, 0.75, 0.5])


def test_curves_keep_the_last_success_of_a_finished_trial():
    sweep_rows = [row for row in rows(k=(4,), n_bits=(5,)) if row["seed"] == 0 or row["epoch"] <= 2]
    (axes,) = sweep_plots._plot_curves(trial_curves(sweep_rows), "").axes
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), [0, 100, 200, 300, 400])
    np.testing.assert_array_equal(line.get_ydata()[1:], [0.25, 0.5, (0.75 + 0.5) / 2, (1 + 0.5) / 2])


def test_effort_is_measured_at_the_first_solved_epoch():
    def success(n_bits, k, seed, epoch):
        never_solved = seed == 0 and (k == 0 or n_bits == 10)
        if never_solved or epoch < 2 + seed:
            return 0.0
        return 0.99

    sweep_rows = rows(seeds=3, success=success)
    updates, seconds = sweep_plots._plot_efforts(trial_curves(sweep_rows), "")
    x, y, ends = error_bars(updates.axes[0])["HER, k = 4"]
    assert (list(x), list(y)) == ([5, 10], [300, 350])  # medians of epochs 2, 3, 4 and of 3, 4
    np.testing.assert_array_equal(ends, [[200, 400], [300, 400]])
    hollow = [line for line in updates.axes[0].lines if line.get_markerfacecolor() == "white"]
    # Seed 0 fails without HER at both sizes, and with HER at 10 bits.
    assert sorted(float(x) for line in hollow for x in line.get_xdata()) == [5, 10, 10]
    x, y, _ = error_bars(seconds.axes[0])["HER, k = 4"]
    assert list(y) == [6.0, 9.0]
    assert updates.axes[0].get_xscale() == updates.axes[0].get_yscale() == "log"


def test_a_trial_is_solved_at_the_rate_of_its_until():
    sweep_rows = [{**row, "until": "0.5"} for row in rows()]
    updates, _ = sweep_plots._plot_efforts(trial_curves(sweep_rows), "")
    assert list(error_bars(updates.axes[0])["HER, k = 4"][1]) == [200, 200]
    assert "reaches 0.5" in updates.axes[0].get_ylabel()


def test_without_solved_trials_there_are_no_plots_of_the_effort(tmp_path):
    paths = sweep_plots.plot_sweep(rows(success=lambda n, k, seed, epoch: 0.1), tmp_path)
    assert {path.stem for path in paths} == {"figure1", "curves"}


def test_labels_name_what_was_varied_at_one_size():
    """Fields that differ only between sizes or between presets are not named."""
    labels = {trial.curve for trial in trial_curves(rows(presets=("paper", "fast"), k=(0,)))}
    assert labels == {"preset paper", "preset fast"}
    assert {trial.curve for trial in trial_curves(rows(k=(4,)))} == {"preset paper"}
    both = trial_curves([{**row, "gamma": row["k"] / 10} for row in rows()])
    assert {trial.curve for trial in both} == {"without HER, gamma 0.0", "HER, k = 4, gamma 0.4"}


@pytest.mark.parametrize("n_curves", [1, 5, 7, 8, 50])
def test_each_curve_has_a_colour_and_a_legend_entry(n_curves, tmp_path):
    sweep_rows = rows(k=range(n_curves), n_bits=range(5, 9))
    styles = sweep_plots._curve_styles(trial_curves(sweep_rows))
    assert len({(str(style["color"])) for _, _, style in styles}) == n_curves
    figure = sweep_plots._plot_figure1(trial_curves(sweep_rows), "")
    figure.savefig(tmp_path / "picture.png")
    (legend,) = figure.legends
    assert len(legend.get_texts()) == n_curves
    width, height = figure.canvas.get_width_height()
    box = legend.get_window_extent()
    assert 0 <= box.x0 <= box.x1 <= width
    assert 0 <= box.y0 <= box.y1 <= height
    axes = figure.axes[0].get_window_extent()
    assert axes.x1 <= box.x0
    assert axes.width > 0.4 * width


def test_a_sweep_without_rows_raises():
    with pytest.raises(ValueError, match=r"^there is nothing to plot: no trial of the sweep is finished$"):
        sweep_plots.plot_sweep([], ".")


def test_without_matplotlib_the_error_names_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"^plots need matplotlib, which is not installed: pip install"):
        sweep_plots.plot_sweep(rows(), tmp_path)
    assert list(tmp_path.iterdir()) == []
