"""Check that memory does not grow in ten minutes of training, saving and loading.

`python bench/soak.py` exits with 1 if the largest size of the process grows by more than 4 MB from the first
to the second half of the time. The first tenth is ignored. Linux only, since it reads /proc.
"""

import argparse
import gc
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from herfast import Agent, BitFlip

MAX_GROWTH = 4.0  # MB


def main():
    parser = argparse.ArgumentParser(
        description="Train, save, load and evaluate repeatedly, and measure the memory."
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    seconds = 60 * parser.parse_args().minutes
    started = time.perf_counter()
    rounds = 0
    sizes = []
    with tempfile.TemporaryDirectory() as folder:
        while (passed := time.perf_counter() - started) < seconds:
            one_round(rounds, Path(folder))
            rounds += 1
            gc.collect()  # reference cycles are no leak
            sizes.append((passed, resident()))
            if len(sizes) == 1 or passed // 30 > sizes[-2][0] // 30:
                print(f"{passed:6.0f} s  {rounds:6,} rounds  {sizes[-1][1]:7.1f} MB", flush=True)
    first, second = (
        max(size for passed, size in sizes if start <= passed / seconds < end)
        for start, end in ((0.1, 0.5), (0.5, 2.0))
    )
    growth = second - first
    print(f"{rounds:,} rounds; at most {first:.1f} MB in the first half, {second:.1f} MB in the second")
    return int(growth > MAX_GROWTH)


def one_round(number, folder):
    """Train, save, load, resume and evaluate an agent, and load a damaged file.

    Preset and size depend on `number`.
    """
    preset = ("fast", "paper", "notebook")[number % 3]
    env = BitFlip((8, 20, 65, 130)[number % 4])
    agent = Agent(env, preset, number, capacity=20_000, cycles_per_epoch=2, until=None, epochs=1).learn()
    agent.save(folder / "agent")
    agent.save(folder / "checkpoint", replay=True)
    resumed = Agent.load(folder / "checkpoint").learn(epochs=1)
    assert Agent.load(folder / "agent").evaluate(50, seed=number) == agent.evaluate(50, seed=number)
    resumed.diagnose()
    observation = np.zeros((3, env.n_bits), np.int8)
    resumed.predict({"observation": observation, "desired_goal": 1 - observation})
    with (folder / "checkpoint").open("r+b") as file:
        file.truncate(os.path.getsize(file.fileno()) // 2)
    try:
        Agent.load(folder / "checkpoint")
    except ValueError:
        return
    raise AssertionError("half a file was loaded")


def resident():
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
