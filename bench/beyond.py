"""Measure preset `fast` beyond the sizes of the HER paper, up to 256 bits.

- `python bench/beyond.py results`: updates, steps and seconds to solve 10 to 256 bits.
- `python bench/beyond.py ablation`: the preset with one ingredient changed at a time, at 50 and 100 bits.
- `python bench/beyond.py report`: the tables of docs/beyond.md, from all finished trials.
- `python bench/beyond.py plot`: the figure of docs/beyond.md.

The trials are those of `herfast.sweep`, in folders under --out. Finished ones are not trained again. After
a change of the preset, choose another folder, since the tables show all trials in it.

Each trial uses one thread. Its seconds are those of `learn`, with its test games, progress.csv and
checkpoints. They are comparable only with one job on an idle machine.
"""

import argparse
from pathlib import Path

from beyond_report import ablation_table, finished, plot, results_table

from herfast import BitFlip, Config, sweep

OUT = Path(__file__).parent / "results" / "beyond"
FIGURE = Path(__file__).parents[1] / "docs" / "beyond.png"
BITS = (10, 20, 30, 50, 80, 100, 128, 200, 256)
ABLATED_BITS = (50, 100)
MAX_UPDATES = 20_000  # of the ablation
CHANGED = {  # settings instead of those of the preset
    "as it is": {},
    "dense initial weights": {"init": "dense"},
    "final goals": {"strategy": "final"},
    "no hindsight": {"k": 0},
    "constant learning rate": {"learning_rate_end": None},
    "no advantage gap": {"advantage_gap": 0.0},
    "no hindsight bound": {"hindsight_bound": False},
    "dueling": {"dueling": True},
    "single DQN": {"double_q": False},
    "gamma 0.98": {"gamma": 0.98},
    "batches of 256": {"batch_size": 256},
    "target copied every 40 updates": {"target_update": 40},
    "epsilon 0.2": {"epsilon_start": 0.2},
}
MULTIPLIED = {  # factors of the preset's settings
    "half the width": {"hidden": 0.5},
    "1.5 times the width": {"hidden": 1.5},
    "half the learning rate": {"learning_rate": 0.5},
    "twice the learning rate": {"learning_rate": 2.0},
    "twice the episodes": {"episodes_per_cycle": 2.0},
}


def main():
    args = arguments()
    folders = {name: args.out / "ablation" / name.replace(" ", "-") for name in (*CHANGED, *MULTIPLIED)}
    if args.what == "results":
        for n_bits in args.bits or BITS:
            train(args, n_bits, args.out / "results")
    elif args.what == "ablation":
        for n_bits in args.bits or ABLATED_BITS:
            for name, fields in variants(n_bits).items():
                train(args, n_bits, folders[name], **fields)
    elif args.what == "report":
        print(results_table(finished(args.out / "results")), end="\n\n")
        print(ablation_table({name: finished(folder) for name, folder in folders.items()}))
    else:
        plot(args.out / "results", FIGURE)


def arguments():
    parser = argparse.ArgumentParser(
        description="Solve bit flipping of up to 256 bits with preset fast and variants of it."
    )
    parser.add_argument("what", choices=("results", "ablation", "report", "plot"))
    parser.add_argument("--bits", type=int, nargs="+", help="sizes to train")
    parser.add_argument("--seeds", type=int, help="number of seeds: 0, 1, ... (default: 3, past 128 bits 1)")
    parser.add_argument("--jobs", type=int, default=1, help="trials at the same time")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the trials")
    return parser.parse_args()


def train(args, n_bits, folder, **fields):
    """Train the trials of all seeds that are not finished in `folder`."""
    print(f"{folder}, {n_bits} bits", flush=True)
    seeds = args.seeds or (3 if n_bits <= 128 else 1)
    sweep(n_bits, out=folder, seeds=seeds, jobs=args.jobs, progress_bar=True, **fields)


def variants(n_bits):
    """Return the settings of the ablation by name."""
    preset = Config.preset("fast", BitFlip(n_bits))
    changed = CHANGED | {name: multiplied(preset, factors) for name, factors in MULTIPLIED.items()}
    epochs = epochs_of(preset, MAX_UPDATES)
    return {name: {"epochs": epochs, **fields} for name, fields in changed.items()}


def multiplied(config, factors):
    """Return fields of `config` multiplied by `factors`, which has them by name.

    Integers are rounded, and widths are multiples of 32.
    """
    fields = {}
    for name, factor in factors.items():
        value = getattr(config, name)
        if name == "hidden":
            fields[name] = tuple(32 * max(1, round(factor * width / 32)) for width in value)
        elif isinstance(value, int):
            fields[name] = max(1, round(factor * value))
        else:
            fields[name] = factor * value
    return fields


def epochs_of(config, updates):
    """Return the number of epochs with that many updates, rounded up."""
    return -(-updates // (config.updates_per_cycle * config.cycles_per_epoch))


if __name__ == "__main__":
    main()
