"""Measure preset `fast` beyond the sizes of the HER paper, up to 128 bits.

- `python bench/beyond.py results --jobs 1`: updates, steps and seconds to solve 10 to 128 bits, three seeds.
- `python bench/beyond.py ablation`: the preset without each of its ingredients, at 50 and 100 bits.
- `python bench/beyond.py search`: 100 bits with settings drawn around those of the preset.
- `python bench/beyond.py report`: the tables of docs/beyond.md.

Each run adds a row to --out (by default bench/results/beyond.csv). Runs that already have a row are skipped.
A run ends when the task is solved, after MAX_UPDATES, or after ten minutes. Seconds are comparable only with
--jobs 1 on an idle machine.
"""

import argparse
import csv
import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from herfast import Agent, BitFlip, Config

OUT = Path(__file__).parent / "results" / "beyond.csv"
COLUMNS = ("group", "variant", "n_bits", "seed", "fields", "solved", "updates", "env_steps", "episodes",
           "seconds", "success", "loop_share")  # fmt: skip
BITS = (10, 20, 30, 40, 50, 64, 80, 100, 128)
ABLATED_BITS = (50, 100)
TRIALS = 16
MAX_SECONDS = 600
MAX_UPDATES = {"results": 40_000, "ablation": 20_000, "search": 10_000}
WITHOUT = {
    "as it is": {},
    "dense initial weights": {"init": "dense"},
    "half the width": {"hidden": 0.5},
    "constant learning rate": {"learning_rate_end": None},
    "no advantage gap": {"advantage_gap": 0.0},
    "no hindsight bound": {"hindsight_bound": False},
    "with dueling": {"dueling": True},
    "single DQN": {"double_q": False},
    "future goals, k = 4": {"strategy": "future", "k": 4},
    "gamma 0.98": {"gamma": 0.98},
    "twice the episodes": {"episodes_per_cycle": 2.0},
    "batches of 256": {"batch_size": 256},
    "target copied every 40 updates": {"target_update": 40},
    "epsilon 0.2": {"epsilon_start": 0.2},
}
SEARCHED = {  # lowest and highest value; the logarithm is drawn uniformly
    "hidden": (800, 3200),
    "learning_rate": (5e-4, 2e-3),
    "learning_rate_end": (5e-6, 2e-4),
    "learning_rate_decay_updates": (4_000, 30_000),
    "advantage_gap": (0.3, 0.75),
    "episodes_per_cycle": (12, 128),
    "batch_size": (64, 256),
    "target_update": (15, 100),
    "epsilon_start": (0.08, 0.4),
}


class Run(NamedTuple):
    """One run of an agent. The first four fields identify its row."""

    group: str
    variant: str
    n_bits: int
    seed: int
    fields: dict[str, object]


def main():
    args = arguments()
    if args.what == "report":
        from beyond_report import report

        print(report(list(csv.DictReader(args.out.open()))))
        return
    runs = {"results": results, "ablation": ablation, "search": search}[args.what](args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    new = not args.out.exists()
    done = (
        set()
        if new
        else {tuple(row[name] for name in COLUMNS[:4]) for row in csv.DictReader(args.out.open())}
    )
    runs = [run for run in runs if tuple(map(str, run[:4])) not in done]
    with args.out.open("a", newline="") as file, multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        for row in pool.imap_unordered(train, runs):
            writer.writerow(row)
            file.flush()
            print({name: row[name] for name in COLUMNS if name != "fields"}, flush=True)


def arguments():
    parser = argparse.ArgumentParser(
        description="Solve bit flipping of up to 256 bits with preset fast and variants of it."
    )
    parser.add_argument("what", choices=("results", "ablation", "search", "report"))
    parser.add_argument("--bits", type=int, nargs="+", default=BITS, help="sizes of the group results")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds: 0, 1, ...")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="number of processes")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def results(args):
    dense = {"init": "dense"}
    runs = [Run("results", "fast", n_bits, seed, {}) for n_bits in args.bits for seed in range(args.seeds)]
    return runs + [
        Run("results", "dense", n_bits, seed, dense) for n_bits in (20, 50) for seed in range(args.seeds)
    ]


def ablation(args):
    return [
        Run("ablation", variant, n_bits, seed, changed(n_bits, fields))
        for n_bits in ABLATED_BITS
        for variant, fields in WITHOUT.items()
        for seed in range(args.seeds)
    ]


def changed(n_bits, fields):
    """Return `fields` with factors replaced by multiples of the preset's values."""
    preset = Config.preset("fast", BitFlip(n_bits))
    times = {"hidden": lambda factor: (round(factor * preset.hidden[0]),)}
    times["episodes_per_cycle"] = lambda factor: round(factor * preset.episodes_per_cycle)
    return {name: times[name](value) if name in times else value for name, value in fields.items()}


def search(args):
    rng = np.random.default_rng(0)
    for trial in range(TRIALS):
        drawn = {name: float(np.exp(rng.uniform(*np.log(ends)))) for name, ends in SEARCHED.items()}
        fields = {
            name: round(value) if SEARCHED[name][0] > 1 else float(f"{value:.3g}")
            for name, value in drawn.items()
        }
        yield Run("search", f"trial {trial}", 100, 0, {**fields, "hidden": (fields["hidden"] // 32 * 32,)})


def train(run):
    """Train until the task is solved, or for MAX_UPDATES or MAX_SECONDS.

    Returns a row of the table.
    """
    env = BitFlip(run.n_bits)
    Agent(env, "fast", run.seed, **run.fields).learn(total_timesteps=1)  # warm-up
    agent = Agent(env, "fast", run.seed, **run.fields)
    max_updates = MAX_UPDATES[run.group]
    started = time.perf_counter()
    agent.learn(
        callback=lambda agent: (
            agent.network.updates < max_updates and time.perf_counter() - started < MAX_SECONDS
        )
    )
    seconds = time.perf_counter() - started
    evaluation = agent.evaluate(1_000, seed=run.seed + 1_000)
    counts = {name: getattr(agent, name) for name in ("solved", "env_steps", "episodes")}
    return {
        **run._asdict(),
        **counts,
        "fields": json.dumps(run.fields),
        "updates": agent.network.updates,
        "seconds": round(seconds, 2),
        "success": evaluation.success_rate,
        "loop_share": evaluation.loop_share,
    }


if __name__ == "__main__":
    main()
