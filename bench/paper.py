"""Reproduce figure 1 of Andrychowicz et al. 2017 and the bit-flip notebook.

Figure 1 shows success by number of bits, with hindsight and without. It is reproduced with preset `paper`,
and the six epochs of the notebook with preset `notebook`.

From a clone: `pip install .`, then `python bench/paper.py --out paper.json`, half an hour on two cores.
`python bench/report.py paper.json --write README.md` writes the tables of README.md. Nothing is timed here.
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

TEST_EPISODES = 1_000


class Run(NamedTuple):
    """One run of an agent."""

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
        for run, result in pool.imap_unordered(train, [(run, args.epochs) for run in runs]):
            results[runs.index(run)] = run._asdict() | result
            print(f"{len(results)}/{len(runs)} {run}: {result['success']:.3f}", flush=True)
            if args.out:  # after each run, so that an interruption loses none
                write(args.out, [results[i] for i in sorted(results)])


def write(path, results):
    names = ("herfast", "numpy", "numba")
    measured = {
        "date": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in names},
        "paper": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(measured, indent=1) + "\n")


def arguments():
    parser = argparse.ArgumentParser(
        description="Train with preset paper, with hindsight and without, at several sizes."
    )
    parser.add_argument("--bits", type=int, nargs="+", default=[10, 13, 15, 20, 30, 40, 50])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds: 0, 1, ...")
    parser.add_argument("--epochs", type=int, help="epochs of preset paper, instead of 200")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="number of processes")
    parser.add_argument("--out", type=Path, help="JSON file for report.py")
    return parser.parse_args()


def train(job):
    """Train to the last epoch, and return success by epoch and at the end.

    "played" is the success of the training episodes, "greedy" that of greedy test episodes.
    """
    run, epochs = job
    agent = Agent(BitFlip(run.n_bits), run.preset, run.seed, **run.settings)
    agent.learn(epochs=epochs if run.preset == "paper" else None)
    history = agent.history
    greedy = history["greedy_success"]
    played = [np.mean(history["success"][history["epoch"] == epoch]) for epoch in np.unique(history["epoch"])]
    return run, {
        "played": [round(float(rate), 4) for rate in played],
        "greedy": greedy[~np.isnan(greedy)].tolist(),
        "success": agent.evaluate(TEST_EPISODES, seed=run.seed).success_rate,
        "env_steps": agent.env_steps,
        "updates": agent.network.updates,
    }


if __name__ == "__main__":
    main()
