"""`herfast` in its own process: imports, closed pipes, runs of herfast.Agent."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.command_line import assert_same_state
from support.files import read_tensors

from herfast.callbacks import text_logs
from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE, PROGRESS_FILE

TEN_CYCLES = ("--cycles-per-epoch", "10")


def run_python(*argv: str, cwd: Path, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv], cwd=cwd, capture_output=True, text=True, timeout=300, **kwargs
    )


def test_python_m_herfast_runs_the_command(tmp_path: Path) -> None:
    assert "usage: herfast" in run_python("-m", "herfast", "--help", cwd=tmp_path).stdout
    done = run_python("-m", "herfast", "train", "--n-bits", "8", "--gamma", "2", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "herfast: error: gamma must be in [0, 1), got 2.0\n"


def test_help_and_plot_import_no_numba(finished_run: Path) -> None:
    code = "\n".join(
        [
            "import sys",
            "from herfast.cli.main import main",
            "for argv in (['--help'], ['train', '--help'], ['plot', 'run']):",
            "    try:",
            "        main(argv)",
            "    except SystemExit as end:",
            "        assert end.code == 0",
            "    assert ('matplotlib' in sys.modules) == (argv[0] == 'plot')",
            "    assert 'numba' not in sys.modules",
        ]
    )
    done = run_python("-c", code, cwd=Path.cwd())
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", ["tyro", "herfast.cli.commands", "llvmlite", None])
def test_ctrl_c_during_an_import_prints_no_traceback(module: str | None, finished_run: Path) -> None:
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class CtrlC:
    def find_spec(self, name, *_):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, CtrlC())
from herfast.cli.main import main
sys.exit(main(["eval", "none"]))
"""
    done = run_python("-c", code, cwd=Path.cwd())
    assert (done.returncode, done.stdout) == (130 if module else 2, "")
    assert done.stderr == ("" if module else "herfast: error: none does not exist\n")


def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    code = """
import sys
from herfast.cli import commands, main
commands.plot = lambda path: [print('x') for _ in range(1_000_000)] and 0
sys.exit(main.main(['plot', '.']))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline() == "x\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_closed_pipe_during_help_is_not_an_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "herfast", "train", "--help"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.slow
def test_train_eval_doctor_play_and_resume_work_with_the_real_agent(tmp_path: Path) -> None:
    done = run_python("-m", "herfast", "train", "--n-bits", "6", "--out", "six", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "was reached and confirmed" in done.stdout
    done = run_python("-m", "herfast", "eval", "six", "--episodes", "500", cwd=tmp_path)
    assert float(done.stdout.split("success")[1].split()[0]) > 0.95, done.stderr
    done = run_python("-m", "herfast", "doctor", "six", cwd=tmp_path)
    assert done.stdout.endswith("none, no problem was found\n"), done
    done = run_python("-m", "herfast", "play", "six", "--games", "5", cwd=tmp_path)
    assert done.stdout.count("NEW EPISODE") == 5
    assert "SUCCESS AFTER" in done.stdout

    argv = ["-m", "herfast", "train", "--n-bits", "60", "--out", "sixty", "--until", "None", *TEN_CYCLES]
    with subprocess.Popen(
        [sys.executable, *argv], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 1/"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
    assert process.returncode == 130
    n_cycles = len(text_logs.read_csv_log(tmp_path / "sixty" / PROGRESS_FILE)["success"])
    assert n_cycles >= 10
    assert f"Interrupted after {n_cycles} cycles" in rest
    epochs = str(n_cycles // 10 + 1)
    done = run_python("-m", "herfast", "train", "--resume", "sixty", "--epochs", epochs, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"All {epochs} epochs are completed" in done.stdout


@pytest.mark.slow
def test_a_killed_run_resumes_from_its_last_checkpoint(tmp_path: Path) -> None:
    argv = ["-m", "herfast", "train", "--n-bits", "20", "--until", "None", *TEN_CYCLES]
    argv += ["--checkpoint-every", "2"]
    command = [sys.executable, *argv, "--epochs", "100000", "--out", "killed"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 5/"):
                process.kill()
                break
    assert run_python("-m", "herfast", "doctor", "killed", cwd=tmp_path).returncode == 0
    n_cycles = len(read_tensors(tmp_path / "killed" / CHECKPOINT_FILE)[0]["history.epoch"])
    assert n_cycles >= 40
    assert n_cycles % 20 == 0
    epochs = ("--epochs", str(n_cycles // 10 + 2))
    assert run_python(*argv, *epochs, "--out", "whole", cwd=tmp_path).returncode == 0
    done = run_python("-m", "herfast", "train", "--resume", "killed", *epochs, cwd=tmp_path)
    assert f"after {n_cycles} cycles" in done.stdout.splitlines()[0], done
    for name in (CHECKPOINT_FILE, AGENT_FILE):
        assert_same_state(tmp_path / "whole" / name, tmp_path / "killed" / name)
