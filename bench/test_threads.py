"""Two threads against one: updates, evaluation, and both while another process uses a core.

Run with `pytest bench/test_threads.py --benchmark-only -s` on a machine where nothing else runs. It needs two
cores. Each benchmark checks first that the results have the same bits.
"""

import os
import statistics
import subprocess
import sys
import time

import pytest

from herfast import Agent, BitFlip
from herfast.networks.compiled.processors import n_processors

pytestmark = pytest.mark.skipif(n_processors() < 2, reason="needs two cores")

HIDDEN = {20: 256, 50: 640, 100: 1_280, 128: 1_664}  # by bits; the rest is preset fast
MIN_SPEEDUP = {50: 1.6, 100: 1.75, 128: 1.75}  # of updates, by bits
MIN_EVALUATION_SPEEDUP = 1.7
MAX_SLOWDOWN = 1.3  # with the other core busy
ROUNDS = 15
UPDATES = 40  # in one call, as in a cycle


def agents_of(n_bits):
    """Return agents with one thread and with two, and minibatches, after equal updates."""
    settings = {"hidden": (HIDDEN[n_bits],), "episodes_per_cycle": 8, "updates_per_cycle": 4}
    agents = [Agent(BitFlip(n_bits), "fast", 0, threads=threads, **settings) for threads in (1, 2)]
    for agent in agents:
        agent.learn(callback=lambda agent: False)
    weights = [agent.network.state_dict() for agent in agents]
    for name, array in weights[0].items():
        assert array.tobytes() == weights[1][name].tobytes(), name
    return agents, agents[0].replay.sample(UPDATES, agents[0].config.batch_size)


def median_seconds(functions):
    """Return the median time of each function."""
    medians = []
    for function in functions:
        function()
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
        medians.append(statistics.median(seconds))
    return medians


@pytest.mark.parametrize("n_bits", MIN_SPEEDUP)
def test_updates_in_two_threads(benchmark, n_bits):
    agents, batches = agents_of(n_bits)
    functions = [lambda agent=agent: agent.network.fit(batches) for agent in agents]
    one, two = median_seconds(functions)
    benchmark.pedantic(functions[1], rounds=3)
    benchmark.extra_info.update(speedup=one / two)
    update, shared_update = one / UPDATES * 1e6, two / UPDATES * 1e6
    print(f"\n{n_bits} bits: an update takes {update:.0f} us, in two threads {shared_update:.0f} us")
    assert one / two >= MIN_SPEEDUP[n_bits]


def test_evaluation_in_two_threads(benchmark):
    agents, _ = agents_of(100)
    assert agents[0].evaluate(1000, seed=1) == agents[1].evaluate(1000, seed=1)
    functions = [lambda agent=agent: agent.evaluate(1000, seed=1) for agent in agents]
    one, two = median_seconds(functions)
    benchmark.pedantic(functions[1], rounds=1)
    benchmark.extra_info.update(speedup=one / two)
    print(f"\n1,000 episodes of 100 bits take {one:.3f} s, in two threads {two:.3f} s")
    assert one / two >= MIN_EVALUATION_SPEEDUP


@pytest.mark.parametrize("n_bits", [20, *MIN_SPEEDUP])
def test_updates_in_two_threads_while_another_process_uses_a_core(benchmark, n_bits):
    agents, batches = agents_of(n_bits)
    functions = [lambda agent=agent: agent.network.fit(batches) for agent in agents]
    core = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        try:
            one, two = median_seconds(functions)
            benchmark.pedantic(functions[1], rounds=1)
        finally:
            other.kill()
    benchmark.extra_info.update(slowdown=two / one)
    print(f"\n{n_bits} bits, a core busy: two threads take {two / one:.2f} times as long as one")
    assert two / one <= MAX_SLOWDOWN
