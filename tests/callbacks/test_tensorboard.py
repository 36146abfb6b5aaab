"""The history in TensorBoard: event files as it reads them, also of a resumed agent and on a full disk."""

import struct
import sys

import numpy as np
import pytest
from support.files import full_disk
from support.history_files import history_rows, json_lines_rows
from support.small_agents import tiny_agent
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event, SessionLog

from herfast import Agent, JsonLines, TensorBoard

TAGS = {
    "success": "rollout/success_rate",
    "return": "rollout/ep_rew_mean",
    "epsilon": "rollout/exploration_rate",
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "greedy_success": "eval/success_rate",
}


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
        agent = tiny_agent().learn(epochs=3, callback=log)
    assert scalars(folder) == history_scalars(agent)
    assert {tag: len(pairs) for tag, pairs in scalars(folder).items()} == {
        tag: 3 if tag == "eval/success_rate" else 6 for tag in [*TAGS.values(), "time/fps"]
    }


def test_tensorboard_has_all_of_an_epoch_at_its_end(tmp_path):
    found = []
    with TensorBoard(tmp_path) as log:
        tiny_agent().learn(
            epochs=2,
            callback=[
                log,
                lambda a: found.append(scalars(tmp_path) == history_scalars(a)) if a.cycles % 2 == 0 else None,
            ],
        )
    assert found == [True, True]


def test_cycles_that_are_shown_later_keep_their_times(tmp_path):
    agent = tiny_agent().learn(epochs=2)
    with TensorBoard(tmp_path) as log:
        log(agent)
    (path,) = tmp_path.iterdir()
    times = [event.wall_time for event in events(path) if event.summary.value]
    np.testing.assert_allclose(np.diff(times), np.diff(agent.history["seconds"]), atol=1e-5)


def test_a_resumed_agent_goes_on_in_its_folder(tmp_path):
    logs, saved = tmp_path / "logs", tmp_path / "agent"
    with TensorBoard(logs) as log:
        agent = tiny_agent().learn(epochs=1, callback=log)
        agent.save(saved, replay=True)
        agent.learn(epochs=2, callback=log)
    assert [len(events(path)) for path in logs.iterdir()] == [2 + 6]
    resumed = Agent.load(saved)
    with TensorBoard(logs) as log:
        resumed.learn(epochs=1, callback=log)
    assert sorted(len(events(path)) for path in logs.iterdir()) == [2 + 4, 2 + 6]  # nothing is removed, but hidden
    assert scalars(logs) == history_scalars(resumed)


def test_a_full_disk_is_an_error_and_no_endless_wait(tmp_path):
    agent, log = tiny_agent().learn(epochs=1), TensorBoard(tmp_path)
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
        agent = tiny_agent().learn(epochs=2, callback=[lines, board])
    assert json_lines_rows(tmp_path / "run.jsonl") == history_rows(agent)
    assert scalars(tmp_path / "logs") == history_scalars(agent)
