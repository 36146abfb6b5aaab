"""`herfast train` with FakeAgent: run folder, output, checkpoints and errors."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import run_command

import herfast
from herfast.callbacks import text_logs
from herfast.cli import main, parsing
from herfast.common import atomic_file
from herfast.config import Config
from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE, CONFIG_FILE, PROGRESS_FILE
from herfast.plotting.run_plots import PLOT_FILES


def test_train_creates_the_agent_with_the_given_options(
    agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = "train --n-bits 9 --max-steps 12 --preset paper --seed 5 --threads 3 --gamma 0.7"
    assert run_command(argv.split(), capsys)[0] == 0
    (agent,) = agents
    assert (agent.env.n_bits, agent.env.max_steps, agent.preset, agent.seed) == (9, 12, "paper", 5)
    assert agent.threads == 3
    assert agent.config == Config.preset("paper", parsing._BitFlipSize(9, 12), gamma=0.7)
    assert (Path("runs") / "bitflip-9-paper-seed5" / AGENT_FILE).exists()


def test_train_writes_the_run_folder(agents: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_command(["train", "--n-bits", "8", "--out", "a/b"], capsys)
    assert (code, err) == (0, "")
    (agent,) = agents
    names = {CONFIG_FILE, PROGRESS_FILE, AGENT_FILE, CHECKPOINT_FILE, *PLOT_FILES}
    assert {path.name for path in Path("a/b").iterdir()} == names
    assert json.loads(Path("a/b", CONFIG_FILE).read_text()) == {
        "herfast": herfast.__version__,
        "environment": {"id": "BitFlip", "n_bits": 8, "max_steps": 8},
        "preset": "fast",
        "seed": 0,
        "config": {**dataclasses.asdict(agent.config), "hidden": [128]},
    }
    columns = text_logs.read_csv_log(Path("a/b", PROGRESS_FILE))
    assert list(columns) == list(agent.history)
    for name, column in agent.history.items():
        np.testing.assert_array_equal(columns[name], column)
    assert all(name in out.splitlines()[-1] for name in names)


def test_train_prints_a_line_per_epoch_and_a_summary(
    agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run_command(["train", "--n-bits", "8", "--out", "run"], capsys)
    first, *epochs, summary = out.splitlines()
    assert first == "Training on 8 bits in at most 8 steps, preset fast, seed 0; the run is in run"
    assert epochs == [
        "epoch 1/500  success 0.055  greedy 0.500  loss 0.2929  steps 10,000  updates 400  2.5 s",
        "epoch 2/500  success 0.155  greedy 1.000  loss 0.06688  steps 20,000  updates 800  5.0 s",
    ]
    assert summary.startswith(
        "Solved: a greedy success rate of 0.99 was reached and confirmed in epoch 2. "
        "Totals: 1,280 episodes, 20,000 steps, 800 updates, 5.0 s. "
        "On 1,000 new episodes (seed 0) the greedy policy has a success rate of 99.6%, "
        "a mean return of -4.5 and a mean length of 5.5 steps. run contains config.json, "
    )
    assert agents[0].calls == [(500, 0.99), (1000, 0)]


def test_the_summary_of_an_unsolved_run_mentions_no_confirmation(
    agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run_command(
        ["train", "--n-bits", "8", "--epochs", "2", "--until", "None", "--seed", "7"], capsys
    )
    assert "All 2 epochs are completed. Totals: 1,280 episodes" in out
    assert "confirmed" not in out
    assert agents[0].calls == [(2, None), (1000, 7)]


def test_a_run_solved_in_its_last_epoch_is_reported_as_solved(
    fake_agent: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run_command(["train", "--n-bits", "8", "--epochs", "2"], capsys)
    assert "Solved: a greedy success rate of 0.99 was reached and confirmed in epoch 2. Totals: 1,280" in out


def test_progress_csv_is_written_during_training(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    write = text_logs.CsvLog.__call__

    def spy(self: text_logs.CsvLog, agent: Any) -> None:
        write(self, agent)
        rows.append(len(text_logs.read_csv_log(Path("run", PROGRESS_FILE))["success"]))

    monkeypatch.setattr(text_logs.CsvLog, "__call__", spy)
    run_command(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert rows == [*range(21)]


def test_overwrite_keeps_foreign_files(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (finished_run / "notes.txt").write_text("mine")
    assert run_command(["train", "--n-bits", "6", "--out", "run", "--overwrite"], capsys)[0] == 0
    assert json.loads((finished_run / CONFIG_FILE).read_text())["environment"]["n_bits"] == 6
    assert (finished_run / "notes.txt").read_text() == "mine"


def record_saves(
    fake_agent: Any, monkeypatch: pytest.MonkeyPatch, fails: Sequence[int] = ()
) -> list[tuple[str, bool, int]]:
    """Record file name, `replay` and cycles of each successful save.

    At the cycles in `fails`, saving raises OSError.
    """
    done: list[tuple[str, bool, int]] = []
    save = fake_agent.save

    def spy(self: Any, path: Path, *, replay: bool = False) -> None:
        if self.cycles in fails:
            raise OSError(f"cannot write {path}: No space left on device")
        save(self, path, replay=replay)
        done.append((path.name, replay, self.cycles))

    monkeypatch.setattr(fake_agent, "save", spy)
    return done


def test_a_signal_in_a_cycle_with_a_due_checkpoint_saves_once(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_agent, "events", [signal.SIGINT])
    monkeypatch.setattr(fake_agent, "event_cycle", 10)
    done = record_saves(fake_agent, monkeypatch)
    argv = ["train", "--n-bits", "8", "--out", "run", "--checkpoint-every", "1"]
    assert run_command(argv, capsys)[0] == 130
    assert done == both_files(10)


def both_files(*cycles: int) -> list[tuple[str, bool, int]]:
    """The records of `record_saves` if both files are saved at these cycles."""
    return [pair for cycle in cycles for pair in ((CHECKPOINT_FILE, True, cycle), (AGENT_FILE, False, cycle))]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", [50, 70]),  # every 10 epochs, and at the end
        ("--checkpoint-every 1", [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70]),
        ("--checkpoint_every=6", [30, 60, 70]),
        ("--checkpoint-every 14", [70]),
        ("--checkpoint-every 1000", [70]),
    ],
)
def test_checkpoints_are_written_every_few_epochs_and_at_the_end(
    flags: str,
    expected: list[int],
    fake_agent: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = record_saves(fake_agent, monkeypatch)
    argv = f"train --n-bits 8 --out run --until None --epochs 14 --cycles-per-epoch 5 {flags}"
    assert run_command(argv.split(), capsys)[0] == 0
    assert done == both_files(*expected)
    done.clear()
    assert run_command(f"train --resume run --epochs 25 {flags}".split(), capsys)[0] == 0
    every = int(re.split("[ =]", flags)[-1] or 10)
    assert done == both_files(*(5 * epoch for epoch in range(15, 26) if epoch % every == 0 or epoch == 25))


def test_training_continues_if_a_later_checkpoint_cannot_be_written(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = record_saves(fake_agent, monkeypatch, fails=[10])
    argv = "train --n-bits 8 --out run --until None --epochs 4 --cycles-per-epoch 5 --checkpoint-every 1"
    code, _, err = run_command(argv.split(), capsys)
    assert code == 0
    assert err == f"herfast: warning: cannot write {Path('run', CHECKPOINT_FILE)}: No space left on device\n"
    assert done == both_files(5, 15, 20)


def test_training_stops_if_the_first_checkpoint_cannot_be_written(
    fake_agent: Any, agents: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = record_saves(fake_agent, monkeypatch, fails=[5, 10])
    argv = "train --n-bits 8 --out run --until None --epochs 4 --cycles-per-epoch 5 --checkpoint-every 1"
    code, _, err = run_command(argv.split(), capsys)
    assert (code, err) == (
        2,
        f"herfast: error: cannot write {Path('run', CHECKPOINT_FILE)}: No space left on device\n",
    )
    assert agents[0].cycles == 5
    assert done == []


def test_a_run_locked_by_another_process_is_not_written_to(
    interrupted_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path: path.read_bytes() for path in interrupted_run.iterdir()}
    with atomic_file.locked(interrupted_run):
        for argv in ("train --resume run", "train --n-bits 8 --out run --overwrite"):
            code, out, err = run_command(argv.split(), capsys)
            assert (code, out) == (2, "")
            assert err == (
                "herfast: error: run is in use by another herfast process: "
                "wait for it to finish or choose another folder\n"
            )
    assert {path: path.read_bytes() for path in interrupted_run.iterdir()} == files
    assert run_command(["train", "--resume", "run"], capsys)[0] == 0


def test_the_agent_is_saved_if_progress_csv_cannot_be_written(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = text_logs.CsvLog.__call__

    def full(self: text_logs.CsvLog, agent: Any) -> None:
        if agent.cycles == 7:
            raise OSError(28, "No space left on device", str(Path("run", PROGRESS_FILE)))
        write(self, agent)

    monkeypatch.setattr(text_logs.CsvLog, "__call__", full)
    code, _, err = run_command(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert (code, err) == (2, f"herfast: error: No space left on device: {Path('run', PROGRESS_FILE)}\n")
    assert fake_agent.load(Path("run", CHECKPOINT_FILE)).cycles == 7


def test_a_full_disk_is_reported_in_one_line(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(self: Any, path: Path, *, replay: bool = False) -> None:
        raise OSError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(fake_agent, "save", save)
    code, _, err = run_command(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert (code, err) == (
        2,
        f"herfast: error: cannot write {Path('run', CHECKPOINT_FILE)}: No space left on device\n",
    )


def test_divergence_exits_with_1_and_prints_the_path_of_the_history(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_agent, "events", [FloatingPointError("loss is not finite in epoch 2")])
    code, _, err = run_command(["train", "--n-bits", "8", "--out", "run"], capsys)
    path = Path("run", PROGRESS_FILE)
    assert code == 1
    assert err == f"herfast: error: loss is not finite in epoch 2; {path} contains the history so far\n"
    assert len(text_logs.read_csv_log(path)["success"]) == 14
    assert not Path("run", AGENT_FILE).exists()
    assert not Path("run", CHECKPOINT_FILE).exists()


def test_a_bug_keeps_its_traceback(fake_agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_agent, "events", [ValueError("a bug in learn")])
    with pytest.raises(ValueError, match="a bug in learn"):
        main.main(["train", "--n-bits", "8"])


@pytest.mark.parametrize("error", [MemoryError("needs 9 GB"), ValueError("capacity must be 9")])
def test_an_agent_that_cannot_be_created_leaves_no_folder(
    error: Exception, fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, *args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(fake_agent, "__init__", fail)
    assert run_command(["train", "--n-bits", "8"], capsys) == (2, "", f"herfast: error: {error}\n")
    assert not Path("runs").exists()


def test_without_matplotlib_only_the_plots_are_missing(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.ticker"):
        monkeypatch.setitem(sys.modules, name, None)
    code, out, _ = run_command(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert code == 0
    line = "No plots: plots need matplotlib, which is not installed: pip install 'herfast[plot]'"
    assert f"\n{line}; to draw them later: herfast plot run\n" in out
    assert Path("run", AGENT_FILE).exists()
    code, _, err = run_command(["plot", "run"], capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install 'herfast[plot]'" in err
