"""Time of `Agent.learn`, and the shares of kernels, compiled core and Python.

Run with `pytest bench/test_learn.py --benchmark-only`.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from unittest import mock

import numpy as np
import pytest

from herfast import Agent, BitFlip
from herfast.common.bits import _core
from herfast.networks.compiled import entry_points


class Clock:
    """Sums the seconds spent in wrapped functions."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self, function):
        def timed(*args):
            start = time.perf_counter()
            result = function(*args)
            self.seconds += time.perf_counter() - start
            return result

        return timed


KERNELS = {"updates": entry_points.fit, "acting": entry_points.act}
CORE = ("bitflip_reset", "bitflip_step", "explore", "ring_add", "ring_sample")


def learn_with_clocks(agent, epochs):
    """Return the wall time of `learn` and of each group of compiled functions in it."""
    clocks = {group: Clock() for group in (*KERNELS, "core")}
    original = entry_points.Call.__call__
    calls = {kernel: clocks[group](original) for group, kernel in KERNELS.items()}

    def timed_call(call, *args):
        return calls.get(call.entry_point, original)(call, *args)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(entry_points.Call, "__call__", timed_call))
        for name in CORE:
            stack.enter_context(mock.patch.object(_core, name, clocks["core"](getattr(_core, name))))
        start = time.perf_counter()
        agent.learn(epochs=epochs)
        wall = time.perf_counter() - start
    return wall, {group: clock.seconds for group, clock in clocks.items()}


@pytest.mark.parametrize(("n_bits", "preset", "epochs"), [(20, "notebook", 6), (50, "fast", 30)])
def test_shares_of_learning(benchmark, n_bits, preset, epochs):
    """Measure the share of each part in the wall time.

    Target at 20 bits with preset notebook: Python at most 10 %, updates at least 80 %.
    """
    Agent(BitFlip(n_bits), preset, 0, threads=1).learn(epochs=1)  # compile
    agents = [Agent(BitFlip(n_bits), preset, 0, threads=1) for _ in range(5)]
    # The fastest run is the least disturbed one.
    results = [learn_with_clocks(agent, epochs) for agent in agents[1:]]
    wall, parts = min(results, key=lambda result: result[0])
    benchmark.pedantic(learn_with_clocks, (agents[0], epochs), rounds=1)
    assert agents[0].evaluate(1000, seed=1).success_rate > 0.9
    shares = {group: seconds / wall for group, seconds in parts.items()}
    benchmark.extra_info.update(wall_seconds=wall, python_share=1 - sum(shares.values()), **shares)
    print(
        f"\n{n_bits} bits, {preset}: {wall:.2f} s, Python {1 - sum(shares.values()):.1%},",
        *(f"{g} {s:.1%}" for g, s in shares.items()),
    )


@pytest.mark.parametrize(
    ("n_bits", "preset", "epochs"), [(20, "notebook", 6), (20, "fast", None), (50, "fast", None)]
)
def test_learning(benchmark, n_bits, preset, epochs):
    """Measure the wall time of `learn` without compilation, evaluations included.

    Preset fast trains until the task is solved, preset notebook for its 6 epochs.
    """
    Agent(BitFlip(n_bits), preset, 0, threads=1).learn(epochs=1)  # compile
    agents = [Agent(BitFlip(n_bits), preset, seed, threads=1) for seed in (0, 1, 2)]
    seconds = []
    for agent in agents[1:]:
        agent.learn(epochs)
        seconds.append(agent.seconds)
    benchmark.pedantic(agents[0].learn, (epochs,), rounds=1)
    seconds.append(agents[0].seconds)
    # With 10,000 episodes, 0.5 % is four standard deviations.
    rates = [agent.evaluate(10_000, seed=100).success_rate for agent in agents]
    assert min(rates) >= 0.98
    result = {
        "seconds": sorted(seconds)[1],
        "updates": sorted(agent.network.updates for agent in agents)[1],
        "env_steps": sorted(agent.env_steps for agent in agents)[1],
        "episodes": sorted(agent.episodes for agent in agents)[1],
        "success": min(rates),
    }
    benchmark.extra_info.update(result)
    print(f"\n{n_bits} bits, {preset}, median of seeds 0 1 2:", result)


def test_two_agents_in_two_threads(benchmark):
    """Measure the throughput of two agents in parallel, relative to sequential.

    Target on a machine with at least two cores: 1.85.
    """
    Agent(BitFlip(50), "fast", 0, threads=1).learn(epochs=1)  # compile

    def learn(*seeds):
        agents = [Agent(BitFlip(50), "fast", seed, threads=1) for seed in seeds]
        with ThreadPoolExecutor(len(seeds)) as pool:
            start = time.perf_counter()
            list(pool.map(lambda agent: agent.learn(epochs=20), agents))
            return time.perf_counter() - start, [agent.history["loss"] for agent in agents]

    apart, together = [], []
    for _ in range(5):
        (first, one), (second, two) = learn(0), learn(1)
        seconds, losses = learn(0, 1)
        np.testing.assert_array_equal(losses, one + two)
        apart.append(first + second)
        together.append(seconds)
    gain = np.median(apart) / np.median(together)
    benchmark.pedantic(learn, (0, 1), rounds=1)
    benchmark.extra_info.update(throughput_gain=gain)
    print(f"\ntwo agents in two threads: {gain:.2f} times the throughput of one")
