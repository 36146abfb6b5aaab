"""Tests of JSON lines and CSV logs, also after a killed run."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from support.history_files import history_rows, json_lines_rows, progress_columns
from support.small_agents import TINY_SETTINGS, tiny_agent

from herfast import Agent, JsonLines
from herfast.callbacks import text_logs
from herfast.common.history import HISTORY_SCHEMA, History

# --- JsonLines ----------------------------------------------------------------------------------------------


def test_each_line_holds_all_columns_of_one_cycle(tmp_path):
    path = tmp_path / "run.jsonl"
    with JsonLines(path) as log:
        agent = tiny_agent().learn(epochs=3, callback=log)
    assert json_lines_rows(path) == history_rows(agent)
    assert len(json_lines_rows(path)) == 6
    for row in json_lines_rows(path):
        assert list(row) == list(HISTORY_SCHEMA)
        integers = {name for name, value in row.items() if isinstance(value, int)}
        assert integers == {"epoch", "env_steps", "episodes", "updates"}
    assert [row["greedy_success"] is None for row in json_lines_rows(path)] == [True, False] * 3


def test_a_line_is_written_as_soon_as_its_cycle_ends(tmp_path):
    path = tmp_path / "run.jsonl"
    counts = []

    def count_lines(agent):
        counts.append((len(json_lines_rows(path)), agent.cycles))

    with JsonLines(str(path)) as log:
        assert not path.exists()
        tiny_agent().learn(epochs=3, callback=[log, count_lines])
    assert counts == [(cycle, cycle) for cycle in range(1, 7)]


KILLED_RUN = f"""
import os, signal, sys
from herfast import Agent, BitFlip, JsonLines
def kill(agent):
    if agent.cycles == 5:
        os.kill(os.getpid(), signal.SIGKILL)
agent = Agent(BitFlip(4), "fast", 0, capacity=100, until=None, **{TINY_SETTINGS})
agent.learn(epochs=1).save(sys.argv[2], replay=True)
agent.learn(epochs=9, callback=[JsonLines(sys.argv[1]), kill])
"""


def test_a_killed_run_leaves_complete_lines_and_its_checkpoint_continues_them(tmp_path):
    """Five cycles are logged, two are in the checkpoint; a sixth line is incomplete."""
    path = tmp_path / "run.jsonl"
    saved = tmp_path / "agent"
    command = [sys.executable, "-c", KILLED_RUN, str(path), str(saved)]
    killed = subprocess.run(command, cwd=tmp_path, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    before = json_lines_rows(path)
    assert [row["updates"] for row in before] == [2, 4, 6, 8, 10]
    with path.open("a") as file:
        file.write(json.dumps(before[-1])[:40])
    agent = Agent.load(saved)
    assert agent.cycles == 2
    counts = []
    with JsonLines(path) as log:
        agent.learn(epochs=2, callback=[log, lambda agent: counts.append(len(json_lines_rows(path)))])
    assert counts == [3, 4, 5, 6]
    assert json_lines_rows(path) == history_rows(agent)
    assert json_lines_rows(path)[:2] == before[:2]
    # The cycles after the checkpoint were trained again with the same results.
    for row, repeated in zip(before, json_lines_rows(path), strict=False):
        assert row | {"seconds": 0} == repeated | {"seconds": 0}


# --- CsvLog and read_csv_log --------------------------------------------------------------------------------


class RecordedAgent:
    """Agent whose history grows by the rows of `progress_columns`."""

    def __init__(self):
        self.history = History({name: column.dtype for name, column in progress_columns(1).items()})

    @property
    def cycles(self):
        return len(self.history["success"])

    def grow(self, n_rows):
        for cycle in range(self.cycles, n_rows):
            self.history.append(**{name: column[cycle] for name, column in progress_columns(20).items()})
        return self


@pytest.fixture
def csv_path(tmp_path):
    """Return the path of a CSV log of 20 cycles."""
    path = tmp_path / "progress.csv"
    with text_logs.CsvLog(path) as log:
        log(RecordedAgent().grow(20))
    return path


def test_a_csv_log_is_read_back_bit_for_bit(csv_path):
    columns = text_logs.read_csv_log(csv_path)
    assert list(columns) == list(progress_columns(20))
    for name, column in progress_columns(20).items():
        np.testing.assert_array_equal(columns[name], column)
        assert columns[name].dtype == column.dtype


def test_each_row_is_written_as_soon_as_its_cycle_ends(csv_path):
    agent = RecordedAgent()
    with text_logs.CsvLog(csv_path) as log:
        for n_rows in (1, 1, 2, 5):
            log(agent.grow(n_rows))
            assert len(csv_path.read_text().splitlines()) == 1 + n_rows


def test_an_incomplete_last_line_is_ignored(csv_path):
    text = csv_path.read_text()
    csv_path.write_text(text[:-3])
    assert len(text_logs.read_csv_log(csv_path)["success"]) == 19
    csv_path.write_text(text.splitlines()[0] + "\n")
    assert {len(column) for column in text_logs.read_csv_log(csv_path).values()} == {0}


@pytest.mark.parametrize(
    "data",
    [b"", b"a,b\n1,2\n", b"\xff\xfe\x00", b"success\nabc\n", b"success,loss\n1,2\n3\n", b"success\n1\n2,3\n"],
)
def test_other_files_are_rejected(data, tmp_path):
    path = tmp_path / "other.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"other\.csv is not the progress of a run"):
        text_logs.read_csv_log(path)


def test_the_header_is_written_once_also_without_rows(csv_path):
    agent = RecordedAgent()
    with text_logs.CsvLog(csv_path) as log:
        for n_rows in (0, 0, 1):
            log(agent.grow(n_rows))
            assert len(text_logs.read_csv_log(csv_path)["success"]) == n_rows
    assert csv_path.read_text().count("success") == 2  # in the columns success and greedy_success
