"""Time of the replay buffer: minibatches with hindsight goals, and insertion.

Run with `pytest bench/test_replay.py --benchmark-only -s`.
"""

import numpy as np
import pytest
from reference import ring
from support.trajectories import add_to_reference, assert_same_samples

from herfast import HindsightReplay, Trajectories, pack_bits
from herfast.common.seeding import Role, stream

UPDATES = 40
BATCH = 128


def trajectories(rng, n_bits, n_episodes, length):
    """Return random walks on bit strings, with random goals."""
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
    """Return a full replay buffer in which 512 different episodes are repeated."""
    replay = HindsightReplay(capacity, n_bits, strategy=strategy, k=k, seed=0)
    episodes = trajectories(np.random.default_rng(0), n_bits, 512, n_bits)
    for _ in range(-(-capacity // (512 * (n_bits + 1)))):
        replay.add(episodes)
    return replay


def check_against_reference(n_bits, strategy="future", k=4):
    """Check that a small, partly overwritten buffer samples as the reference does."""
    episodes = trajectories(np.random.default_rng(2), n_bits, 5, n_bits)
    capacity = 3 * n_bits + 5
    replay = HindsightReplay(capacity, n_bits, strategy=strategy, k=k, seed=0)
    reference = ring.Ring(capacity, n_bits)
    replay.add(episodes)
    add_to_reference(reference, episodes)
    assert_same_samples(replay, reference, stream(0, Role.REPLAY).bit_generator)


def check(batches, n_bits):
    """Check states, rewards and terminations of minibatches of BitFlip."""
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
    """Targets at 50 bits: 6 us per minibatch of 128 with 1e6 records.

    With 1e7 records at most twice the time with 1e5.
    """
    check_against_reference(50, strategy)
    replay = filled(50, capacity, strategy)
    check(replay.sample(UPDATES, BATCH), 50)
    benchmark(replay.sample, UPDATES, BATCH)
    report(benchmark, f"50 bits, {strategy}, {capacity:,} records")


@pytest.mark.parametrize("n_bits", [8, 20, 50, 128, 256])
def test_sample_sizes(benchmark, n_bits):
    check_against_reference(n_bits)
    replay = filled(n_bits, 1_000_000)
    check(replay.sample(UPDATES, BATCH), n_bits)
    benchmark(replay.sample, UPDATES, BATCH)
    report(benchmark, f"{n_bits} bits, future, 1,000,000 records")


def report(benchmark, what):
    us = benchmark.stats.stats.median / UPDATES * 1e6
    benchmark.extra_info.update(us_per_minibatch=us, samples_per_second=BATCH / us * 1e6)
    print(f"\n{what}: {us:.2f} us per minibatch of {BATCH}")


@pytest.mark.parametrize("n_bits", [8, 20, 50, 128, 256])
def test_insert(benchmark, n_bits):
    """Target: 20 million transitions per second, validation included."""
    episodes = trajectories(np.random.default_rng(1), n_bits, 64, n_bits)
    replay = HindsightReplay(1_000_000, n_bits, seed=0)
    replay.add(episodes)
    assert len(replay) == 64 * n_bits
    first = replay.records[: n_bits + 1, : episodes.states.shape[2]]
    assert (first == episodes.states[:, 0]).all()
    benchmark(replay.add, episodes)
    rate = 64 * n_bits / benchmark.stats.stats.median
    benchmark.extra_info.update(transitions_per_second=rate)
    print(f"\n{n_bits} bits: {rate / 1e6:,.0f} million transitions per second")
