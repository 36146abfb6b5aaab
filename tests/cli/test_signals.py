"""Commands that a signal ends, with FakeAgent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.command_line import run_command
from support.terminal import terminal

from herfast.callbacks import text_logs
from herfast.cli import main
from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE, PROGRESS_FILE


@pytest.mark.parametrize("cycle", [1, 15])
@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_after_a_signal_training_ends_with_the_cycle_and_is_saved(
    number: int,
    expected: int,
    cycle: int,
    fake_agent: Any,
    agents: list[Any],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fake_agent, "events", [number])
    monkeypatch.setattr(fake_agent, "event_cycle", cycle)
    code, out, err = run_command(["train", "--n-bits", "8", "--out", "my run"], capfd)
    assert code == expected
    assert err == "\nStopping and saving the run; press Ctrl-C again to stop immediately without saving.\n"
    last = out.splitlines()[-1]
    assert last.startswith(f"Interrupted after {cycle} cycles; my run contains config.json, progress.csv")
    assert last.endswith("; to resume: herfast resume 'my run'")
    assert fake_agent.load(Path("my run", CHECKPOINT_FILE)).cycles == cycle
    assert Path("my run", AGENT_FILE).exists()
    assert len(text_logs.read_csv_log(Path("my run", PROGRESS_FILE))["success"]) == cycle
    assert agents[0].calls == [(500, 0.99)], "no test episodes after a signal"


def test_a_long_cycle_is_interrupted(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        fake_agent, "events", [signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, fake_agent.PAUSE]
    )
    code, out, _ = run_command(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert code == 143
    last = out.splitlines()[-1]
    assert last.startswith("Interrupted after 14 cycles; run contains config.json, progress.csv, agent")
    assert fake_agent.load(Path("run", CHECKPOINT_FILE)).cycles == 14


def test_saving_is_not_interrupted(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save = fake_agent.save

    def slow_save(self: Any, path: Path, *, replay: bool = False) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.pause()  # until the timer for the cycle ends
        save(self, path, replay=replay)
        monkeypatch.setattr(fake_agent, "save", save)

    monkeypatch.setattr(fake_agent, "save", slow_save)
    assert run_command(["train", "--n-bits", "8", "--out", "run"], capsys)[0] == 0
    assert fake_agent.load(Path("run", CHECKPOINT_FILE)).solved


def test_an_interrupt_in_the_last_cycle_has_no_effect(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_agent, "events", [signal.SIGINT])
    monkeypatch.setattr(fake_agent, "event_cycle", 20)
    code, out, _ = run_command(["train", "--n-bits", "8"], capsys)
    assert code == 0
    assert "Solved: " in out


def test_a_second_interrupt_stops_immediately_without_saving(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_agent, "events", [signal.SIGINT, signal.SIGINT])
    code, out, err = run_command(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert (code, err) == (130, "")
    last = out.splitlines()[-1]
    assert last == "Interrupted immediately without saving; run contains config.json, progress.csv"
    assert len(text_logs.read_csv_log(Path("run", PROGRESS_FILE))["success"]) == 14


def test_another_handler_of_sigalrm_is_not_replaced(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: received.append(number))
    monkeypatch.setattr(fake_agent, "events", [signal.SIGALRM, signal.SIGINT, signal.SIGALRM])
    code, out, _ = run_command(["train", "--n-bits", "8", "--out", "run"], capsys)
    signal.signal(signal.SIGALRM, before)
    assert (code, received) == (130, [signal.SIGALRM] * 2)
    assert "Interrupted after 15 cycles" in out


def test_another_handler_of_sigint_is_not_replaced(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    monkeypatch.setattr(fake_agent, "events", [signal.SIGINT])
    code, _, _ = run_command(["train", "--n-bits", "8"], capsys)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert (code, received) == (0, [signal.SIGINT])


def test_a_sighup_that_is_ignored_stays_ignored(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`nohup herfast train` continues when its terminal is closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    monkeypatch.setattr(fake_agent, "events", [signal.SIGHUP])
    assert run_command(["train", "--n-bits", "8"], capsys)[0] == 0
    assert signal.signal(signal.SIGHUP, before) is signal.SIG_IGN


def test_the_message_is_written_to_the_descriptor_of_stderr(
    fake_agent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptor 2 may be a file of the run, if stderr was closed at the start."""
    written: list[int] = []
    monkeypatch.setattr(os, "write", lambda descriptor, text: written.append(descriptor))
    monkeypatch.setattr(fake_agent, "events", [signal.SIGTERM])
    with (tmp_path / "stderr").open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        assert main.main(["train", "--n-bits", "8"]) == 143
        assert written == [stderr.fileno()]


def test_train_works_in_any_thread(fake_agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor() as pool:
        assert pool.submit(main.main, ["train", "--n-bits", "8", "--epochs", "1"]).result() == 0


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_an_animation_and_shows_the_cursor(
    number: int, expected: int, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: signal.raise_signal(number))
    monkeypatch.setenv("TERM", "xterm")
    with terminal() as written:
        assert main.main(["play", "run", "--watch"]) == expected
    assert written.text.startswith("\x1b[?25lNEW EPISODE\n")
    assert written.text.endswith("\x1b[?25h")


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP, signal.SIGTERM], 129),
        ([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], 130),
    ],
)
def test_the_first_signal_stops_a_sweep(
    numbers: list[int],
    expected: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved: list[bool] = []

    def run_trials(*_: Any) -> None:
        try:
            signal.raise_signal(numbers[0])
        finally:
            for number in numbers[1:]:
                signal.raise_signal(number)
            saved.append(True)

    monkeypatch.setattr("herfast.cli.commands.run_trials", run_trials)
    code, out, _ = run_command(["sweep", "--n-bits", "3", "--out", str(tmp_path)], capsys)
    assert (code, saved) == (expected, [True])
    assert out.endswith("unfinished trials are saved; run the same command again to continue\n")


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_saves_the_trials_of_a_sweep(number: int, expected: int, tmp_path: Path) -> None:
    argv = "sweep --n-bits 20 --until None --hidden 8 --seeds 2 --jobs 2 --out swept"
    with subprocess.Popen(
        [sys.executable, "-m", "herfast", *argv.split()], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        while len(list(tmp_path.glob("swept/*/progress.csv"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        assert process.stdout is not None
        assert "unfinished trials are saved" in process.stdout.read()
    assert process.returncode == expected
    assert len(list(tmp_path.glob(f"swept/*/{CHECKPOINT_FILE}"))) == 2
