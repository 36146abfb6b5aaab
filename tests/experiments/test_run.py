"""Run folders: creation, validation, config.json and plots."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from support.history_files import progress_columns
from support.trials import plan

from herfast import BitFlip, Config
from herfast.common import atomic_file
from herfast.experiments.run import (
    AGENT_FILE,
    CHECKPOINT_FILE,
    CONFIG_FILE,
    PROGRESS_FILE,
    RUN_FILES,
    check_folder_free,
    create_run,
    describe_run,
    find_checkpoint,
    find_file,
    load_run,
    plot_run_folder,
    read_config,
    update_config,
)
from herfast.experiments.sweep_folder import is_sweep_folder

DESCRIPTION = {"herfast": "0", "environment": BitFlip(8, 9).spec(), "preset": "fast", "seed": 3}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with config.json and a progress.csv of 20 cycles."""
    folder = tmp_path / "a" / "run"
    with atomic_file.locked(folder):
        create_run(folder, DESCRIPTION)
    columns = progress_columns(20)
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = [",".join(map(str, row)) for row in (columns, *rows)]
    (folder / PROGRESS_FILE).write_text("\n".join(lines) + "\n")
    return folder


def test_a_new_folder_and_one_with_foreign_files_are_accepted(tmp_path: Path) -> None:
    check_folder_free(tmp_path / "new" / "run", overwrite=False)
    (tmp_path / "notes.txt").write_text("mine")
    check_folder_free(tmp_path, overwrite=False)


@pytest.mark.parametrize("name", [AGENT_FILE, CHECKPOINT_FILE])
def test_a_folder_with_a_run_is_rejected_without_overwrite(name: str, run: Path) -> None:
    (run / name).write_text("")
    with pytest.raises(FileExistsError, match=r"already contains a run: .* herfast resume, .* --overwrite$"):
        check_folder_free(run, overwrite=False)
    check_folder_free(run, overwrite=True)


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_file_with_the_name_of_a_runs_file_is_never_replaced(
    name: str, overwrite: bool, tmp_path: Path
) -> None:
    for text in ("{}", "not json", '["herfast"]'):
        (tmp_path / name).write_text(text)
        with pytest.raises(FileExistsError, match=f"contains a {name} that herfast did not write"):
            check_folder_free(tmp_path, overwrite)


SWEEP_OF_0_1_0 = Path(__file__).parents[1] / "data" / "0.1.0" / "sweep"


