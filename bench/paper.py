"""Reproduce figure 1 of Andrychowicz et al. 2017 and the bit-flip notebook.

Figure 1 shows success by number of bits, with hindsight and without. It is reproduced with preset `paper`,
and the six epochs of the notebook with preset `notebook`.

From a clone: `pip install .`, then `python bench/paper.py --out paper.json`, half an hour on two cores.
`python bench/report.py paper.json --write docs/paper.md` writes its tables. Nothing is timed here.

The trials are those of `herfast.sweep`, in --folder. Finished ones are not trained again, so choose another
folder after a change of herfast.
"""

import argparse
import datetime
import importlib.metadata
import json
import platform
from pathlib import Path

from beyond_report import success
from report import SETTINGS

from herfast import sweep

FOLDER = Path(__file__).parent / "results" / "paper"
NOTEBOOK_BITS = 20
TEST_EPISODES = 1_000


def main():
    args = arguments()
    results = train(args, "notebook", NOTEBOOK_BITS, {})
    limits = {"epochs": args.epochs} if args.epochs else {}
    for settings in SETTINGS.values():
        results += train(args, "paper", args.bits, settings, **limits)
    for result in results:
        print(*(result[name] for name in ("preset", "n_bits", "settings", "seed", "success")))
    if args.out:
        write(args.out, results)


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
    parser.add_argument("--jobs", type=int, help="trials at the same time (default: the number of cores)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of the trials")
    parser.add_argument("--out", type=Path, help="JSON file for report.py")
    return parser.parse_args()


def train(args, preset, n_bits, settings, **limits):
    """Train what is not finished, and return the results of all sizes and seeds."""
    options = {"seeds": args.seeds, "jobs": args.jobs, "progress_bar": True}
    trials = {}
    for row in sweep(n_bits, out=args.folder, preset=preset, **options, **settings, **limits):
        trials.setdefault(row["cell"], []).append(row)
    return [result(args.folder / name, rows, settings) for name, rows in trials.items()]


def result(folder, rows, settings):
    """Return success by epoch and at the end.

    "played" is the success of the training episodes, "greedy" that of greedy test episodes.
    """
    last = rows[-1]
    return {
        **{name: last[name] for name in ("preset", "n_bits", "seed")},
        "settings": settings,
        "played": [round(row["success"], 4) for row in rows],
        "greedy": [row["greedy_success"] for row in rows],
        "success": success(folder, TEST_EPISODES),
        **{name: last[name] for name in ("env_steps", "updates")},
    }


if __name__ == "__main__":
    main()
