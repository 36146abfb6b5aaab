"""The pictures of a sweep: what they show of its rows. Needs matplotlib."""

import itertools
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy import stats

from herfast.config import config_fields
from herfast.plotting import style, sweep_plots

pytest.importorskip("matplotlib")


def rising(n_bits, k, seed, epoch):
    return 0.25 * epoch


def rows(n_bits=(5, 10), k=(0, 4), seeds=2, presets=("paper",), success=rising, epochs=4):
    """As a sweep gives them; the settings of a preset follow from it and the size."""
    found = []
    for n, goals, preset, seed in itertools.product(n_bits, k, presets, range(seeds)):
        settings = dict.fromkeys(config_fields(), preset) | {"k": goals, "until": None, "hidden": str(n)}
        cell = {"cell": f"{n}-{goals}-{preset}-{seed}", "n_bits": n, "max_steps": n, "preset": preset, "seed": seed}
        for epoch in range(1, epochs + 1):
            counts = {"updates": 100 * epoch, "seconds": (1.0 + seed) * epoch, "ended": "epochs"}
            greedy = {"greedy_success": success(n, goals, seed, epoch)}
            found.append({**cell, **settings, "epoch": epoch, **greedy, **counts})
    return found


def points(axes):
    """Label -> x, y of the error bars, and the ends of the bars."""
    found = {}
    for bars in axes.containers:
        line, _, (ends,) = bars
        found[bars.get_label()] = (line.get_xdata(), line.get_ydata(), [part[:, 1] for part in ends.get_segments()])
    return found


@pytest.mark.parametrize("n", [2, 3, 5, 10, 11, 12, 100])
def test_the_interval_is_students(n):
    values = np.random.default_rng(n).normal(size=n)
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert sweep_plots.interval(values) == pytest.approx((values.mean(), low, high), rel=2e-3, abs=1e-3)
    assert sweep_plots.interval(values[:1]) == (values[0],) * 3


def test_a_sweep_gives_four_pictures_of_two_kinds(tmp_path):
    paths = sweep_plots.plot_sweep(rows(), tmp_path)
    assert [path.name for path in paths] == [f"{name}.{kind}" for name in sweep_plots.FIGURES for kind in style.FORMATS]
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
            assert len(path.read_bytes()) > 5000
        else:
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert len({path.read_bytes() for path in paths}) == 8


def test_rows_as_text_give_the_same_pictures(tmp_path):
    texts = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows()]
    for name, some in (("numbers", rows()), ("text", texts)):
        (tmp_path / name).mkdir()
        sweep_plots.plot_sweep(some, tmp_path / name)
    for path in (tmp_path / "text").iterdir():
        assert path.read_bytes() == (tmp_path / "numbers" / path.name).read_bytes(), path.name


def test_figure_1_shows_the_last_success_with_its_interval():
    found = rows(seeds=3, success=lambda n, k, seed, epoch: (k > 0) * (0.5 + 0.1 * seed) if epoch == 4 else 0.9)
    shown = points(sweep_plots._figure1(sweep_plots._trial_curves(found), "").axes[0])
    assert set(shown) == {"without HER", "HER, k = 4"}
    x, y, ends = shown["HER, k = 4"]
    assert list(x) == [5, 10]
    np.testing.assert_allclose(y, 0.6)
    np.testing.assert_allclose(ends[0], sweep_plots.interval(np.array([0.5, 0.6, 0.7]))[1:], rtol=1e-12)
    np.testing.assert_array_equal(shown["without HER"][1], 0.0)


def test_an_interval_ends_where_success_does():
    cells = sweep_plots._trial_curves(rows(success=lambda n, k, seed, epoch: float(seed)))
    ends = points(sweep_plots._figure1(cells, "").axes[0])["HER, k = 4"][2]
    np.testing.assert_array_equal(ends, [[0.0, 1.0]] * 2)


