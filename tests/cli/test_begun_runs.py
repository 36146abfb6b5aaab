"""Runs without a checkpoint, and folders that change during a command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.command_line import assert_same_state, run_command

from herfast import Agent
from herfast.callbacks import text_logs
from herfast.cli import main
from herfast.common import atomic_file
from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE, CONFIG_FILE, PROGRESS_FILE
from herfast.plotting.run_plots import PLOT_FILES

TRAIN = "train --n-bits 8 --max-steps 9 --preset paper --seed 3 --cycles-per-epoch 10 --epochs 2 --out run"
FAILURES = [RuntimeError("a bug"), FloatingPointError("loss is not finite"), KeyboardInterrupt()]


@pytest.fixture(params=FAILURES, ids=lambda failure: type(failure).__name__)
def begun_run(
    request: pytest.FixtureRequest,
    fake_agent: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The folder of a run that failed in its first epoch."""
    with monkeypatch.context() as patch:
        patch.setattr(fake_agent, "events", [request.param])
        patch.setattr(fake_agent, "event_cycle", 4)
        with suppress(RuntimeError):
            assert main.main(TRAIN.split()) != 0
    capsys.readouterr()
    fake_agent.instances.clear()
    return Path("run")


def test_a_run_without_a_checkpoint_is_begun_again_by_train(
    begun_run: Path, fake_agent: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["train", "--n-bits", "6", "--out", "run"], capsys)[0] == 0
    assert json.loads((begun_run / CONFIG_FILE).read_text())["environment"]["n_bits"] == 6
    assert fake_agent.load(begun_run / CHECKPOINT_FILE).cycles == 20


@pytest.mark.parametrize("argv", ["resume run", "train --resume run"])
def test_a_run_without_a_checkpoint_is_begun_again_by_resume(
    argv: str, begun_run: Path, fake_agent: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (begun_run / CONFIG_FILE).read_bytes()
    code, out, err = run_command(argv.split(), capsys)
    assert (code, err) == (0, "")
    assert out.startswith(
        "Resuming training on 8 bits in at most 9 steps after 0 cycles, "
        "preset paper, seed 3; the run is in run\n"
    )
    assert (begun_run / CONFIG_FILE).read_bytes() == before
    assert fake_agent.load(begun_run / CHECKPOINT_FILE).cycles == 20
    assert len(text_logs.read_csv_log(begun_run / PROGRESS_FILE)["success"]) == 20


def test_resume_begins_a_run_with_new_limits(
    begun_run: Path, fake_agent: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["resume", "run", "--epochs", "3"], capsys)[0] == 0
    assert json.loads((begun_run / CONFIG_FILE).read_text())["config"]["epochs"] == 3
    assert fake_agent.load(begun_run / CHECKPOINT_FILE).cycles == 30


def test_a_run_whose_first_checkpoint_failed_is_begun_again(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk has space for the agent, but not for the larger checkpoint."""
    save = fake_agent.save

    def small_disk(self: Any, path: Path, *, replay: bool = False) -> None:
        if replay:
            raise OSError(f"cannot write {path}: No space left on device")
        save(self, path, replay=replay)

    with monkeypatch.context() as patch:
        patch.setattr(fake_agent, "save", small_disk)
        assert run_command(TRAIN.split(), capsys)[0] == 2
    assert run_command(["resume", "run"], capsys)[0] == 0
    assert fake_agent.load(Path("run", CHECKPOINT_FILE)).cycles == 20


@pytest.mark.parametrize("argv", ["train --n-bits 8 --out run", "resume run"])
def test_an_agent_without_a_checkpoint_is_not_replaced(
    argv: str, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished_run / CHECKPOINT_FILE).unlink()
    files = {path: path.read_bytes() for path in finished_run.iterdir()}
    assert run_command(argv.split(), capsys)[0] == 2
    assert {path: path.read_bytes() for path in finished_run.iterdir()} == files


def test_a_run_begun_again_equals_one_that_never_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("herfast.experiments.run.plot_run", lambda *args: [])
    small = "--hidden 8 --episodes-per-cycle 4 --updates-per-cycle 2 --cycles-per-epoch 2 --batch-size 8"
    argv = f"train --n-bits 5 --capacity 100 --until None --epochs 2 --seed 7 {small}".split()
    assert main.main([*argv, "--out", "whole"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Agent, "learn", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main.main([*argv, "--out", "begun"])
    assert main.main(["resume", "begun"]) == 0
    for name in (AGENT_FILE, CHECKPOINT_FILE):
        assert_same_state(Path("whole", name), Path("begun", name))


def finish_meanwhile(fake_agent: Any, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Let another process do `change` while the agent is created."""
    create = fake_agent.__init__

    def slow(self: Any, *args: Any, **kwargs: Any) -> None:
        create(self, *args, **kwargs)
        change()

    monkeypatch.setattr(fake_agent, "__init__", slow)


def test_a_run_that_ends_after_the_first_check_is_not_replaced(
    finished_run: Path, fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish_meanwhile(fake_agent, monkeypatch, lambda: shutil.copytree("run", "new"))
    code, out, err = run_command(["train", "--n-bits", "9", "--out", "new"], capsys)
    assert (code, out) == (2, "")
    assert err.startswith("herfast: error: new already contains a run")
    for path in finished_run.iterdir():
        assert (Path("new") / path.name).read_bytes() == path.read_bytes()


def test_a_folder_that_was_locked_meanwhile_is_not_changed(
    fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = atomic_file.locked(Path("new"))
    finish_meanwhile(fake_agent, monkeypatch, lock.__enter__)
    code, _, err = run_command(["train", "--n-bits", "9", "--out", "new"], capsys)
    lock.__exit__(None, None, None)
    assert code == 2
    assert "new is in use by another herfast process" in err
    assert list(Path("new").iterdir()) == []


@pytest.mark.parametrize(
    "argv",
    [
        "train --n-bits 0 --out a/b",
        "train --n-bits 8 --gamma 2 --out a/b",
        "resume a/b",
        "resume a/b --epochs 3",
    ],
)
def test_a_rejected_command_creates_no_folder(
    argv: str, fake_agent: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(argv.split(), capsys)[0] == 2
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("name", [AGENT_FILE, PROGRESS_FILE, PLOT_FILES[0], None])
@pytest.mark.usefixtures("fake_agent")
def test_resume_completes_a_run_that_ended_after_its_last_checkpoint(
    name: str | None, finished_run: Path, agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint is the first of the files that are written at the end."""
    complete = {path: path.read_bytes() for path in finished_run.iterdir()}
    if name is not None:
        (finished_run / name).write_bytes(b"of the checkpoint before")
    code, out, err = run_command(["resume", "run"], capsys)
    assert (code, err) == (0, "")
    assert "Totals: " in out
    assert agents[0].calls == [(1000, 0)], "no further training"
    assert {path: path.read_bytes() for path in complete} == complete
    assert all((finished_run / plot).stat().st_size > 1000 for plot in PLOT_FILES)
