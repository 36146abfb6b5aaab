"""Files of plots, and their independence of the user's settings of matplotlib."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.processes import run_python

from herfast.plotting.run_plots import plot_run

matplotlib = pytest.importorskip("matplotlib")

HISTORY = {name: np.arange(9.0) for name in ("success", "return", "loss", "greedy_success")}
DRAW = """
import itertools
import numpy as np
from herfast.config import config_fields
from herfast.plotting.run_plots import plot_run
from herfast.plotting.sweep_plots import plot_sweep
history = {name: np.arange(9.0) for name in ("success", "return", "loss", "greedy_success")}
plot_run(history, ".", "8 bits")
rows = []
for n_bits, seed, epoch in itertools.product((5, 10), (0, 1), (1, 2, 3, 4)):
    settings = dict.fromkeys(config_fields(), 1) | {"until": None, "preset": "fast"}
    trial = {"cell": f"{n_bits}-{seed}", "n_bits": n_bits, "max_steps": n_bits, "seed": seed}
    results = {"greedy_success": epoch / 4, "updates": epoch, "seconds": epoch, "ended": "epochs"}
    rows.append({**settings, **trial, "epoch": epoch, **results})
plot_sweep(rows, ".")
"""
HOSTILE = """
backend: webagg
interactive: True
figure.figsize: 1, 1
figure.facecolor: black
figure.autolayout: True
savefig.dpi: 10
savefig.bbox: tight
savefig.format: pdf
savefig.transparent: True
font.family: fantasy
font.size: 40
axes.grid: True
axes.prop_cycle: cycler('color', ['r'])
axes.formatter.use_locale: True
axes.titlesize: 3
lines.linewidth: 9
legend.fontsize: 3
text.usetex: True
svg.fonttype: none
svg.hashsalt: mine
path.simplify: False
xtick.minor.visible: True
"""


def drawn(folder: Path, **environment: str) -> dict[str, bytes]:
    """Return the contents of all plots by name, drawn by a new process."""
    folder.mkdir()
    run_python(DRAW, folder, **environment)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The plots with the settings of matplotlib's own matplotlibrc."""
    own = Path(matplotlib.get_data_path()) / "matplotlibrc"
    return drawn(tmp_path_factory.mktemp("plain") / "plots", MATPLOTLIBRC=str(own), MPLBACKEND="agg")


@pytest.mark.parametrize("backend", ["", "agg", "svg", "webagg", "module://no_such_module.backend"])
def test_plots_do_not_depend_on_matplotlibrc_and_backend(
    backend: str, plain: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "matplotlibrc").write_text(HOSTILE)
    environment = {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "MPLBACKEND": backend}
    assert len(plain) == 14
    assert drawn(tmp_path / "plots", **environment) == plain


def test_plots_do_not_depend_on_rcparams_and_restore_them(tmp_path: Path) -> None:
    plot_run(HISTORY, tmp_path)
    plain = {path: path.read_bytes() for path in tmp_path.iterdir()}
    changes = {"lines.linewidth": 9, "font.size": 30, "savefig.dpi": 10, "svg.hashsalt": "mine"}
    with matplotlib.rc_context(changes):
        before = dict(matplotlib.rcParams)
        plot_run(HISTORY, tmp_path)
        assert dict(matplotlib.rcParams) == before
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == plain


def test_a_plot_that_cannot_be_saved_keeps_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot_run(HISTORY, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(self: Any, file: os.PathLike[str], **options: Any) -> None:
        Path(file).write_bytes(b"incomplete")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(OSError, match=r"cannot write .*success\.png: No space left on device"):
        plot_run({**HISTORY, "success": np.ones(9)}, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_missing_dependency_of_matplotlib_gets_the_command_that_installs_it(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["kiwisolver"] = None
{DRAW}"""
    with pytest.raises(AssertionError, match=r"ImportError: plots need matplotlib.*'herfast\[plot\]'"):
        run_python(code, tmp_path)
