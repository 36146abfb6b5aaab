"""The folder of a run: what is written, what is refused, what is never touched."""

from __future__ import annotations

import errno
import fcntl
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from herfast import runs

DESCRIPTION = {"herfast": "0", "environment": {"n_bits": 8}, "preset": "fast", "seed": 3}


def history(n_cycles: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "epoch": np.arange(n_cycles) // 10 + 1,
        "success": rng.random(n_cycles),
        "return": -rng.random(n_cycles),
        "loss": rng.random(n_cycles) * 1e-9,
        "updates": 2**60 // 2**20 * np.arange(n_cycles),
        "greedy_success": np.where(np.arange(n_cycles) % 10 == 9, 0.1, np.nan),
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "a" / "run"
    with runs.claimed(folder):
        runs.begin(folder, DESCRIPTION)
    with runs.Progress(folder) as progress:
        progress.write(history(20))
    return folder


def test_progress_comes_back_bit_for_bit(run: Path) -> None:
    columns = runs.read_progress(run / runs.PROGRESS)
    assert list(columns) == list(history(20))
    for name, column in history(20).items():
        np.testing.assert_array_equal(columns[name], column)
        assert columns[name].dtype == column.dtype


def test_progress_is_on_the_disk_row_by_row(run: Path) -> None:
    with runs.Progress(run) as progress:
        for n_rows in (1, 1, 2, 5):
            progress.write({name: column[:n_rows] for name, column in history(20).items()})
            assert len((run / runs.PROGRESS).read_text().splitlines()) == 1 + n_rows


def test_a_last_line_cut_by_a_crash_is_left_out(run: Path) -> None:
    path = run / runs.PROGRESS
    text = path.read_text()
    path.write_text(text[:-3])
    assert len(runs.read_progress(path)["success"]) == 19
    path.write_text(text.splitlines()[0] + "\n")
    assert {len(column) for column in runs.read_progress(path).values()} == {0}


@pytest.mark.parametrize(
    "data", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00", b"success\nabc\n", b"success,loss\n1,2\n3\n", b"success\n1\n2,3\n"]
)
def test_what_is_not_the_progress_of_a_run_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"other\.csv is not the progress of a run"):
        runs.read_progress(path)


def test_a_new_or_empty_folder_or_one_with_other_files_is_free(tmp_path: Path) -> None:
    runs.check_free(tmp_path / "new" / "run", overwrite=False)
    (tmp_path / "notes.txt").write_text("mine")
    runs.check_free(tmp_path, overwrite=False)


def test_a_folder_with_a_run_is_refused_unless_overwritten(run: Path) -> None:
    with pytest.raises(FileExistsError, match=r"already holds a run: --resume .*, --overwrite "):
        runs.check_free(run, overwrite=False)
    runs.check_free(run, overwrite=True)


@pytest.mark.parametrize("name", runs.OWN_FILES)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_file_of_a_runs_name_is_never_replaced(name: str, overwrite: bool, tmp_path: Path) -> None:
    for text in ("{}", "not json", '["herfast"]'):
        (tmp_path / name).write_text(text)
        with pytest.raises(FileExistsError, match=f"holds a {name} that is not of a run of herfast"):
            runs.check_free(tmp_path, overwrite)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        runs.check_free(tmp_path / "file", overwrite=True)


def test_overwriting_replaces_the_runs_own_files_only(run: Path) -> None:
    for name in runs.OWN_FILES:
        if name != runs.CONFIG:
            (run / name).write_text("old")
    (run / "notes.txt").write_text("mine")
    (run / "sub").mkdir()
    runs.begin(run, DESCRIPTION | {"seed": 4})
    assert sorted(path.name for path in run.iterdir()) == [runs.CONFIG, "notes.txt", "sub"]
    assert json.loads((run / runs.CONFIG).read_text())["seed"] == 4
    assert (run / "notes.txt").read_text() == "mine"


def test_a_crash_while_overwriting_leaves_a_folder_that_is_known_as_a_run(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: Any) -> None:
        raise OSError("the power failed")

    monkeypatch.setattr(runs.os, "replace", crash)
    with pytest.raises(OSError, match="power"):
        runs.begin(run, DESCRIPTION)
    monkeypatch.undo()
    runs.check_free(run, overwrite=True)
    assert runs.describe(run) == DESCRIPTION


def test_what_cannot_be_resumed_is_refused(run: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoint\.safetensors to go on from: .* --overwrite"):
        runs.resumable(run)
    (run / runs.CHECKPOINT).write_text("")
    assert runs.resumable(run) == run / runs.CHECKPOINT
    (run / runs.CONFIG).write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"is not the folder of a run: it holds no config\.json of herfast"):
        runs.resumable(run)
    with pytest.raises(FileNotFoundError, match="none is not the folder of a run"):
        runs.resumable(run / "none")


def test_the_header_is_written_once_and_without_rows(run: Path) -> None:
    with runs.Progress(run) as progress:
        for n_rows in (0, 0, 1):
            progress.write({name: column[:n_rows] for name, column in history(20).items()})
            assert len(runs.read_progress(run / runs.PROGRESS)["success"]) == n_rows
    assert (run / runs.PROGRESS).read_text().count("success") == 2  # of the columns success and greedy_success


def test_find_takes_a_folder_or_a_file(run: Path) -> None:
    assert runs.find(run, runs.PROGRESS) == run / runs.PROGRESS
    assert runs.find(run / runs.PROGRESS, runs.AGENT) == run / runs.PROGRESS
    with pytest.raises(FileNotFoundError, match=r"holds no agent\.safetensors"):
        runs.find(run, runs.AGENT)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        runs.find(run / "none", runs.AGENT)


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
    monkeypatch.setattr(runs.plots, "plot_run", lambda *args: asked.extend(args))
    (run / runs.CONFIG).write_text(json.dumps(config))
    runs.plot(run)
    columns, folder, drawn = asked
    assert folder == run
    assert len(columns["success"]) == 20
    assert drawn == title


def test_amending_replaces_the_config_alone_and_at_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}

    def fail(*args: Any) -> None:
        raise OSError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(runs.os, "replace", fail)
        with pytest.raises(OSError, match="killed here"):
            runs.amend(run, {"epochs": 9})
    assert {path: path.read_bytes() for path in before} == before, "nothing is seen of a write that was cut short"
    runs.amend(run, {"epochs": 9})
    assert runs.describe(run) == {**DESCRIPTION, "config": {"epochs": 9}}
    del before[run / runs.CONFIG]
    assert {path: path.read_bytes() for path in run.iterdir() if path.name != runs.CONFIG} == before


def test_a_folder_is_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    for _ in range(2):
        with runs.claimed(folder):
            for _ in range(2):
                with (
                    pytest.raises(BlockingIOError, match=f"another herfast writes into {folder}"),
                    runs.claimed(folder),
                ):
                    pass

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with runs.claimed(folder), runs.claimed(folder):
        pass  # a file system without locks: nobody can know
