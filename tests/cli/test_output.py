"""Commands whose stdout or stderr is missing, closed or full, or cannot encode."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
from support.streams import UNWRITABLE, full

from herfast.cli import main
from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE
from herfast.plotting.run_plots import PLOT_FILES

Stream = Callable[[], TextIO | None]
SMALL = "--n-bits 3 --preset notebook --hidden 8 --epochs 1 --cycles-per-epoch 2 --updates-per-cycle 1"
FULL = Path("/dev/full")  # not on macOS


@pytest.fixture(params=["full", "without reader", "closed", "missing"])
def stdout(request: pytest.FixtureRequest) -> Iterator[TextIO | None]:
    """A stdout that cannot be written.

    Unlike the streams in UNWRITABLE it is a file.
    """
    if request.param == "missing":
        yield None
        return
    if request.param == "without reader":
        reader, writer = os.pipe()
        os.close(reader)
    elif FULL.exists():
        writer = os.open(FULL, os.O_WRONLY)
    else:
        pytest.skip(f"there is no {FULL}")
    with os.fdopen(writer, "w") as stream:
        if request.param == "closed":
            stream.close()
        yield stream


def run_with(monkeypatch: pytest.MonkeyPatch, argv: str, **streams: TextIO | None) -> int:
    """Run a command with other streams and return its exit code."""
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    try:
        return main.main(argv.split())
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("stderr", UNWRITABLE)
def test_training_needs_no_output(
    stdout: TextIO | None, stderr: Stream, fake_agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("herfast.experiments.run.plot_run", lambda *args: [])  # saves time
    argv = "train --n-bits 8 --out run --until None --epochs 2"
    assert run_with(monkeypatch, argv, stdout=stdout, stderr=stderr()) == 0
    assert fake_agent.load(Path("run", CHECKPOINT_FILE)).cycles == 20
    assert Path("run", AGENT_FILE).exists()


def test_resuming_needs_no_output(
    stdout: TextIO | None, interrupted_run: Path, fake_agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_with(monkeypatch, "resume run", stdout=stdout) == 0
    assert fake_agent.load(interrupted_run / CHECKPOINT_FILE).cycles == 40
    assert all((interrupted_run / name).exists() for name in (AGENT_FILE, *PLOT_FILES))


def test_a_sweep_needs_no_output(
    stdout: TextIO | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_with(monkeypatch, f"sweep {SMALL} --out {tmp_path}", stdout=stdout) == 0
    assert (tmp_path / "results.csv").exists()
    assert (tmp_path / "figure1.png").exists()


@pytest.mark.parametrize("stream", UNWRITABLE)
@pytest.mark.parametrize("argv", ["train --n-bits 0", "train --n-bits 8 --gamma 2", "eval none"])
def test_an_error_needs_no_stderr(
    argv: str, stream: Stream, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_with(monkeypatch, argv, stderr=stream()) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("argv", ["eval run", "play run", "plot run", "doctor run", "--version", "--help"])
def test_a_full_stdout_is_an_error_if_the_output_is_the_result(
    argv: str, finished_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_with(monkeypatch, argv, stdout=full()) == 2
    assert capsys.readouterr().err == "herfast: error: cannot write the output: No space left on device\n"


def test_an_error_of_a_file_keeps_its_traceback(
    finished_run: Path, fake_agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, observation: Any) -> None:
        raise PermissionError(13, "Permission denied", "a file")

    monkeypatch.setattr(fake_agent, "predict", fail)
    with pytest.raises(PermissionError, match="a file"):
        main.main(["play", "run"])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_characters_that_cannot_be_encoded_are_printed_escaped(
    encoding: str, fake_agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "ümläut-\udcff"
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    assert run_with(monkeypatch, f"train --n-bits 8 --out {name}", stdout=out) == 0
    escaped = name.encode(encoding, "backslashreplace")
    assert out.buffer.getvalue().count(escaped) == 2  # type: ignore[attr-defined]
    assert Path(name, CHECKPOINT_FILE).exists()
    err = io.TextIOWrapper(io.BytesIO(), encoding)
    assert run_with(monkeypatch, f"train --n-bits 8 --out {name}", stderr=err) == 2
    assert err.buffer.getvalue().startswith(b"herfast: error: " + escaped)  # type: ignore[attr-defined]


def test_stdout_and_stderr_are_the_same_after_training(fake_agent: Any) -> None:
    before = (sys.stdout, sys.stderr)
    assert main.main(["train", "--n-bits", "8"]) == 0
    assert (sys.stdout, sys.stderr) == before


@pytest.fixture(scope="module")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of herfast.Agent."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main.main(f"train {SMALL} --out {folder}".split()) == 0
    return folder


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("argv", "code", "error"),
    [
        (f"train {SMALL} --out new", 0, ""),
        ("eval run", 2, "herfast: error: cannot write the output: No space left on device\n"),
        ("plot run", 2, "herfast: error: cannot write the output: No space left on device\n"),
        ("train --help", 2, "herfast: error: cannot write the output: No space left on device\n"),
    ],
)
def test_a_process_with_a_full_stdout(argv: str, code: int, error: str, real_run: Path) -> None:
    with FULL.open("w") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "herfast", *argv.split()],
            cwd=real_run.parent,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
    assert (done.returncode, done.stderr) == (code, error)
    shutil.rmtree(real_run.parent / "new", ignore_errors=True)
