"""`herfast` under `python -O` and `python -OO`, without asserts and docstrings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ("", "train", "resume", "sweep", "eval", "play", "plot", "doctor")
SMALL = "--n-bits 3 --preset notebook --hidden 8 --epochs 1 --cycles-per-epoch 2 --updates-per-cycle 1"


def run_herfast(argv: str, folder: Path, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, *flags, "-m", "herfast", *argv.split()],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, ""), argv
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_the_same_without_docstrings(command: str, tmp_path: Path) -> None:
    text = run_herfast(f"{command} --help", tmp_path, "-OO")
    assert text == run_herfast(f"{command} --help", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_every_command_works_without_asserts(flag: str, tmp_path: Path) -> None:
    """Slow because the kernels are compiled once more."""
    subprocess.run(
        [sys.executable, flag, "-m", "herfast", "train", *SMALL.split(), "--out", "run"],
        cwd=tmp_path,
        check=True,
        timeout=300,
    )
    for command in ("eval run", "play run", "plot run", "doctor run", "resume run --epochs 2"):
        assert run_herfast(command, tmp_path, flag)
    assert "trials" in run_herfast(f"sweep {SMALL} --out swept", tmp_path, flag)
