"""Callbacks: several at once, the history as JSON lines, and what kills and errors leave of it."""

import json
import math
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from herfast import Agent, BitFlip, JsonLines
from herfast.agent import COLUMNS

SMALL = {"hidden": (8,), "episodes_per_cycle": 2, "updates_per_cycle": 2, "cycles_per_epoch": 2, "batch_size": 4}


def small_agent(seed=0):
    return Agent(BitFlip(4), "fast", seed, capacity=100, until=None, **SMALL)


@contextmanager
def full_disk(size):
    """No file may grow past `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- one or several ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, tuple])
def test_all_callbacks_are_called_in_order_for_the_cycle_in_which_one_stops(kind):
    called = []

    def first(agent):
        called.append(("first", agent.cycles))
        return agent.cycles < 3

    def second(agent):
        called.append(("second", agent.cycles))

    agent = small_agent().learn(epochs=5, callback=kind([first, second]))
    assert agent.cycles == 3
    assert called == [(name, cycle) for cycle in (1, 2, 3) for name in ("first", "second")]


def test_no_callback_and_an_empty_list_are_alike():
    assert [small_agent().learn(epochs=2, callback=callback).cycles for callback in (None, [], ())] == [4, 4, 4]


@pytest.mark.parametrize("answer", [None, True, 0, "", np.True_])
def test_only_false_stops(answer):
    assert small_agent().learn(epochs=2, callback=lambda agent: answer).cycles == 4


@pytest.mark.parametrize("callback", [5, "log", [5], [print, None], {print}])
def test_what_cannot_be_called_is_refused_before_anything_is_learnt(callback):
    agent = small_agent()
    with pytest.raises(TypeError, match=r"^callback must be a function of the agent or a list of them, got "):
        agent.learn(epochs=1, callback=callback)
    assert agent.cycles == 0


# --- JSON lines -------------------------------------------------------------------------------------------------------


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def rows(path):
    """The objects of a file of whole lines of strict JSON."""
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def history_rows(agent):
    """The rows of an agent's history, None where it has NaN."""
    columns = [column.tolist() for column in agent.history.values()]
    known = ([None if math.isnan(value) else value for value in row] for row in zip(*columns, strict=True))
    return [dict(zip(agent.history, row, strict=True)) for row in known]


def test_a_line_is_a_cycle_with_all_columns_of_the_history(tmp_path):
    path = tmp_path / "run.jsonl"
    with JsonLines(path) as log:
        agent = small_agent().learn(epochs=3, callback=log)
    assert rows(path) == history_rows(agent)
    assert len(rows(path)) == 6
    for row in rows(path):
        assert list(row) == list(COLUMNS)
        integers = {name for name, value in row.items() if isinstance(value, int)}
        assert integers == {"epoch", "env_steps", "episodes", "updates"}
    assert [row["greedy_success"] is None for row in rows(path)] == [True, False] * 3


def test_a_line_is_there_as_soon_as_its_cycle_ends(tmp_path):
    path = tmp_path / "run.jsonl"
    with JsonLines(str(path)) as log:
        assert not path.exists()
        found = []
        small_agent().learn(epochs=3, callback=[log, lambda agent: found.append((len(rows(path)), agent.cycles))])
    assert found == [(cycle, cycle) for cycle in range(1, 7)]


KILLED = f"""
import os, signal, sys
from herfast import Agent, BitFlip, JsonLines
def kill(agent):
    if agent.cycles == 5:
        os.kill(os.getpid(), signal.SIGKILL)
agent = Agent(BitFlip(4), "fast", 0, capacity=100, until=None, **{SMALL})
agent.learn(epochs=1).save(sys.argv[2], replay=True)
agent.learn(epochs=9, callback=[JsonLines(sys.argv[1]), kill])
"""


def test_a_killed_run_leaves_whole_lines_and_goes_on_from_its_checkpoint(tmp_path):
    """Five cycles are logged, two are in the checkpoint; the kill may also have torn a sixth line."""
    path, saved = tmp_path / "run.jsonl", tmp_path / "agent"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), str(saved)], cwd=tmp_path, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    before = rows(path)
    assert [row["updates"] for row in before] == [2, 4, 6, 8, 10]
    with path.open("a") as file:
        file.write(json.dumps(before[-1])[:40])
    agent, found = Agent.load(saved), []
    assert agent.cycles == 2
    with JsonLines(path) as log:
        agent.learn(epochs=2, callback=[log, lambda agent: found.append(len(rows(path)))])
    assert found == [3, 4, 5, 6]
    assert rows(path) == history_rows(agent)
    assert rows(path)[:2] == before[:2]
    for row, again in zip(before, rows(path), strict=False):  # the same cycles, learnt a second time
        assert row | {"seconds": 0} == again | {"seconds": 0}


def test_however_it_is_used_the_file_mirrors_the_history_of_who_called_last(tmp_path):
    path = tmp_path / "run.jsonl"
    log, agent = JsonLines(path), small_agent().learn(epochs=1)
    log(small_agent())
    assert rows(path) == []
    agent.learn(epochs=1, callback=log)  # which came late
    assert rows(path) == history_rows(agent)
    agent.learn(epochs=2, callback=lambda agent: log(agent) if agent.cycles % 3 == 0 else None)  # seldom
    assert rows(path) == history_rows(agent)[:6]
    agent.learn(epochs=1, callback=[log, log])  # and twice
    assert rows(path) == history_rows(agent)
    log.close()
    log.close()
    agent.learn(epochs=1, callback=log)  # after it was closed
    assert rows(path) == history_rows(agent)
    agent.save(tmp_path / "agent", replay=True)
    agent.learn(epochs=1, callback=log)
    earlier = Agent.load(tmp_path / "agent")
    earlier.learn(total_timesteps=1, callback=log)  # an agent that is a cycle behind
    assert rows(path) == history_rows(earlier)
    assert len(rows(path)) == agent.cycles - 1
    log.close()


def test_lines_are_appended_and_not_written_again(tmp_path):
    path = tmp_path / "run.jsonl"
    with JsonLines(path) as log:
        agent = small_agent().learn(epochs=1, callback=log)
        path.write_text("")
        agent.learn(epochs=1, callback=log)
    assert path.read_bytes().lstrip(b"\0").count(b"\n") == 2


def test_after_an_error_the_next_call_writes_all(tmp_path):
    path, agent = tmp_path / "run.jsonl", small_agent()
    with JsonLines(path) as log:
        agent.learn(epochs=1, callback=log)
        size = path.stat().st_size
        with pytest.raises(OSError, match="File too large"), full_disk(size + 30):
            agent.learn(epochs=1, callback=log)
        assert agent.cycles == 3
        assert path.stat().st_size == size + 30  # a torn line
        agent.learn(total_timesteps=1, callback=log)
        assert rows(path) == history_rows(agent)
    assert rows(path) == history_rows(agent)