def test_learning_that_diverged_ends_at_0():
    found = rows(k=(4,), n_bits=(5,))
    for row in found:
        if row["seed"] == 1:
            row |= {"ended": "diverged", "greedy_success": float("nan") if row["epoch"] == 4 else row["greedy_success"]}
    cells = sweep_plots._trial_curves(found)
    assert list(points(sweep_plots._figure1(cells, "").axes[0])["preset paper"][1]) == [0.5]
    (line,) = sweep_plots._curves(cells, "").axes[0].lines
    np.testing.assert_array_equal(line.get_ydata()[1:], [0.25, 0.5, 0.75, 0.5])


def test_curves_keep_the_last_success_of_a_cell_that_ended():
    found = [row for row in rows(k=(4,), n_bits=(5,)) if row["seed"] == 0 or row["epoch"] <= 2]
    (axes,) = sweep_plots._curves(sweep_plots._trial_curves(found), "").axes
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), [0, 100, 200, 300, 400])
    np.testing.assert_array_equal(line.get_ydata()[1:], [0.25, 0.5, (0.75 + 0.5) / 2, (1 + 0.5) / 2])


def test_effort_is_that_of_the_first_epoch_that_reaches_it():
    def success(n_bits, k, seed, epoch):  # but without HER, and with 10 bits, seed 0 never does
        return 0.99 if epoch >= 2 + seed and ((k > 0 and n_bits == 5) or seed) else 0.0

    found = rows(seeds=3, success=success)
    updates, seconds = sweep_plots._efforts(sweep_plots._trial_curves(found), "")
    x, y, ends = points(updates.axes[0])["HER, k = 4"]
    assert (list(x), list(y)) == ([5, 10], [300, 350])  # of epochs 2, 3, 4; of 3, 4
    np.testing.assert_array_equal(ends, [[200, 400], [300, 400]])
    hollow = [line for line in updates.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert sorted(float(x) for line in hollow for x in line.get_xdata()) == [5, 10, 10]  # not all without HER; 10 bits
    x, y, _ = points(seconds.axes[0])["HER, k = 4"]
    assert list(y) == [6.0, 9.0]
    assert updates.axes[0].get_xscale() == updates.axes[0].get_yscale() == "log"


def test_a_cell_is_solved_by_its_own_until():
    found = [{**row, "until": "0.5"} for row in rows()]
    updates, _ = sweep_plots._efforts(sweep_plots._trial_curves(found), "")
    assert list(points(updates.axes[0])["HER, k = 4"][1]) == [200, 200]
    assert "reaches 0.5" in updates.axes[0].get_ylabel()


def test_what_nobody_solved_has_no_picture_of_the_effort(tmp_path):
    paths = sweep_plots.plot_sweep(rows(success=lambda n, k, seed, epoch: 0.1), tmp_path)
    assert {path.stem for path in paths} == {"figure1", "curves"}


def test_curves_are_told_apart_by_what_was_varied_at_one_size():
    """Not by what a preset sets for each size, nor by what two presets differ in."""
    labels = {cell.curve for cell in sweep_plots._trial_curves(rows(presets=("paper", "fast"), k=(0,)))}
    assert labels == {"preset paper", "preset fast"}
    assert {cell.curve for cell in sweep_plots._trial_curves(rows(k=(4,)))} == {"preset paper"}
    both = sweep_plots._trial_curves([{**row, "gamma": row["k"] / 10} for row in rows()])
    assert {cell.curve for cell in both} == {"without HER, gamma 0.0", "HER, k = 4, gamma 0.4"}


@pytest.mark.parametrize("n_curves", [1, 5, 7, 8, 50])
def test_any_number_of_curves_has_colours_of_their_own_and_a_name_for_each(n_curves, tmp_path):
    found = rows(k=range(n_curves), n_bits=range(5, 9))
    styles = sweep_plots._styled(sweep_plots._trial_curves(found))
    assert len({(str(style["color"])) for _, _, style in styles}) == n_curves
    figure = sweep_plots._figure1(sweep_plots._trial_curves(found), "")
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


def test_nothing_to_plot_is_said():
    with pytest.raises(ValueError, match=r"^there is nothing to plot: no cell of the sweep is finished$"):
        sweep_plots.plot_sweep([], ".")


def test_without_matplotlib_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"^plots need matplotlib, which is not installed: pip install"):
        sweep_plots.plot_sweep(rows(), tmp_path)
    assert list(tmp_path.iterdir()) == []
