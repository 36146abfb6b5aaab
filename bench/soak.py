"""Ten minutes of learning, saving, loading, evaluating, looking and refusing, over and over: memory must stay flat.

`python bench/soak.py` exits with 1 if the process is larger by more than 4 MB in the second half of the time than in
the first, whose first tenth does not count. Reads /proc, so on Linux alone.
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

MOST_GROWTH = 4.0  # MB


def main():
    parser = argparse.ArgumentParser(description="Learn, save, load and evaluate for long, and watch the memory.")
    parser.add_argument("--minutes", type=float, default=10.0)
    seconds = 60 * parser.parse_args().minutes
    started, rounds, sizes = time.perf_counter(), 0, []
    with tempfile.TemporaryDirectory() as folder:
        while (passed := time.perf_counter() - started) < seconds:
            one_round(rounds, Path(folder))
            rounds += 1
            gc.collect()  # a cycle of references is no leak
            sizes.append((passed, resident()))
            if len(sizes) == 1 or passed // 30 > sizes[-2][0] // 30:
                print(f"{passed:6.0f} s  {rounds:6,} rounds  {sizes[-1][1]:7.1f} MB", flush=True)
    first, second = (
        max(size for passed, size in sizes if start <= passed / seconds < end)
        for start, end in ((0.1, 0.5), (0.5, 2.0))
    )
    growth = second - first
    print(f"{rounds:,} rounds; at most {first:.1f} MB in the first half, {second:.1f} MB in the second")
    return int(growth > MOST_GROWTH)


def one_round(number, folder):
    """An agent of one of several kinds learns, is saved, loaded, goes on, and plays; a damaged file is refused."""
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
    """Megabytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
