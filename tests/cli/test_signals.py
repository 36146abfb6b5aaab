"""Training that a signal or a closed pipe ends, with FakeAgent."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.command_line import run_command

from herfast.callbacks import text_logs
from herfast.cli import main
from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE, PROGRESS_FILE


@pytest.mark.parametrize("cycle", [1, 15])
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
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
    monkeypatch.setattr(fake_agent, "events", [signal.SIGTERM, signal.SIGTERM, fake_agent.PAUSE])
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


def test_train_works_in_any_thread(fake_agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor() as pool:
        assert pool.submit(main.main, ["train", "--n-bits", "8", "--epochs", "1"]).result() == 0


@pytest.mark.parametrize("signals", [[], [signal.SIGINT]])
def test_a_closed_pipe_stops_training_and_the_run_is_saved(
    signals: list[int], fake_agent: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the reader, too, if it is `tee`. `head` ends without a signal."""
    monkeypatch.setattr(fake_agent, "events", [*signals, BrokenPipeError(32, "Broken pipe")])
    with monkeypatch.context() as patch:
        patch.setattr(os, "dup2", lambda *args: None)
        code, _, err = run_command(["train", "--n-bits", "8", "--out", "run"], capfd)
    assert code == (130 if signals else 0)
    assert "error" not in err
    assert fake_agent.load(Path("run", CHECKPOINT_FILE)).cycles == 14
