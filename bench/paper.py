"""Figure 1 of Andrychowicz et al. 2017 with preset `paper`: success by number of bits, with hindsight and without; and
the bit-flip notebook's six epochs.

From a clone: `pip install .`, then `python bench/paper.py --out paper.json`, half an hour on two cores;
`python bench/report.py paper.json --write README.md` writes README's tables. Nothing is timed here.
"""

import argparse
import datetime
import importlib.metadata
import json
import multiprocessing
import os
import platform
from pathlib import Path
from typing import NamedTuple

import numpy as np
from report import SETTINGS

from herfast import Agent, BitFlip

TEST_GAMES = 1_000


class Run(NamedTuple):
    preset: str
    n_bits: int
    seed: int
    settings: dict[str, object]


def main():
    args = arguments()
    runs = [Run("notebook", 20, seed, {}) for seed in range(args.seeds)]
    for n_bits in sorted(args.bits, reverse=True):  # the longest first
        for settings in SETTINGS.values():
            runs += [Run("paper", n_bits, seed, settings) for seed in range(args.seeds)]
    results = {}
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for run, result in pool.imap_unordered(carry_out, [(run, args.epochs) for run in runs]):
            results[runs.index(run)] = run._asdict() | result
            print(f"{len(results)}/{len(runs)} {run}: {result['success']:.3f}", flush=True)
            if args.out:  # after each run, so that an end in between loses none
                write(args.out, [results[i] for i in sorted(results)])


def write(path, results):
    names = ("herfast", "numpy", "numba")
    found = {
        "date": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names},
        "paper": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


def arguments():
    parser = argparse.ArgumentParser(description="Learn with preset paper, with hindsight and without, at many sizes.")
    parser.add_argument("--bits", type=int, nargs="+", default=[10, 13, 15, 20, 30, 40, 50])
    parser.add_argument("--seeds", type=int, default=3, help="how many: 0, 1, ...")
    parser.add_argument("--epochs", type=int, help="of preset paper, instead of its 200")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--out", type=Path, help="a JSON file for report.py")
    return parser.parse_args()


def carry_out(job):
    """A run to its last epoch: success by epoch, of the games as played and of greedy test games, and at the end."""
    run, epochs = job
    agent = Agent(BitFlip(run.n_bits), run.preset, run.seed, **run.settings)
    agent.learn(epochs=epochs if run.preset == "paper" else None)
    history = agent.history
    greedy = history["greedy_success"]
    played = [np.mean(history["success"][history["epoch"] == epoch]) for epoch in np.unique(history["epoch"])]
    return run, {
        "played": [round(float(rate), 4) for rate in played],
        "greedy": greedy[~np.isnan(greedy)].tolist(),
        "success": agent.evaluate(TEST_GAMES, seed=run.seed).success_rate,
        "env_steps": agent.env_steps,
        "updates": agent.network.updates,
    }


if __name__ == "__main__":
    main()
