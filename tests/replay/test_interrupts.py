"""Tests of long calls that a signal ends, of an overwritten ring, and of `clear`."""

import signal
import threading

import numpy as np
import pytest
from support.trajectories import numbered_episodes

from herfast import HindsightReplay, Trajectories


class Alarm(Exception):
    """Raised by the handler of SIGALRM."""


@pytest.fixture
def alarm():
    """Function that makes a call, and raises Alarm in it after some seconds."""

    def handle(number, frame):
        raise Alarm

    def call(seconds, function, *args):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        function(*args)

    before = signal.signal(signal.SIGALRM, handle)
    yield call
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def filled_replay(capacity=5_000, seed=0):
    replay = HindsightReplay(capacity, 50, strategy="future", k=4, seed=seed)
    replay.add(numbered_episodes(100, 40))
    return replay


@pytest.mark.parametrize(("n_batches", "batch_size"), [(1_000, 4_000), (1, 4_000_000)])
def test_sampling_ends_early_after_a_signal(n_batches, batch_size, alarm):
    """The generator then has drawn fewer numbers than a whole call draws."""
    replay, other = filled_replay(), filled_replay()
    other.sample(n_batches, batch_size)
    with pytest.raises(Alarm):
        alarm(0.02, replay.sample, n_batches, batch_size)
    assert replay.rng.bit_generator.state != other.rng.bit_generator.state
    replay.sample(1, 8)


def add_and_join(replay, trajectories, thread):
    replay.add(trajectories)
    thread.join()


@pytest.mark.usefixtures("alarm")
def test_an_interrupted_addition_stores_whole_episodes():
    n_bits, n_episodes = 65_535, 3_000
    replay = HindsightReplay(2 * n_episodes, n_bits)
    states = np.zeros((2, n_episodes, 1024), np.uint64)
    states[:, :, 0] = 7
    trajectories = Trajectories(
        states, np.zeros((1, n_episodes), np.uint16), states[0], np.ones(n_episodes, np.int32)
    )

    def interrupt_once_begun():
        while replay.records[0, 0] == 0:
            pass
        signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

    n_stored = n_episodes
    while n_stored == n_episodes:  # the other thread may have begun too late
        replay.clear()
        replay.records[0, 0] = 0
        thread = threading.Thread(target=interrupt_once_begun)
        thread.start()
        with pytest.raises(Alarm):
            add_and_join(replay, trajectories, thread)
        thread.join()
        n_stored = len(replay)
    assert replay.cursor.tolist() == [2 * n_stored, 2 * n_stored, n_stored]
    assert n_stored > 0
    HindsightReplay(2 * n_episodes, n_bits).load_state_dict(replay.state_dict())  # validates the records
    assert (replay.records[: 2 * n_stored, 0] == 7).all()


@pytest.mark.parametrize("strategy", ["future", "final", "episode", "random"])
def test_sampling_from_overwritten_records_raises(strategy):
    replay = HindsightReplay(100, 9, strategy=strategy, seed=0)
    replay.add(
        numbered_episodes(3, 5)._replace(
            states=np.zeros((6, 3, 1), np.uint64), goals=np.zeros((3, 1), np.uint64)
        )
    )
    replay.records[:] = 0
    with pytest.raises(
        ValueError, match=r"^the records hold no transition, but the cursor counts 15: .* clear\(\)$"
    ):
        replay.sample(1, 1)


def test_a_cleared_replay_buffer_is_as_new():
    replay = filled_replay()
    replay.clear()
    assert len(replay) == 0
    assert replay.cursor.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="the replay buffer is empty"):
        replay.sample(1, 1)
    new = HindsightReplay(5_000, 50, strategy="future", k=4, seed=0)
    for one in (replay, new):
        one.add(numbered_episodes(20, 40, first_episode=7))
    for array, expected in zip(replay.sample(3, 50), new.sample(3, 50), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_an_interrupted_load_keeps_the_stored_episodes(monkeypatch):
    monkeypatch.setattr("herfast.replay.hindsight_replay.MAX_COPY_BYTES", 24 * 100)
    saved, replay = filled_replay(), filled_replay(seed=1)
    before = replay.cursor.tolist(), replay.records.copy()
    portions = []

    def read(rows, out_records):
        portions.append(rows)
        if len(portions) == 3:
            raise Alarm
        out_records[:] = saved.records[rows]

    with pytest.raises(Alarm):
        replay._load_records(4_100, read, saved.cursor)
    assert portions == [slice(0, 100), slice(100, 200), slice(200, 300)]
    assert replay.cursor.tolist() == before[0]
    np.testing.assert_array_equal(replay.records, before[1])
