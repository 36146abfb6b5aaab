"""`herfast train --resume` and `herfast resume`."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import assert_same_state, run_command

import herfast
from herfast.callbacks import text_logs
from herfast.cli import main, parsing
from herfast.config import Config
from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE, CONFIG_FILE, PROGRESS_FILE
from herfast.plotting.run_plots import PLOT_FILES


def test_resume_continues_to_the_last_cycle_of_the_run(
    interrupted_run: Path, fake_agent: Any, agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config = (interrupted_run / CONFIG_FILE).read_bytes()
    for name in PLOT_FILES:
        (interrupted_run / name).write_bytes(b"of an older run")
    code, out, err = run_command(["train", "--resume", "run"], capsys)
    assert (code, err) == (0, "")
    (agent,) = agents
    assert (agent.env, agent.preset, agent.seed) == (herfast.BitFlip(8, 9), "paper", 3)
    assert agent.config == Config.preset("paper", parsing._BitFlipSize(8, 9), cycles_per_epoch=10, epochs=4)
    assert agent.calls == [(3, None), (1000, 3)]
    assert agent.cycles == 40
    first, *epochs, last = out.splitlines()
    assert first == (
        "Resuming training on 8 bits in at most 9 steps after 13 cycles, "
        "preset paper, seed 3; the run is in run"
    )
    assert [line[:9] for line in epochs] == ["epoch 2/4", "epoch 3/4", "epoch 4/4"]
    assert last.startswith("All 4 epochs are completed. ")
    assert (interrupted_run / CONFIG_FILE).read_bytes() == config
    assert all((interrupted_run / name).read_bytes() != b"of an older run" for name in PLOT_FILES)
    assert fake_agent.load(interrupted_run / CHECKPOINT_FILE).cycles == 40
    assert run_command(["train", "--resume", "run", "--epochs", "4"], capsys)[2] == (
        "herfast: error: run has completed 4 of 4 epochs: increase --epochs to continue\n"
    )


@pytest.mark.parametrize("n_rows", [0, 5, 13, 17])
def test_resume_restores_progress_csv_from_the_checkpoint(
    n_rows: int, interrupted_run: Path, agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A killed run may have left fewer or more rows, and an incomplete one."""
    header, *rows = (interrupted_run / PROGRESS_FILE).read_text().splitlines(keepends=True)
    (interrupted_run / PROGRESS_FILE).write_text("".join([header, *(rows + rows)[:n_rows], "0.1,0."]))
    assert run_command(["train", "--resume", "run"], capsys)[0] == 0
    columns = text_logs.read_csv_log(interrupted_run / PROGRESS_FILE)
    assert list(columns) == list(agents[0].history)
    for name, column in agents[0].history.items():
        np.testing.assert_array_equal(columns[name], column)


def test_resume_that_fails_in_its_first_cycle_keeps_progress_and_checkpoint(
    interrupted_run: Path,
    fake_agent: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fake_agent, "events", [FloatingPointError("loss is not finite")])
    monkeypatch.setattr(fake_agent, "event_cycle", 14)
    before = (interrupted_run / CHECKPOINT_FILE).read_bytes()
    assert run_command(["train", "--resume", "run"], capsys)[0] == 1
    assert len(text_logs.read_csv_log(interrupted_run / PROGRESS_FILE)["success"]) == 13
    assert (interrupted_run / CHECKPOINT_FILE).read_bytes() == before, "the checkpoint is kept"


