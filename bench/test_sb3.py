"""HerReplayBuffer of both libraries: sample, add, memory and training.

Run with `pytest bench/test_sb3.py --benchmark-only -s`, in an environment with Stable-Baselines3. The two
buffers take turns, and medians are compared. It is first checked that they hold the same.
"""

import multiprocessing
import os
import time
from functools import partial

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3 import HerReplayBuffer as TheirBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import BitFlippingEnv
from support.sb3_buffers import KEYS, assert_same_arrays, make, vector_env

from herfast.sb3 import HerReplayBuffer

CLASSES = {"theirs": TheirBuffer, "herfast": HerReplayBuffer}
EPISODE = 50  # steps
BITS = 50


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def transition(buffer, rng):
    """Return random arguments of `add`."""
    n_envs = buffer.n_envs
    shape = (n_envs, *buffer.obs_shape["observation"])
    obs, next_obs = ({key: rng.integers(0, 2, shape, np.int8) for key in KEYS} for _ in range(2))
    action = np.zeros((n_envs, buffer.action_dim), buffer.actions.dtype)
    infos = [{} for _ in range(n_envs)]
    return obs, next_obs, action, np.full(n_envs, -1.0, np.float32), np.zeros(n_envs, bool), infos


def filled(buffer):
    """Fill a buffer with random transitions, in episodes of EPISODE steps."""
    rng = np.random.default_rng(0)
    rows = [transition(buffer, rng) for _ in range(1000)]
    for n, row in enumerate(rows):
        row[4][:] = n % EPISODE == EPISODE - 1
    while not buffer.full:
        buffer.add(*rows[buffer.pos % 1000])
    return buffer


def new_buffer(name, size, n_envs=1):
    env = vector_env(n_envs, spaces.MultiBinary(BITS), spaces.Discrete(BITS))
    return make(CLASSES[name], env, size // n_envs)


def filled_pair(size, n_envs=1):
    pair = {name: filled(new_buffer(name, size, n_envs)) for name in CLASSES}
    assert_same_arrays(*pair.values())
    return pair


def medians(calls, n_rounds=10, n_calls=30):
    """Return the median microseconds of calls that take turns."""
    seconds = {name: [] for name in calls}
    for _ in range(n_rounds):
        for name, call in calls.items():
            for _ in range(n_calls):
                start = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) * 1e6 for name, values in seconds.items()}


def report(benchmark, what, measured, unit):
    """Print both values and their ratio, and record them."""
    benchmark.extra_info.update(measured)
    (one, first), (other, last) = measured.items()
    print(f"\n{what}: {one} {first:.1f} {unit}, {other} {last:.1f} {unit}, ratio {first / last:.2f}")


@pytest.mark.parametrize("batch_size", [128, 256])
@pytest.mark.parametrize("size", [10_000, 100_000, 1_000_000])
def test_sample(benchmark, size, batch_size):
    """Targets: ratio 3 with 100,000 slots, 25 with 1,000,000."""
    pair = filled_pair(size)
    calls = {name: partial(buffer.sample, batch_size) for name, buffer in pair.items()}
    shapes = {call().observations["desired_goal"].shape for call in calls.values()}
    assert shapes == {(batch_size, BITS)}
    report(benchmark, f"sample({batch_size}), {size:,} slots", medians(calls), "us")
    benchmark(calls["herfast"])


@pytest.mark.parametrize("batch_size", [128, 256])
def test_sample_by_size(benchmark, batch_size):
    """Target: ratio 1.3."""
    sizes = (1_000_000, 10_000)
    buffers = {f"{size:,} slots": filled(new_buffer("herfast", size)) for size in sizes}
    calls = {name: partial(buffer.sample, batch_size) for name, buffer in buffers.items()}
    report(benchmark, f"sample({batch_size})", medians(calls), "us")
    benchmark(calls["1,000,000 slots"])


@pytest.mark.parametrize("n_envs", [1, 8])
def test_add(benchmark, n_envs):
    """Target: ratio 1.5."""
    pair = filled_pair(100_000, n_envs)
    arguments = transition(pair["theirs"], np.random.default_rng(1))
    calls = {name: partial(buffer.add, *arguments) for name, buffer in pair.items()}
    report(benchmark, f"add, {n_envs} environments", medians(calls, n_rounds=100), "us")
    benchmark(calls["herfast"])


def resident_megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def added_megabytes(name, size, queue):
    before = resident_megabytes()
    buffer = filled(new_buffer(name, size))
    queue.put(resident_megabytes() - before)
    assert buffer.full


def test_memory(benchmark):
    """Target: at most theirs. The benchmark is the creation of a buffer."""
    context = multiprocessing.get_context("fork")
    megabytes = {}
    for name in CLASSES:
        queue = context.SimpleQueue()
        process = context.Process(target=added_megabytes, args=(name, 1_000_000, queue))
        process.start()
        megabytes[name] = queue.get()
        process.join()
    report(benchmark, "memory, 1,000,000 slots", megabytes, "MB")
    benchmark(new_buffer, "herfast", 1_000_000)


def test_sac(benchmark):
    """Train with the default buffer size, when the buffer is full."""
    seconds = {}
    for name, cls in CLASSES.items():
        env = make_vec_env(lambda: BitFlippingEnv(n_bits=10, continuous=True), 1)
        model = SAC("MultiInputPolicy", env, replay_buffer_class=cls, learning_starts=0, device="cpu", seed=0)
        filled(model.replay_buffer)
        start = time.perf_counter()
        model.learn(1000)
        seconds[name] = time.perf_counter() - start
    report(benchmark, "1,000 steps of SAC", seconds, "s")
    benchmark(model.replay_buffer.sample, 256)
