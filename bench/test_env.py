"""Speed of the packed environments, the vector environment and bit packing.

Run with `pytest bench/test_env.py --benchmark-only -s`.
"""

import gymnasium
import numpy as np
import pytest
from reference import bitflip, grid_world, lights_out

from herfast import BitFlip, GridWorld, LightsOut, pack_bits, unpack_bits

SIZES = [8, 20, 50, 128, 256]
E = 1024  # environments


def maze(rows, columns):
    """Return a map with walls in every other place of every other row."""
    pattern = ("." * columns, ".#" * (columns // 2) + "." * (columns % 2))
    return "\n".join(pattern[row % 2] for row in range(rows))


def as_integers(words):
    return [sum(int(word) << (64 * w) for w, word in enumerate(row)) for row in words]


@pytest.mark.parametrize("n_bits", SIZES)
def test_packed_step(benchmark, n_bits):
    """Target at 50 bits: 100 million steps per second."""
    time_step(benchmark, BitFlip(n_bits), lambda state, action: bitflip.step(state, 0, action)[0])


@pytest.mark.parametrize("text", ["four_rooms", maze(33, 32)], ids=["four_rooms", "maze"])
def test_grid_world_step(benchmark, text):
    env = GridWorld(text)
    places = grid_world.free_places(env.map)
    index = {place: cell for cell, place in enumerate(places)}

    def next_state(state, action):
        return 1 << index[grid_world.moved(places, places[state.bit_length() - 1], action)]

    time_step(benchmark, env, next_state)


@pytest.mark.parametrize("side", [5, 16])
def test_lights_out_step(benchmark, side):
    env = LightsOut(side, side)
    time_step(benchmark, env, lambda state, action: lights_out.press(state, side, side, action))


def time_step(benchmark, env, next_state):
    """Compare a step of all environments with `next_state(state, action)`, then time it."""
    rng = np.random.default_rng(0)
    states, next_states, goals = (np.zeros((E, -(-env.n_state_bits // 64)), np.uint64) for _ in range(3))
    env.reset(rng, states, goals)
    actions, active = rng.integers(0, env.n_actions, E).astype(np.uint16), np.arange(E)
    terminated = np.zeros(E, np.bool_)
    env.step(states, goals, actions, active, next_states, terminated)
    expected = [next_state(*values) for values in zip(as_integers(states), actions.tolist(), strict=True)]
    assert as_integers(next_states) == expected
    assert terminated.tolist() == [a == b for a, b in zip(expected, as_integers(goals), strict=True)]
    benchmark(env.step, states, goals, actions, active, next_states, terminated)
    report(benchmark, f"{env.describe()}, packed", E)


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
