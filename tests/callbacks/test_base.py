"""Tests of combined callbacks, of stopping training, and of HistoryWriter."""

import errno
import os
import shutil

import numpy as np
import pytest
from support.files import file_names, full_disk
from support.history_files import history_rows, json_lines_rows
from support.small_agents import tiny_agent

from herfast import Agent, JsonLines, TensorBoard
from herfast.callbacks.text_logs import CsvLog


@pytest.mark.parametrize("kind", [list, tuple])
def test_all_callbacks_are_called_in_the_cycle_in_which_one_stops_training(kind):
    called = []

    def first(agent):
        called.append(("first", agent.cycles))
        return agent.cycles < 3

    def second(agent):
        called.append(("second", agent.cycles))

    agent = tiny_agent().learn(epochs=5, callback=kind([first, second]))
    assert agent.cycles == 3
    assert called == [(name, cycle) for cycle in (1, 2, 3) for name in ("first", "second")]


def test_none_and_an_empty_list_never_stop_training():
    for callback in (None, [], ()):
        assert tiny_agent().learn(epochs=2, callback=callback).cycles == 4


@pytest.mark.parametrize("result", [False, np.False_])
def test_a_callback_that_returns_false_stops_training(result):
    """A comparison with a value of the history returns NumPy's False."""
    assert tiny_agent().learn(epochs=2, callback=lambda agent: result).cycles == 1


@pytest.mark.parametrize("result", [None, True, 0, "", np.True_])
def test_other_return_values_do_not_stop_training(result):
    assert tiny_agent().learn(epochs=2, callback=lambda agent: result).cycles == 4


@pytest.mark.parametrize("callback", [5, "log", [5], [print, None], {print}])
def test_a_callback_that_is_not_callable_is_rejected_before_training(callback):
    agent = tiny_agent()
    with pytest.raises(TypeError, match=r"^callback must be a callable or a list of callables, got "):
        agent.learn(epochs=1, callback=callback)
    assert agent.cycles == 0


# --- HistoryWriter, tested through JsonLines ----------------------------------------------------------------


def test_the_file_always_mirrors_the_history_of_the_last_caller(tmp_path):
    path = tmp_path / "run.jsonl"
    log = JsonLines(path)
    agent = tiny_agent().learn(epochs=1)
    log(tiny_agent())
    assert json_lines_rows(path) == []
    agent.learn(epochs=1, callback=log)  # not called in the first cycles
    assert json_lines_rows(path) == history_rows(agent)
    agent.learn(epochs=2, callback=lambda agent: log(agent) if agent.cycles % 3 == 0 else None)
    assert json_lines_rows(path) == history_rows(agent)[:6]
    agent.learn(epochs=1, callback=[log, log])  # called twice per cycle
    assert json_lines_rows(path) == history_rows(agent)
    log.close()
    log.close()
    agent.learn(epochs=1, callback=log)  # called after it was closed
    assert json_lines_rows(path) == history_rows(agent)
    agent.save(tmp_path / "agent", replay=True)
    agent.learn(epochs=1, callback=log)
    earlier = Agent.load(tmp_path / "agent")
    earlier.learn(total_timesteps=1, callback=log)  # an agent with fewer cycles
    assert json_lines_rows(path) == history_rows(earlier)
    assert len(json_lines_rows(path)) == agent.cycles - 1
    log.close()


def test_later_calls_append_and_do_not_rewrite_the_file(tmp_path):
    path = tmp_path / "run.jsonl"
    with JsonLines(path) as log:
        agent = tiny_agent().learn(epochs=1, callback=log)
        path.write_text("")
        agent.learn(epochs=1, callback=log)
    assert path.read_bytes().lstrip(b"\0").count(b"\n") == 2


def test_the_first_call_after_an_error_writes_the_whole_history(tmp_path):
    path = tmp_path / "run.jsonl"
    agent = tiny_agent()
    with JsonLines(path) as log:
        agent.learn(epochs=1, callback=log)
        size = path.stat().st_size
        with pytest.raises(OSError, match="File too large"), full_disk(size + 30):
            agent.learn(epochs=1, callback=log)
        assert agent.cycles == 3
        assert path.stat().st_size == size + 30  # an incomplete line
        agent.learn(total_timesteps=1, callback=log)
        assert json_lines_rows(path) == history_rows(agent)
    assert json_lines_rows(path) == history_rows(agent)


# --- paths and errors of all writers ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [JsonLines, TensorBoard])
def test_a_relative_path_is_resolved_when_the_callback_is_created(kind, tmp_path, monkeypatch):
    for name in ("start", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "start")
    with kind("log") as log:
        monkeypatch.chdir(tmp_path / "other")
        agent = tiny_agent().learn(epochs=1, callback=log)
        monkeypatch.chdir(tmp_path)
        agent.learn(epochs=1, callback=log)
        log.close()
        agent.learn(epochs=1, callback=log)
    assert file_names(tmp_path / "start") == ["log"]
    assert file_names(tmp_path / "other") == []


@pytest.mark.parametrize("kind", [JsonLines, CsvLog])
def test_a_fifo_is_rejected_at_creation_and_when_it_is_opened(kind, tmp_path):
    """Opening a FIFO would wait for a reader."""
    path = tmp_path / "log"
    log = kind(path)
    os.mkfifo(path)
    agent = tiny_agent()
    with pytest.raises(OSError, match=f"^cannot write {path}: it is not a regular file$"):
        kind(path)
    with pytest.raises(OSError, match=f"^cannot write {path}: it is not a regular file$"):
        agent.learn(epochs=1, callback=log)
    path.unlink()
    log(agent)
    assert path.is_file()
    log.close()


@pytest.mark.parametrize("kind", [JsonLines, CsvLog, TensorBoard])
def test_the_error_of_a_full_disk_names_the_file(kind, tmp_path):
    log = kind(tmp_path / "log")
    agent = tiny_agent()
    with full_disk(500):
        with pytest.raises(OSError, match=f"^cannot write {tmp_path}/log: File too large$") as caught:
            agent.learn(epochs=50, callback=log)
        assert caught.value.errno == errno.EFBIG
        with pytest.raises(OSError, match=f"^cannot write {tmp_path}/log: File too large$"):
            log.close()
    log(agent)
    log.close()


@pytest.mark.parametrize("kind", [JsonLines, CsvLog, TensorBoard])
def test_the_error_of_a_read_only_folder_names_the_file(kind, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("root writes to read-only folders")
    with pytest.raises(PermissionError, match=f"^cannot write {folder}/log: Permission denied$"):
        tiny_agent().learn(epochs=1, callback=kind(folder / "log"))


@pytest.mark.parametrize("kind", [JsonLines, CsvLog])
def test_a_removed_file_is_written_again(kind, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "log"
    with kind(path) as log:
        agent = tiny_agent().learn(epochs=1, callback=log)
        path.unlink()
        agent.learn(epochs=1, callback=log)
        whole = path.read_text()
        shutil.rmtree(folder)
        with pytest.raises(FileNotFoundError, match=f"^cannot write {path}: there is no folder {folder}$"):
            agent.learn(epochs=1, callback=log)
        folder.mkdir()
        agent.learn(epochs=1, callback=log)
        assert path.read_text().startswith(whole)
        assert len(path.read_text().splitlines()) == agent.cycles + (kind is CsvLog)
