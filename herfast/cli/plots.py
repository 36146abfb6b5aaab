"""Plots of a run or a sweep, with errors of matplotlib as one line."""

from __future__ import annotations

import shlex
from pathlib import Path

from herfast.cli.errors import UserError, user_errors
from herfast.common.validation import one_line
from herfast.experiments.results_table import read_results
from herfast.experiments.run import plot_run_folder
from herfast.experiments.sweep_folder import RESULTS_FILE
from herfast.plotting.sweep_plots import plot_sweep


def draw_plots(path: Path) -> list[Path]:
    """Draw the plots of a run or a sweep.

    Args:
        path: the folder of a run or a sweep, or the progress.csv of a run.

    Returns:
        The paths of the plots.

    Raises:
        UserError: the plots cannot be drawn. The message is one line.
    """
    try:
        with user_errors():
            if (path / RESULTS_FILE).exists():
                return plot_sweep(read_results(path), path)
            return plot_run_folder(path)
    except UserError as error:
        raise UserError(one_line(str(error))) from error
    except Exception as error:  # of matplotlib, which may raise any
        raise UserError(one_line(f"{type(error).__name__}: {error}")) from error


def draw_plots_if_possible(folder: Path) -> list[Path]:
    """Draw the plots of a finished run or sweep.

    Returns:
        The paths of the plots. If they cannot be drawn, there are none: a line is printed with the reason and
        with the command that draws them later.
    """
    try:
        return draw_plots(folder)
    except UserError as reason:
        command = f"herfast plot {shlex.quote(str(folder))}"
        print(f"No plots: {reason}; to draw them later: {command}")
        return []
