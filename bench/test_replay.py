"""The replay ring: minibatches with hindsight goals, and insertion.

Run with `pytest bench/test_replay.py --benchmark-only -s`.
"""

import numpy as np
import pytest
from reference import ring
from trajectories import add_to_twin, assert_same_samples

from herfast import HindsightReplay, Trajectories, pack_bits
from herfast.common.seeding import Role, stream

UPDATES, BATCH = 40, 128


def trajectories(rng, n_bits, n_episodes, length):
    """Random walks on bit strings, with random goals."""
    flips = rng.integers(0, n_bits, (length, n_episodes))
    bits = np.zeros((length + 1, n_episodes, n_bits), np.int8)
    bits[0] = rng.integers(0, 2, (n_episodes, n_bits))
    for t in range(length):
        bits[t + 1] = bits[t]
        bits[t + 1, np.arange(n_episodes), flips[t]] ^= 1
    lengths = np.full(n_episodes, length, np.int32)
    return Trajectories(
        pack_bits(bits), flips.astype(np.uint16), pack_bits(rng.integers(0, 2, (n_episodes, n_bits))), lengths
    )


def filled(n_bits, capacity, strategy="future", k=4):
    """A full ring; its episodes are 512 different ones, over and over."""
    replay = HindsightReplay(capacity, n_bits, strategy=strategy, k=k, seed=0)
    episodes = trajectories(np.random.default_rng(0), n_bits, 512, n_bits)
    for _ in range(-(-capacity // (512 * (n_bits + 1)))):
        replay.add(episodes)
    return replay


def check_by_the_twin(n_bits, strategy="future", k=4):
    """A small ring, in part overwritten, samples what the twin samples, draw for draw."""
    episodes, capacity = trajectories(np.random.default_rng(2), n_bits, 5, n_bits), 3 * n_bits + 5
    replay, twin = HindsightReplay(capacity, n_bits, strategy=strategy, k=k, seed=0), ring.Ring(capacity, n_bits)
    replay.add(episodes)
    add_to_twin(twin, episodes)
    assert_same_samples(replay, twin, stream(0, Role.REPLAY).bit_generator)


def check(batches, n_bits):
    """What must hold of any minibatch of the game."""
    changed = batches.states ^ batches.next_states
    expected = np.zeros_like(changed)
    words, bits = batches.actions.astype(int) >> 6, batches.actions.astype(np.uint64) & np.uint64(63)
    np.put_along_axis(expected, words[..., None], (np.uint64(1) << bits)[..., None], -1)
    assert (changed == expected).all()
    reached = (batches.next_states == batches.goals).all(axis=-1)
    assert (batches.terminated == reached).all()
    assert (batches.rewards == np.where(reached, 0, -1)).all()


@pytest.mark.parametrize("strategy", ["future", "final", "episode", "random"])
@pytest.mark.parametrize("capacity", [100_000, 1_000_000, 10_000_000])
def test_sample(benchmark, capacity, strategy):
    """Goals at 50 bits: 6 us a minibatch of 128 at 1e6 records; at 1e7 at most twice the time at 1e5."""
    check_by_the_twin(50, strategy)
    replay = filled(50, capacity, strategy)
    check(replay.sample(UPDATES, BATCH), 50)
    benchmark(replay.sample, UPDATES, BATCH)
    report(benchmark, f"50 bits, {strategy}, {capacity:,} records")


@pytest.mark.parametrize("n_bits", [8, 20, 50, 128, 256])
def test_sample_sizes(benchmark, n_bits):
    check_by_the_twin(n_bits)
    replay = filled(n_bits, 1_000_000)
    check(replay.sample(UPDATES, BATCH), n_bits)
    benchmark(replay.sample, UPDATES, BATCH)
    report(benchmark, f"{n_bits} bits, future, 1,000,000 records")


def report(benchmark, what):
    us = benchmark.stats.stats.median / UPDATES * 1e6
    benchmark.extra_info.update(us_per_minibatch=us, samples_per_second=BATCH / us * 1e6)
    print(f"\n{what}: {us:.2f} us a minibatch of {BATCH}")


@pytest.mark.parametrize("n_bits", [8, 20, 50, 128, 256])
def test_insert(benchmark, n_bits):
    """Goal: 20 million transitions a second, validation included."""
    episodes = trajectories(np.random.default_rng(1), n_bits, 64, n_bits)
    replay = HindsightReplay(1_000_000, n_bits, seed=0)
    replay.add(episodes)
    assert len(replay) == 64 * n_bits
    first = replay.records[: n_bits + 1, : episodes.states.shape[2]]
    assert (first == episodes.states[:, 0]).all()
    benchmark(replay.add, episodes)
    rate = 64 * n_bits / benchmark.stats.stats.median
    benchmark.extra_info.update(transitions_per_second=rate)
    print(f"\n{n_bits} bits: {rate / 1e6:,.0f} million transitions a second")