@pytest.mark.parametrize("kept", ["all", "results.csv", "trials", "unfinished trials"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_folder_of_a_sweep_is_rejected(kept: str, overwrite: bool, tmp_path: Path) -> None:
    shutil.copytree(SWEEP_OF_0_1_0, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.iterdir():
        if path.is_dir() and kept == "results.csv":
            shutil.rmtree(path)
        elif path.is_dir() and kept == "unfinished trials":
            for file in path.iterdir():
                file.unlink()
        elif path.is_file() and kept != "all" and kept != path.name:
            path.unlink()
    with pytest.raises(FileExistsError, match=r"contains a sweep: choose another folder for the run$"):
        check_folder_free(tmp_path, overwrite)


def test_a_foreign_results_csv_is_no_sweep(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    (tmp_path / "notes-k1-seed0-0123456789ab").write_text("a file")
    (tmp_path / "notes").mkdir()
    check_folder_free(tmp_path, overwrite=False)


def test_the_folder_of_each_trial_marks_a_sweep(tmp_path: Path) -> None:
    for trial in plan([3, 4], seeds=2, k=[0, 1000]):
        folder = tmp_path / trial.name
        (folder / trial.name).mkdir(parents=True)
        assert is_sweep_folder(folder)


def test_a_file_instead_of_a_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        check_folder_free(tmp_path / "file", overwrite=True)


def test_overwriting_removes_only_files_of_the_run(run: Path) -> None:
    for name in RUN_FILES:
        if name != CONFIG_FILE:
            (run / name).write_text("old")
    (run / "notes.txt").write_text("mine")
    (run / "sub").mkdir()
    create_run(run, DESCRIPTION | {"seed": 4})
    assert sorted(path.name for path in run.iterdir()) == [CONFIG_FILE, "notes.txt", "sub"]
    assert json.loads((run / CONFIG_FILE).read_text())["seed"] == 4
    assert (run / "notes.txt").read_text() == "mine"


def test_after_a_crash_during_overwriting_the_folder_is_still_recognised_as_a_run(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: Any) -> None:
        raise OSError("the power failed")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power"):
        create_run(run, DESCRIPTION)
    monkeypatch.undo()
    check_folder_free(run, overwrite=True)
    assert read_config(run) == DESCRIPTION


def test_a_run_that_has_saved_nothing_may_be_replaced(run: Path) -> None:
    check_folder_free(run, overwrite=False)


def test_a_finished_trial_without_an_agent_is_rejected_without_overwrite(run: Path) -> None:
    """A trial of a sweep that diverged has no agent, but results."""
    (run / CONFIG_FILE).write_text(json.dumps(DESCRIPTION | {"ended": "diverged"}))
    with pytest.raises(FileExistsError, match="already contains a run"):
        check_folder_free(run, overwrite=False)
    with pytest.raises(FileNotFoundError, match="to resume from"):
        find_checkpoint(run)


def test_the_checkpoint_of_a_run_is_found(run: Path) -> None:
    assert find_checkpoint(run) is None, "nothing is saved yet"
    (run / AGENT_FILE).write_text("")
    with pytest.raises(
        FileNotFoundError, match=r"contains no checkpoint\.safetensors to resume from: .* --overwrite"
    ):
        find_checkpoint(run)
    (run / CHECKPOINT_FILE).write_text("")
    assert find_checkpoint(run) == run / CHECKPOINT_FILE
    (run / CONFIG_FILE).write_text("{}")
    with pytest.raises(
        FileNotFoundError, match=r"is not the folder of a run: it contains no config\.json written by herfast"
    ):
        find_checkpoint(run)
    with pytest.raises(FileNotFoundError, match="none is not the folder of a run"):
        find_checkpoint(run / "none")


def test_a_run_that_has_saved_nothing_is_loaded_from_its_config(run: Path) -> None:
    config = Config.preset("paper", BitFlip(8, 9), hidden=(8, 4), capacity=100, until=0.5)
    description = describe_run(BitFlip(8, 9), "paper", 3, asdict(config))
    (run / CONFIG_FILE).write_text(json.dumps(description))
    agent = load_run(run)
    assert (agent.env, agent.preset, agent.seed, agent.config) == (BitFlip(8, 9), "paper", 3, config)
    assert agent.cycles == 0


@pytest.mark.parametrize(
    "change",
    [
        {"environment": {"id": "Maze"}},
        {"preset": "quick"},
        {"seed": -1},
        {"config": {"gama": 0.9}},
        {"config": 3},
        {"config": None},
    ],
)
def test_a_damaged_config_is_reported_with_its_path(change: dict[str, Any], run: Path) -> None:
    (run / CONFIG_FILE).write_text(json.dumps(DESCRIPTION | {"config": {}} | change))
    with pytest.raises(ValueError, match=r"config\.json does not describe a run: "):
        load_run(run)


def test_a_config_without_settings_is_reported_with_its_path(run: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.json does not describe a run: .*config"):
        load_run(run)


def test_find_file_accepts_a_folder_or_a_file(run: Path) -> None:
    assert find_file(run, PROGRESS_FILE) == run / PROGRESS_FILE
    assert find_file(run / PROGRESS_FILE, AGENT_FILE) == run / PROGRESS_FILE
    with pytest.raises(FileNotFoundError, match=r"contains no agent\.safetensors"):
        find_file(run, AGENT_FILE)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_file(run / "none", AGENT_FILE)


@pytest.mark.parametrize(
    ("config", "title"),
    [
        (DESCRIPTION, "8 bits in at most 9 steps, preset fast, seed 3"),
        (DESCRIPTION | {"environment": {"id": "Maze"}}, ""),
        ({"herfast": "0"}, ""),
        ({"herfast": "0", "environment": 8}, ""),
        ({}, ""),
    ],
)
def test_plots_have_environment_preset_and_seed_as_title(
    config: dict[str, Any], title: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: list[Any] = []
    monkeypatch.setattr("herfast.experiments.run.plot_run", lambda *args: arguments.extend(args))
    (run / CONFIG_FILE).write_text(json.dumps(config))
    plot_run_folder(run)
    columns, folder, actual_title = arguments
    assert folder == run
    assert len(columns["success"]) == 20
    assert actual_title == title


def test_update_config_replaces_only_config_json_and_atomically(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}

    def fail(*args: Any) -> None:
        raise OSError("simulated crash")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="simulated crash"):
            update_config(run, {"epochs": 9})
    assert {path: path.read_bytes() for path in before} == before, "an incomplete write must not show"
    update_config(run, {"epochs": 9})
    assert read_config(run) == {**DESCRIPTION, "config": {"epochs": 9}}
    del before[run / CONFIG_FILE]
    assert {path: path.read_bytes() for path in run.iterdir() if path.name != CONFIG_FILE} == before
