"""Tests of TensorBoard: event files, resumed agents, and a full disk."""

import shutil
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
    """Return the masked CRC-32C of the TFRecord format."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def read_events(path):
    """Return the events of one file after verifying their checksums.

    Each event is stored as its length, a checksum of the length, its bytes, and a checksum of the bytes.
    """
    events = []
    data = path.read_bytes()
    while data:
        length, rest = data[:8], data[12:]
        n_bytes = struct.unpack("<Q", length)[0]
        assert data[8:12] == checksum(length)
        assert rest[n_bytes : n_bytes + 4] == checksum(rest[:n_bytes])
        events.append(Event.FromString(rest[:n_bytes]))
        data = rest[n_bytes + 4 :]
    assert events[0].file_version == "brain.Event:2"
    return events


def shown_scalars(folder):
    """Return the (step, value) pairs by tag that TensorBoard shows.

    Pairs that a later file hides are left out.
    """
    scalars = {}
    paths = sorted(folder.glob("events.out.tfevents.*"))
    for event in (event for path in paths for event in read_events(path)):
        if event.session_log.status == SessionLog.START:
            scalars = {
                tag: [pair for pair in pairs if pair[0] < event.step] for tag, pairs in scalars.items()
            }
        for value in event.summary.value:
            scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars


def history_scalars(agent):
    """Return the (step, value) pairs by tag that should be shown for an agent."""
    history = agent.history
    steps = history["env_steps"]
    columns = {tag: history[name] for name, tag in TAGS.items()} | {"time/fps": steps / history["seconds"]}
    scalars = {}
    for tag, column in columns.items():
        pairs = zip(steps, column.astype(np.float32), strict=True)
        scalars[tag] = [(step, value) for step, value in pairs if not np.isnan(value)]
    return scalars


def test_scalars_of_each_cycle_are_shown_over_environment_steps(tmp_path):
    folder = tmp_path / "logs" / "seed0"
    with TensorBoard(str(folder)) as log:
        assert not folder.parent.exists()
        agent = tiny_agent().learn(epochs=3, callback=log)
    assert shown_scalars(folder) == history_scalars(agent)
    assert {tag: len(pairs) for tag, pairs in shown_scalars(folder).items()} == {
        tag: 3 if tag == "eval/success_rate" else 6 for tag in [*TAGS.values(), "time/fps"]
    }


def test_all_cycles_of_an_epoch_are_on_disk_at_its_end(tmp_path):
    results = []

    def compare_at_the_end_of_an_epoch(agent):
        if agent.cycles % 2 == 0:
            results.append(shown_scalars(tmp_path) == history_scalars(agent))

    with TensorBoard(tmp_path) as log:
        tiny_agent().learn(epochs=2, callback=[log, compare_at_the_end_of_an_epoch])
    assert results == [True, True]


def test_cycles_that_are_written_later_keep_their_times(tmp_path):
    agent = tiny_agent().learn(epochs=2)
    with TensorBoard(tmp_path) as log:
        log(agent)
    (path,) = tmp_path.iterdir()
    times = [event.wall_time for event in read_events(path) if event.summary.value]
    np.testing.assert_allclose(np.diff(times), np.diff(agent.history["seconds"]), atol=1e-5)


def event_counts(folder):
    """Return the number of events of each file, oldest first."""
    return [len(read_events(path)) for path in sorted(folder.iterdir())]


def test_each_further_callback_of_an_agent_appends(tmp_path):
    agent = tiny_agent()
    logs = [TensorBoard(tmp_path) for _ in range(5)]
    for log in logs:  # they are not closed
        agent.learn(epochs=1, callback=log)
        assert event_counts(tmp_path) == [2 + agent.cycles]
    agent.learn(total_timesteps=1, callback=logs[1])  # it was used before the others
    logs[1].close()
    agent.learn(total_timesteps=1, callback=logs[1])
    assert event_counts(tmp_path) == [2 + agent.cycles]
    assert shown_scalars(tmp_path) == history_scalars(agent)
    for log in logs:
        log.close()
    assert shown_scalars(tmp_path) == history_scalars(agent)


def test_an_agent_loaded_from_a_checkpoint_at_its_last_call_appends(tmp_path):
    logs = tmp_path / "logs"
    saved = tmp_path / "agent"
    agent = tiny_agent()
    for _ in range(3):
        with TensorBoard(logs) as log:
            agent.learn(epochs=1, callback=log).save(saved, replay=True)
        agent = Agent.load(saved)
    assert event_counts(logs) == [2 + 6]
    assert shown_scalars(logs) == history_scalars(agent)


def test_an_agent_with_equal_results_does_not_append(tmp_path):
    """Two trainings with one seed differ only in their times."""
    for expected in ([2 + 2], [2 + 2, 2 + 2]):
        with TensorBoard(tmp_path) as log:
            agent = tiny_agent().learn(epochs=1, callback=log)
        assert event_counts(tmp_path) == expected
    assert shown_scalars(tmp_path) == history_scalars(agent)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:-60], lambda data: data + b"x"]
)
def test_nothing_is_appended_to_a_damaged_file(tmp_path, damage):
    with TensorBoard(tmp_path) as log:
        agent = tiny_agent().learn(epochs=1, callback=log)
    (damaged,) = tmp_path.iterdir()
    content = damage(damaged.read_bytes())
    damaged.write_bytes(content)
    with TensorBoard(tmp_path) as log:
        agent.learn(epochs=1, callback=log)
    newest = max(tmp_path.iterdir())
    assert damaged.read_bytes() == content
    assert len(read_events(newest)) == 2 + agent.cycles


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 40, bytes(16)])
def test_nothing_is_appended_to_a_file_of_another_program(tmp_path, content):
    other = tmp_path / "events.out.tfevents.0"
    other.write_bytes(content)
    with TensorBoard(tmp_path) as log:
        agent = tiny_agent().learn(epochs=1, callback=log)
    assert other.read_bytes() == content
    assert len(read_events(max(tmp_path.iterdir()))) == 2 + agent.cycles


def test_a_folder_that_is_removed_during_training_is_written_again(tmp_path):
    folder = tmp_path / "logs"
    with TensorBoard(folder) as log:
        agent = tiny_agent().learn(epochs=1, callback=log)
        shutil.rmtree(folder)
        agent.learn(epochs=1, callback=log)
    assert shown_scalars(folder) == history_scalars(agent)


def test_an_agent_loaded_from_an_earlier_checkpoint_hides_later_cycles(tmp_path):
    logs = tmp_path / "logs"
    saved = tmp_path / "agent"
    with TensorBoard(logs) as log:
        agent = tiny_agent().learn(epochs=1, callback=log)
        agent.save(saved, replay=True)
        agent.learn(epochs=2, callback=log)
    assert event_counts(logs) == [2 + 6]
    resumed = Agent.load(saved)
    with TensorBoard(logs) as log:
        resumed.learn(epochs=1, callback=log)
    # The older file is hidden, not removed.
    assert event_counts(logs) == [2 + 6, 2 + 4]
    assert shown_scalars(logs) == history_scalars(resumed)


def test_a_full_disk_raises_instead_of_waiting_forever(tmp_path):
    agent = tiny_agent().learn(epochs=1)
    log = TensorBoard(tmp_path)
    with pytest.raises(OSError, match="File too large"), full_disk(500):
        agent.learn(epochs=50, callback=log)
    agent.learn(epochs=1, callback=log)
    log.close()
    newest = max(tmp_path.iterdir())
    assert len([event for event in read_events(newest) if event.summary.value]) == agent.cycles


def test_without_tensorboardx_the_error_names_the_extra_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"^TensorBoard needs .*: pip install 'herfast\[tensorboard\]'$"):
        TensorBoard(tmp_path / "logs")
    assert not list(tmp_path.iterdir())


def test_json_lines_and_tensorboard_can_be_used_together(tmp_path):
    with JsonLines(tmp_path / "run.jsonl") as lines, TensorBoard(tmp_path / "logs") as board:
        agent = tiny_agent().learn(epochs=2, callback=[lines, board])
    assert json_lines_rows(tmp_path / "run.jsonl") == history_rows(agent)
    assert shown_scalars(tmp_path / "logs") == history_scalars(agent)
