"""Callbacks: several at once, the history as JSON lines and in TensorBoard, and what kills and errors leave of it."""

import json
import math
import resource
import signal
import struct
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event, SessionLog

from herfast import Agent, BitFlip, JsonLines, TensorBoard
from herfast.common.history import COLUMNS

SMALL = {"hidden": (8,), "episodes_per_cycle": 2, "updates_per_cycle": 2, "cycles_per_epoch": 2, "batch_size": 4}
TAGS = {
    "success": "rollout/success_rate",
    "return": "rollout/ep_rew_mean",
    "epsilon": "rollout/exploration_rate",
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "greedy_success": "eval/success_rate",
}


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


@pytest.mark.parametrize("answer", [False, np.False_])
def test_false_stops_numpys_too(answer):
    """Which is what a comparison with the history gives."""
    assert small_agent().learn(epochs=2, callback=lambda agent: answer).cycles == 1


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


# --- TensorBoard ------------------------------------------------------------------------------------------------------


def checksum(data):
    """CRC-32C as TFRecord masks it."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def events(path):
    """The events of one file: of each its length, a checksum of that, its bytes, and a checksum of them."""
    found, data = [], path.read_bytes()
    while data:
        length, rest = data[:8], data[12:]
        n_bytes = struct.unpack("<Q", length)[0]
        assert data[8:12] == checksum(length)
        assert rest[n_bytes : n_bytes + 4] == checksum(rest[:n_bytes])
        found.append(Event.FromString(rest[:n_bytes]))
        data = rest[n_bytes + 4 :]
    assert found[0].file_version == "brain.Event:2"
    return found


def scalars(folder):
    """What TensorBoard shows: for each tag its pairs of step and value, without those that a later file hides."""
    found = {}
    for event in (event for path in sorted(folder.glob("events.out.tfevents.*")) for event in events(path)):
        if event.session_log.status == SessionLog.START:
            found = {tag: [pair for pair in pairs if pair[0] < event.step] for tag, pairs in found.items()}
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def history_scalars(agent):
    """What TensorBoard should show of an agent."""
    history, steps = agent.history, agent.history["env_steps"]
    columns = {tag: history[name] for name, tag in TAGS.items()} | {"time/fps": steps / history["seconds"]}
    return {
        tag: [(step, value) for step, value in zip(steps, column.astype(np.float32), strict=True) if value == value]
        for tag, column in columns.items()
    }


def test_tensorboard_shows_the_scalars_of_each_cycle_over_environment_steps(tmp_path):
    folder = tmp_path / "logs" / "seed0"
    with TensorBoard(str(folder)) as log:
        assert not folder.parent.exists()
        agent = small_agent().learn(epochs=3, callback=log)
    assert scalars(folder) == history_scalars(agent)
    assert {tag: len(pairs) for tag, pairs in scalars(folder).items()} == {
        tag: 3 if tag == "eval/success_rate" else 6 for tag in [*TAGS.values(), "time/fps"]
    }


def test_tensorboard_has_all_of_an_epoch_at_its_end(tmp_path):
    found = []
    with TensorBoard(tmp_path) as log:
        small_agent().learn(
            epochs=2,
            callback=[
                log,
                lambda a: found.append(scalars(tmp_path) == history_scalars(a)) if a.cycles % 2 == 0 else None,
            ],
        )
    assert found == [True, True]


def test_cycles_that_are_shown_later_keep_their_times(tmp_path):
    agent = small_agent().learn(epochs=2)
    with TensorBoard(tmp_path) as log:
        log(agent)
    (path,) = tmp_path.iterdir()
    times = [event.wall_time for event in events(path) if event.summary.value]
    np.testing.assert_allclose(np.diff(times), np.diff(agent.history["seconds"]), atol=1e-5)


def test_a_resumed_agent_goes_on_in_its_folder(tmp_path):
    logs, saved = tmp_path / "logs", tmp_path / "agent"
    with TensorBoard(logs) as log:
        agent = small_agent().learn(epochs=1, callback=log)
        agent.save(saved, replay=True)
        agent.learn(epochs=2, callback=log)
    assert [len(events(path)) for path in logs.iterdir()] == [2 + 6]
    resumed = Agent.load(saved)
    with TensorBoard(logs) as log:
        resumed.learn(epochs=1, callback=log)
    assert sorted(len(events(path)) for path in logs.iterdir()) == [2 + 4, 2 + 6]  # nothing is removed, but hidden
    assert scalars(logs) == history_scalars(resumed)


def test_a_full_disk_is_an_error_and_no_endless_wait(tmp_path):
    agent, log = small_agent().learn(epochs=1), TensorBoard(tmp_path)
    with pytest.raises(OSError, match="File too large"), full_disk(500):
        agent.learn(epochs=50, callback=log)
    agent.learn(epochs=1, callback=log)
    log.close()
    newest = max(tmp_path.iterdir())
    assert len([event for event in events(newest) if event.summary.value]) == agent.cycles


def test_a_missing_tensorboardx_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"^TensorBoard needs .*: pip install 'herfast\[tensorboard\]'$"):
        TensorBoard(tmp_path / "logs")
    assert not list(tmp_path.iterdir())


def test_both_at_once(tmp_path):
    with JsonLines(tmp_path / "run.jsonl") as lines, TensorBoard(tmp_path / "logs") as board:
        agent = small_agent().learn(epochs=2, callback=[lines, board])
    assert rows(tmp_path / "run.jsonl") == history_rows(agent)
    assert scalars(tmp_path / "logs") == history_scalars(agent)
