"""Tests of the plots of a run: curves, files and invalid histories."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from herfast.plotting import run_plots

pytest.importorskip("matplotlib")


def history(n_cycles: int, **columns: Any) -> dict[str, Any]:
    cycles = np.arange(1, n_cycles + 1)
    greedy = np.full(n_cycles, np.nan)
    greedy[9::10] = 0.5
    return {
        "success": cycles / max(n_cycles, 1),
        "return": -20.0 + cycles / max(n_cycles, 1),
        "loss": 1.0 / cycles,
        "greedy_success": greedy,
        "episodes": 64 * cycles,
        "updates": 40 * cycles,
    } | columns


def lines(figure: Any) -> dict[str, np.ndarray]:
    """Return the y values of the lines in the only axes of a figure, by label."""
    (axes,) = figure.axes
    return {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}


@pytest.mark.parametrize("window", [1, 2, 3, 50])
def test_rolling_mean_ignores_nan_and_starts_with_fewer_values(window: int) -> None:
    values = np.random.default_rng(0).normal(size=40)
    values[[0, 5, 6, 7, 8]] = np.nan
    means = run_plots.rolling_mean(values, window)
    for i, mean in enumerate(means):
        known = [value for value in values[max(0, i - window + 1) : i + 1] if not np.isnan(value)]
        assert mean == pytest.approx(np.mean(known), abs=1e-12) if known else np.isnan(mean), i
    assert run_plots.rolling_mean(np.array([]), window).shape == (0,)


@pytest.mark.parametrize("name", ["success.png", "success.svg"])
def test_a_fifo_is_not_written(tmp_path: Path, name: str) -> None:
    """Opening it would wait for a reader."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match=f"^cannot write {tmp_path / name}: it is not a regular file$"):
        run_plots.plot_run(history(3), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_run_gives_three_plots_in_two_formats(tmp_path: Path) -> None:
    assert run_plots.plot_run(history(30), tmp_path, "8 bits") == [
        tmp_path / name for name in run_plots.PLOT_FILES
    ]
    for name in run_plots.PLOT_FILES:
        data = (tmp_path / name).read_bytes()
        assert data.startswith(b"\x89PNG" if name.endswith(".png") else b"<?xml")
        assert len(data) > 5000
    files = {name: (tmp_path / name).read_bytes() for name in run_plots.PLOT_FILES}
    assert len(set(files.values())) == 6
    run_plots.plot_run(history(30), tmp_path, "8 bits")
    assert {name: (tmp_path / name).read_bytes() for name in run_plots.PLOT_FILES} == files


@pytest.mark.parametrize("n_cycles", [1, 2, 3, 11, 700])
def test_runs_of_any_length_are_plotted(n_cycles: int, tmp_path: Path) -> None:
    assert len(run_plots.plot_run(history(n_cycles), tmp_path)) == 6


def test_the_curves_show_the_history() -> None:
    columns = history(700, loss=np.random.default_rng(0).random(700))
    success, greedy = lines(run_plots._plot_success(columns, "")).values()
    np.testing.assert_array_equal(success, columns["success"])
    np.testing.assert_array_equal(greedy, np.full(70, 0.5))
    for figure, name, window in ((run_plots._plot_return, "return", 50), (run_plots._plot_loss, "loss", 100)):
        curves = lines(figure(columns, ""))
        np.testing.assert_array_equal(curves["each cycle"], columns[name])
        mean = run_plots.rolling_mean(columns[name], window)
        np.testing.assert_array_equal(curves[f"mean of the last {window} cycles"], mean)


@pytest.mark.parametrize("n_cycles", [2, 49, 130, 2000])
def test_windows_of_rolling_means_do_not_depend_on_the_length_of_the_run(n_cycles: int) -> None:
    noise = np.random.default_rng(1).random(n_cycles)
    for draw, name, window in ((run_plots._plot_return, "return", 50), (run_plots._plot_loss, "loss", 100)):
        figure = draw(history(n_cycles, **{name: noise}), "")
        mean = lines(figure)[f"mean of the last {window} cycles"]
        assert len(mean) == n_cycles
        assert mean[-1] == pytest.approx(noise[-window:].mean())
        assert mean[0] == pytest.approx(noise[0])
        assert f"{window} cycles" in figure.axes[0].get_legend().get_texts()[1].get_text()


def test_axes_and_title_are_labelled() -> None:
    for plot, label in (
        (run_plots._plot_success, "success rate"),
        (run_plots._plot_return, "rewards"),
        (run_plots._plot_loss, "squared error"),
    ):
        (axes,) = plot(history(30), "8 bits, seed 3").axes
        assert label in axes.get_ylabel()
        assert axes.get_xlabel() == "cycle (64 episodes and 40 updates each)"
        assert axes.get_title(loc="left").endswith("8 bits, seed 3")


def test_a_history_without_optional_columns_is_plotted(tmp_path: Path) -> None:
    columns = {name: history(5)[name] for name in ("success", "return", "loss")}
    assert len(run_plots.plot_run(columns, tmp_path)) == 6
    assert list(lines(run_plots._plot_success(columns, ""))) == ["training episodes, each cycle"]


def test_an_empty_history_or_a_missing_column_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no cycle has been completed"):
        run_plots.plot_run(history(0), tmp_path)
    columns = history(3)
    del columns["loss"]
    with pytest.raises(ValueError, match="'loss' is missing"):
        run_plots.plot_run(columns, tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_error_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.ticker"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'herfast\[plot\]'"):
        run_plots.plot_run(history(3), tmp_path)


def test_plots_do_not_import_pyplot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it now fails
    assert len(run_plots.plot_run(history(3), tmp_path)) == 6
