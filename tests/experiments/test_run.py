"""The folder of a run: what is written, what is refused, what is never touched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.history_files import progress_columns

from herfast.callbacks import text_logs
from herfast.common import atomic_file
from herfast.experiments.run import (
    AGENT_FILE,
    CHECKPOINT_FILE,
    CONFIG_FILE,
    PROGRESS_FILE,
    RUN_FILES,
    check_folder_free,
    create_run,
    find_checkpoint,
    find_file,
    plot_run_folder,
    read_config,
    update_config,
)

DESCRIPTION = {"herfast": "0", "environment": {"n_bits": 8}, "preset": "fast", "seed": 3}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "a" / "run"
    with atomic_file.locked(folder):
        create_run(folder, DESCRIPTION)
    with text_logs.CsvLog(folder / PROGRESS_FILE) as progress:
        progress.write(progress_columns(20))
    return folder


def test_a_new_or_empty_folder_or_one_with_other_files_is_free(tmp_path: Path) -> None:
    check_folder_free(tmp_path / "new" / "run", overwrite=False)
    (tmp_path / "notes.txt").write_text("mine")
    check_folder_free(tmp_path, overwrite=False)


def test_a_folder_with_a_run_is_refused_unless_overwritten(run: Path) -> None:
    with pytest.raises(FileExistsError, match=r"already holds a run: --resume .*, --overwrite "):
        check_folder_free(run, overwrite=False)
    check_folder_free(run, overwrite=True)


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_file_of_a_runs_name_is_never_replaced(name: str, overwrite: bool, tmp_path: Path) -> None:
    for text in ("{}", "not json", '["herfast"]'):
        (tmp_path / name).write_text(text)
        with pytest.raises(FileExistsError, match=f"holds a {name} that is not of a run of herfast"):
            check_folder_free(tmp_path, overwrite)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        check_folder_free(tmp_path / "file", overwrite=True)


def test_overwriting_replaces_the_runs_own_files_only(run: Path) -> None:
    for name in RUN_FILES:
        if name != CONFIG_FILE:
            (run / name).write_text("old")
    (run / "notes.txt").write_text("mine")
    (run / "sub").mkdir()
    create_run(run, DESCRIPTION | {"seed": 4})
    assert sorted(path.name for path in run.iterdir()) == [CONFIG_FILE, "notes.txt", "sub"]
    assert json.loads((run / CONFIG_FILE).read_text())["seed"] == 4
    assert (run / "notes.txt").read_text() == "mine"


def test_a_crash_while_overwriting_leaves_a_folder_that_is_known_as_a_run(
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


def test_what_cannot_be_resumed_is_refused(run: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoint\.safetensors to go on from: .* --overwrite"):
        find_checkpoint(run)
    (run / CHECKPOINT_FILE).write_text("")
    assert find_checkpoint(run) == run / CHECKPOINT_FILE
    (run / CONFIG_FILE).write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"is not the folder of a run: it holds no config\.json of herfast"):
        find_checkpoint(run)
    with pytest.raises(FileNotFoundError, match="none is not the folder of a run"):
        find_checkpoint(run / "none")


def test_find_takes_a_folder_or_a_file(run: Path) -> None:
    assert find_file(run, PROGRESS_FILE) == run / PROGRESS_FILE
    assert find_file(run / PROGRESS_FILE, AGENT_FILE) == run / PROGRESS_FILE
    with pytest.raises(FileNotFoundError, match=r"holds no agent\.safetensors"):
        find_file(run, AGENT_FILE)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_file(run / "none", AGENT_FILE)


@pytest.mark.parametrize(
    ("config", "title"),
    [
        (DESCRIPTION, "8 bits, preset fast, seed 3"),
        ({"herfast": "0"}, ""),
        ({"herfast": "0", "environment": 8}, ""),
        ({}, ""),
    ],
)
def test_plots_are_titled_by_what_was_learnt(
    config: dict[str, Any], title: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("herfast.experiments.run.plot_run", lambda *args: asked.extend(args))
    (run / CONFIG_FILE).write_text(json.dumps(config))
    plot_run_folder(run)
    columns, folder, drawn = asked
    assert folder == run
    assert len(columns["success"]) == 20
    assert drawn == title


def test_amending_replaces_the_config_alone_and_at_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}

    def fail(*args: Any) -> None:
        raise OSError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="killed here"):
            update_config(run, {"epochs": 9})
    assert {path: path.read_bytes() for path in before} == before, "nothing is seen of a write that was cut short"
    update_config(run, {"epochs": 9})
    assert read_config(run) == {**DESCRIPTION, "config": {"epochs": 9}}
    del before[run / CONFIG_FILE]
    assert {path: path.read_bytes() for path in run.iterdir() if path.name != CONFIG_FILE} == before
