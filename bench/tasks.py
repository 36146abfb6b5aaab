"""Train preset `fast` on tasks other than bit flipping.

- `python bench/tasks.py results`: each task with hindsight and without.
- `python bench/tasks.py ablation`: the preset with one ingredient changed at a time.
- `python bench/tasks.py report`: the tables of docs/tasks.md, from all finished trials.

The trials are those of `herfast.sweep`, in folders under --out. Finished ones are not trained again. After
a change of the preset, choose another folder, since the tables show all trials in it.

Each trial uses one thread. Its seconds are those of `learn`, with its test episodes, progress.csv and
checkpoints. They are comparable only with one job on an idle machine.
"""

import argparse
import json
import sys
from pathlib import Path

from beyond_report import cell, finished, median

from herfast import GridWorld, LightsOut, make_env, sweep

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).parent / "results" / "tasks"
sys.path.append(str(ROOT / "examples"))  # modules of tasks
MAX_UPDATES = 40_000
TASKS = {
    "four rooms, 60 steps": GridWorld("four_rooms", max_steps=60),
    "Lights Out 3x3, any goal": LightsOut(3, 3),
    "Lights Out 5x5, up to 5 presses": LightsOut(5, 5, presses=5),
    "Lights Out 5x5, any goal": LightsOut(5, 5),
    "towers of Hanoi, 3 disks": make_env({"id": "towers_of_hanoi:TowersOfHanoi", "disks": 3}),
    "towers of Hanoi, 4 disks": make_env({"id": "towers_of_hanoi:TowersOfHanoi", "disks": 4}),
    "sliding puzzle, 5 moves": make_env({"id": "sliding_puzzle:SlidingPuzzle", "moves": 5}),
}
ABLATED = ("four rooms, 60 steps", "Lights Out 3x3, any goal")
CHANGED = {  # settings instead of those of the preset
    "as it is": {},
    "inputs of -1 and 1": {"encoding": "signed"},
    "one layer of 256": {"hidden": (256,)},
    "two layers of 256": {"hidden": (256, 256)},
    "dense initial weights": {"init": "dense"},
    "final goals": {"strategy": "final"},
    "four goals in five relabelled": {"k": 4},
    "constant learning rate": {"learning_rate_end": None},
    "learning rate 1e-3": {"learning_rate": 1e-3},
    "no advantage gap": {"advantage_gap": 0.0},
    "no hindsight bound": {"hindsight_bound": False},
    "gamma 0.98": {"gamma": 0.98},
    "target copied every 40 updates": {"target_update": 40},
    "epsilon 0.2": {"epsilon_start": 0.2},
}


def main():
    args = arguments()
    folders = {name: args.out / "ablation" / name.replace(" ", "-") for name in CHANGED}
    if args.what == "results":
        for name in TASKS:
            train(args, name, args.out / "results", k=[0, 1])
    elif args.what == "ablation":
        for name in ABLATED:
            for change, fields in CHANGED.items():
                train(args, name, folders[change], **fields)
    else:
        print(results_table(finished(args.out / "results")), end="\n\n")
        print(ablation_table({name: finished(folder) for name, folder in folders.items()}))


def arguments():
    parser = argparse.ArgumentParser(description="Train preset fast on tasks other than bit flipping.")
    parser.add_argument("what", choices=("results", "ablation", "report"))
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds: 0, 1, ...")
    parser.add_argument("--jobs", type=int, default=1, help="trials at the same time")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the trials")
    return parser.parse_args()


def train(args, name, folder, **fields):
    """Train the trials of all seeds that are not finished in `folder`."""
    print(f"{folder}, {name}", flush=True)
    epochs = MAX_UPDATES // 400  # of 10 cycles of 40 updates
    sweep(
        env=TASKS[name],
        out=folder,
        seeds=args.seeds,
        jobs=args.jobs,
        progress_bar=True,
        epochs=epochs,
        **fields,
    )


def results_table(rows):
    """Return a Markdown table with a line per task, with hindsight and without."""
    lines = [
        "| task | updates | success | seconds | k = 0: updates | success | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in TASKS:
        trials = of_task(rows, name)
        groups = [[row for row in trials if row["k"] == k] for k in ("1", "0")]
        cells = [f"{cell(group)} | {median(group, 'seconds')}" for group in groups if group]
        if cells:
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ablation_table(rows):
    """Return a Markdown table with a line per variant and two columns per task.

    `rows` has the rows of each variant by its name.
    """
    lines = [
        "| |" + "".join(f" {name}: updates | success |" for name in ABLATED),
        "|---|" + "---|---|" * len(ABLATED),
    ]
    for change, trials in rows.items():
        groups = [of_task(trials, name) for name in ABLATED]
        if all(groups):
            lines.append(f"| {change} | {' | '.join(map(cell, groups))} |")
    return "\n".join(lines)


def of_task(rows, name):
    """Return the rows of a task's trials."""
    return [row for row in rows if json.loads(row["env"]) == TASKS[name].spec()]


if __name__ == "__main__":
    main()
