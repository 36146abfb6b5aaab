"""Speed of the packed environment, the vector environment and bit packing.

Run with `pytest bench/test_env.py --benchmark-only -s`.
"""

import gymnasium
import numpy as np
import pytest
from reference import bitflip as reference

from herfast import BitFlip, pack_bits, unpack_bits

SIZES = [8, 20, 50, 128, 256]
E = 1024  # environments


def as_integers(words):
    return [sum(int(word) << (64 * w) for w, word in enumerate(row)) for row in words]


@pytest.mark.parametrize("n_bits", SIZES)
def test_packed_step(benchmark, n_bits):
    """Target at 50 bits: 100 million steps per second."""
    env, rng, words = BitFlip(n_bits), np.random.default_rng(0), -(-n_bits // 64)
    states, next_states, goals = (np.zeros((E, words), np.uint64) for _ in range(3))
    env.reset(rng, states, goals)
    actions, active = rng.integers(0, n_bits, E).astype(np.uint16), np.arange(E)
    terminated = np.zeros(E, np.bool_)
    env.step(states, goals, actions, active, next_states, terminated)
    arguments = zip(as_integers(states), as_integers(goals), actions.tolist(), strict=True)
    expected = [reference.step(*values) for values in arguments]
    assert as_integers(next_states) == [state for state, _ in expected]
    assert terminated.tolist() == [reached for _, reached in expected]
    benchmark(env.step, states, goals, actions, active, next_states, terminated)
    report(benchmark, f"{n_bits} bits, packed", E)


@pytest.mark.parametrize("mode", list(gymnasium.vector.AutoresetMode)[:2], ids=lambda mode: mode.name)
@pytest.mark.parametrize("n_bits", SIZES)
def test_vector_env_step(benchmark, n_bits, mode):
    """Target at 50 bits: 5 million steps per second with dict observations."""
    envs = gymnasium.make_vec("herfast/BitFlip-v0", num_envs=E, n_bits=n_bits, autoreset_mode=mode)
    before, _ = envs.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, n_bits, E)
    observation, rewards, terminated, truncated, _ = envs.step(actions)
    changed = before["observation"] != observation["observation"]
    running = ~(terminated | truncated)
    assert (changed[running].argmax(axis=1) == actions[running]).all()
    assert (changed[running].sum(axis=1) == 1).all()
    assert (rewards == np.where(terminated, 0, -1)).all()
    benchmark(envs.step, actions)
    report(benchmark, f"{n_bits} bits, VectorEnv, {mode.name}", E)


@pytest.mark.parametrize("n_bits", SIZES)
def test_pack_and_unpack(benchmark, n_bits):
    bits = np.random.default_rng(0).integers(0, 2, (E, n_bits)).astype(np.bool_)
    assert (unpack_bits(pack_bits(bits), n_bits) == bits).all()
    benchmark(lambda: unpack_bits(pack_bits(bits), n_bits))
    report(benchmark, f"{n_bits} bits, packed and unpacked", E)


def report(benchmark, what, items):
    rate = items / benchmark.stats.stats.median
    benchmark.extra_info.update(per_second=rate)
    print(f"\n{what}: {rate / 1e6:,.1f} million per second")
