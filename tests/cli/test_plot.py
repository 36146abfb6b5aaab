"""Plots at the end of `herfast train` and `herfast sweep`, and `herfast plot`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.command_line import run_command
from support.processes import run_python

from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE
from herfast.plotting.run_plots import PLOT_FILES

SMALL = "--n-bits 3 --preset notebook --hidden 8 --epochs 1 --cycles-per-epoch 2 --updates-per-cycle 1"
ERRORS = [  # of matplotlib or of the system, and the reason that is printed
    (ImportError("libstdc++.so.6:\nversion not found"), "libstdc++.so.6: version not found"),
    (ValueError("Key backend: 'x' is not valid"), "Key backend: 'x' is not valid"),
    (RuntimeError("no font"), "RuntimeError: no font"),
    (KeyError("x"), "KeyError: 'x'"),
    (UserWarning("as an error"), "UserWarning: as an error"),
    (AttributeError("no canvas"), "AttributeError: no canvas"),
    (OSError(28, "No space left on device", "run/x.png"), "No space left on device: run/x.png"),
    (MemoryError("no memory"), "no memory"),
]


@pytest.mark.parametrize("path", ["run", "run/progress.csv"])
def test_plot_draws_and_prints_the_plots_of_a_run(
    path: str, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(["plot", path], capsys)
    assert (code, err) == (0, "")
    assert out.splitlines() == [str(finished_run / name) for name in PLOT_FILES]
    assert all((finished_run / name).exists() for name in PLOT_FILES)


@pytest.fixture(params=ERRORS, ids=lambda error: type(error[0]).__name__)
def reason(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The reason that is printed for an error with which drawing fails."""
    error, text = request.param

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("herfast.plotting.run_plots.save_figure", fail)
    monkeypatch.setattr("herfast.plotting.sweep_plots.save_figure", fail)
    return str(text)


def test_a_run_without_plots_is_complete(
    reason: str, fake_agent: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(["train", "--n-bits", "8", "--out", "my run"], capsys)
    assert (code, err) == (0, "")
    *_, line, summary = out.splitlines()
    assert line == f"No plots: {reason}; to draw them later: herfast plot 'my run'"
    assert summary.startswith("Solved: ")
    assert Path("my run", CHECKPOINT_FILE).exists()


def test_plot_fails_with_the_reason(
    reason: str, interrupted_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["plot", "run"], capsys) == (2, "", f"herfast: error: {reason}\n")


def test_a_sweep_without_plots_is_complete(
    reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run_command(["sweep", *SMALL.split(), "--out", str(tmp_path)], capsys)
    assert code == 0
    assert out.splitlines()[-1] == f"No plots: {reason}; to draw them later: herfast plot {tmp_path}"
    assert (tmp_path / "results.csv").exists()


def run_herfast(argv: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "herfast", *argv.split()],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("backend", ["no_such_backend", "module://no_such_module", "webagg"])
def test_plots_need_no_backend_of_the_user(backend: str, tmp_path: Path) -> None:
    done = run_herfast(f"train {SMALL} --out run", tmp_path, {"MPLBACKEND": backend})
    assert done.returncode == 0, done.stderr
    assert "No plots" not in done.stdout
    assert all((tmp_path / "run" / name).stat().st_size > 1000 for name in PLOT_FILES)


def test_the_backend_of_the_user_is_kept(tmp_path: Path) -> None:
    code = (
        "import os; from herfast.plotting.style import default_style\n"
        "with default_style(): pass\n"
        "import matplotlib; print(matplotlib.rcParams['backend'], os.environ['MPLBACKEND'])"
    )
    assert run_python(code, tmp_path, MPLBACKEND="svg").stdout.split() == ["svg", "svg"]


def test_a_matplotlib_that_cannot_be_imported_is_no_error_of_training(tmp_path: Path) -> None:
    environment = {"MATPLOTLIBRC": "broken"}
    (tmp_path / "broken").write_bytes(b"\xff\xfe: \xff\n")
    done = run_herfast(f"train {SMALL} --out run", tmp_path, environment)
    assert done.returncode == 0, done.stderr
    *_, line, summary = done.stdout.splitlines()
    assert line.startswith("No plots: ")
    assert "codec" in line
    assert line.endswith("; to draw them later: herfast plot run")
    assert summary.startswith("All 1 epochs are completed.")
    assert (tmp_path / "run" / AGENT_FILE).exists()
    done = run_herfast("plot run", tmp_path, environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("herfast: error: ")
    assert "Traceback" not in done.stderr
