"""Tests of the replay buffer of DQN: its size in transitions, and its files."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3.common.envs import BitFlippingEnv
from support.sb3_models import HINDSIGHT, bit_flipping, small_model

from herfast.common.batches import Outcomes, Trajectories
from herfast.sb3 import DQN


def test_a_long_episode_is_stored_in_parts(monkeypatch):
    monkeypatch.setattr("herfast.sb3.episodes.MAX_STEPS", 7)
    model = small_model(BitFlippingEnv(30, max_steps=25), learning_starts=1_000).learn(50)
    lengths = episode_lengths(model.replay_buffer)
    assert lengths == [7, 7, 7, 4] * 2
    assert model._episode_num == 2
    assert model.replay_buffer._first == 0


def episode_lengths(replay):
    """Return the stored numbers of steps, from the oldest episode to the newest."""
    steps = (replay.state_dict()["records"][:, -1] >> np.uint64(32)) & np.uint64(0xFFFF)
    ends = np.flatnonzero(steps == 0)
    return (np.diff(ends, prepend=-1) - 1).tolist()


@pytest.mark.parametrize("copies_infos", [False, True])
@pytest.mark.parametrize("buffer_size", [1, 2, 7, 40])
def test_the_oldest_episodes_are_dropped(buffer_size, copies_infos):
    """An episode of more steps keeps its last ones."""
    kwargs = {"copy_info_dict": copies_infos}
    env = bit_flipping(2, 9, max_steps=5)
    model = DQN(
        "MultiInputPolicy",
        env,
        buffer_size=buffer_size,
        learning_starts=10**6,
        seed=0,
        **{**HINDSIGHT, "replay_buffer_kwargs": kwargs},
    )
    ends = []

    def check(values, _):
        replay = model.replay_buffer
        ends.extend(info["episode"]["l"] for info in values["infos"] if "episode" in info)
        lengths = [min(length, buffer_size) for length in ends]
        while sum(lengths) > buffer_size:
            lengths.pop(0)
        assert episode_lengths(replay) == lengths
        assert replay.size() == len(replay) == sum(lengths)
        if copies_infos and lengths:
            rows = np.arange(lengths[0])
            last = replay.infos.take(rows)[-1]
            assert last["episode"]["l"] == ends[-len(lengths)]
            assert "terminal_observation" not in last
        return True

    model.learn(600, callback=check)
    assert len(ends) > 50


def contents(replay):
    """Return the records and infos from the oldest to the newest."""
    size = int(replay.cursor[1])
    assert replay.cursor[0] == size % len(replay.records)
    infos = None
    if replay.infos is not None:
        infos = replay.infos.take(np.arange(size))
    return replay.records[:size].tolist(), infos


@pytest.mark.parametrize("copies_infos", [False, True])
@pytest.mark.parametrize("buffer_size", [1, 7, 40])
def test_a_loaded_replay_buffer_is_the_same(tmp_path, buffer_size, copies_infos):
    """Both also drop the same episodes afterwards."""
    env = bit_flipping(2, 9, max_steps=5)
    arguments = {"buffer_size": buffer_size, "learning_starts": 10**6, **HINDSIGHT}
    arguments["replay_buffer_kwargs"] = {"copy_info_dict": copies_infos}
    first, second = (DQN("MultiInputPolicy", env, seed=seed, **arguments).learn(333) for seed in (0, 1))
    first.save_replay_buffer(tmp_path / "buffer")
    assert contents(first.replay_buffer) != contents(second.replay_buffer)
    second.load_replay_buffer(tmp_path / "buffer")
    assert contents(first.replay_buffer) == contents(second.replay_buffer)
    rng = np.random.default_rng(0)
    for number in range(60):
        length = int(rng.integers(1, 6))
        states = rng.integers(0, 2**9, (length + 1, 1, 1)).astype(np.uint64)
        actions = rng.integers(0, 9, (length, 1)).astype(np.uint16)
        lengths = np.array([length], np.int32)
        infos = None
        if copies_infos:
            infos = [[{"step": f"{number} {t}"} for t in range(length)]]
        flags = np.zeros(1, bool)
        for model in (first, second):
            trajectories = Trajectories(states, actions, states[0], lengths)
            model.replay_buffer.add_episode(trajectories, Outcomes(np.zeros(1), flags, flags, infos))
        assert contents(first.replay_buffer) == contents(second.replay_buffer)