@pytest.mark.parametrize(
    ("flags", "limits", "cycles", "end"),
    [
        ("--epochs 6", (5, None), 60, "All 6 epochs are completed"),
        ("--epochs 2", (1, None), 20, "All 2 epochs are completed"),
        ("--until 0.9", (3, 0.9), 20, "Solved: a greedy success rate of 0.9 was"),
        ("--until 0.9 --epochs=5", (4, 0.9), 20, "Solved: a greedy success rate of 0.9 was"),
    ],
)
def test_resume_applies_and_saves_new_limits(
    flags: str,
    limits: Any,
    cycles: int,
    end: str,
    interrupted_run: Path,
    fake_agent: Any,
    agents: list[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run_command(["train", "--resume", "run", *flags.split()], capsys)
    assert code == 0
    assert agents[0].calls[0] == limits
    assert agents[0].cycles == cycles
    assert out.splitlines()[-1].startswith(end)
    assert fake_agent.load(interrupted_run / CHECKPOINT_FILE).config == agents[0].config


def test_resume_writes_new_limits_to_config_json_before_training(
    interrupted_run: Path,
    fake_agent: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = json.loads((interrupted_run / CONFIG_FILE).read_text())
    before["herfast"] = "0.0.1"  # the version that created the run is kept
    (interrupted_run / CONFIG_FILE).write_text(json.dumps(before))
    descriptions: list[Any] = []
    learn = fake_agent.learn

    def spy(self: Any, *args: Any, **kwargs: Any) -> None:
        descriptions.append(json.loads((interrupted_run / CONFIG_FILE).read_text()))
        learn(self, *args, **kwargs)

    monkeypatch.setattr(fake_agent, "learn", spy)
    assert run_command(["train", "--resume", "run", "--until", "0.9", "--epochs", "7"], capsys)[0] == 0
    expected = {**before, "config": {**before["config"], "until": 0.9, "epochs": 7}}
    assert descriptions == [expected]
    assert json.loads((interrupted_run / CONFIG_FILE).read_text()) == expected


def test_a_solved_run_continues_with_a_higher_until(
    finished_run: Path, agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["train", "--resume", "run", "--until", "1"], capsys)[0] == 0
    assert agents[0].cycles == 30


def test_resume_can_be_interrupted_and_resumed(
    interrupted_run: Path,
    fake_agent: Any,
    agents: list[Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fake_agent, "events", [signal.SIGINT])
        assert run_command(["train", "--resume", "run"], capsys)[0] == 130
    assert run_command(["train", "--resume", "run"], capsys)[0] == 0
    assert [agent.calls[0][0] for agent in agents] == [3, 3]
    assert agents[1].cycles == 40


def test_a_run_without_a_checkpoint_cannot_be_resumed(
    interrupted_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (interrupted_run / CHECKPOINT_FILE).unlink()
    code, _, err = run_command(["train", "--resume", "run"], capsys)
    assert code == 2
    message = "run contains no checkpoint.safetensors to resume from: use herfast train --overwrite"
    assert err == f"herfast: error: {message}\n"


@pytest.mark.parametrize(
    ("argv", "expanded"),
    [
        ("train --resume run", "resume run"),
        ("train --resume=run --epochs 3", "resume run --epochs 3"),
        (
            "train --until 0.9 --resume run --checkpoint_every=2",
            "resume run --until 0.9 --checkpoint_every=2",
        ),
        ("train --resume --epochs 3", "resume --epochs 3"),
        ("train --resume run more", "resume run more"),
        ("train --resume run --help", "resume run --help"),
        ("train --out resume", "train --out resume"),
        ("eval run --seed 3 --resume run", "eval run --seed 3 --resume run"),
        ("", ""),
    ],
)
def test_train_with_resume_is_rewritten_as_the_command_resume(argv: str, expanded: str) -> None:
    assert parsing._expand_resume(argv.split()) == expanded.split()


def test_the_command_resume_and_the_option_do_the_same(
    interrupted_run: Path, agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("run", "copy")
    assert run_command(["train", "--resume", "run", "--epochs", "3"], capsys)[0] == 0
    assert run_command(["resume", "copy", "--epochs", "3"], capsys)[0] == 0
    assert agents[0].calls == agents[1].calls
    for path in interrupted_run.iterdir():
        if path.suffix not in (".png", ".svg"):
            assert (Path("copy") / path.name).read_bytes() == path.read_bytes()


def test_help_of_resume_shows_only_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_command(["train", "--resume", "run", "--help"], capsys)
    assert code == 0
    assert all(option in out for option in ("herfast resume", "--epochs", "--until", "kept"))
    assert "--gamma" not in out


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["fast", "paper", "notebook"])
def test_a_resumed_run_equals_an_uninterrupted_run(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = "--hidden 32 --episodes-per-cycle 4 --updates-per-cycle 3 --cycles-per-epoch 4 --batch-size 16"
    argv = f"train --n-bits 6 --preset {preset} --capacity 100 --until None {sizes}".split()
    assert main.main([*argv, "--out", "whole", "--epochs", "3"]) == 0

    assert main.main([*argv, "--out", "between", "--epochs", "1"]) == 0
    assert main.main(["train", "--resume", "between", "--epochs", "3"]) == 0

    write = text_logs.CsvLog.__call__

    def interrupt(self: text_logs.CsvLog, agent: Any) -> None:
        write(self, agent)
        if agent.cycles == 6:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(text_logs.CsvLog, "__call__", interrupt)
        assert main.main([*argv, "--out", "within", "--epochs", "3"]) == 130
    assert main.main(["train", "--resume", "within"]) == 0

    whole = text_logs.read_csv_log(Path("whole", PROGRESS_FILE))
    assert len(whole["epoch"]) == 12
    for folder in ("between", "within"):
        for name in (CHECKPOINT_FILE, AGENT_FILE):
            assert_same_state(Path("whole", name), Path(folder, name))
        columns = text_logs.read_csv_log(Path(folder, PROGRESS_FILE))
        for name in whole.keys() - {"seconds"}:
            np.testing.assert_array_equal(columns[name], whole[name], err_msg=name)
