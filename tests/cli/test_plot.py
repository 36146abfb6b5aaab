"""`herfast plot` for a run; test_sweep_options.py tests it for a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import run_command

from herfast.plotting.run_plots import PLOT_FILES


@pytest.mark.parametrize("path", ["run", "run/progress.csv"])
def test_plot_draws_and_prints_the_plots_of_a_run(
    path: str, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(["plot", path], capsys)
    assert (code, err) == (0, "")
    assert out.splitlines() == [str(finished_run / name) for name in PLOT_FILES]
    assert all((finished_run / name).exists() for name in PLOT_FILES)
