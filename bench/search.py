"""Search for better settings than those of preset `fast`, with Optuna.

`python bench/search.py --trials 200` minimizes the work until the task is solved: updates times batch size
times parameters, as the geometric mean over the sizes. Settings are drawn as factors of the preset's, so that
a trial applies to all sizes. The first trial is the preset itself.

The best trials are printed as a Markdown table. All trials are kept in --storage, an SQLite file, and another
call continues from them. After a change of the preset it needs a new file.
"""

import argparse
import statistics
from contextlib import suppress
from pathlib import Path

import optuna
from beyond import epochs_of, multiplied

from herfast import Agent, BitFlip, Config

STORAGE = Path(__file__).parent / "results" / "search.db"
BITS = (50, 100)
MAX_UPDATES_PER_BIT = 100  # the preset needs 14 at 50 bits and 30 at 100
PENALTY = 10  # factor of the work up to that limit, for a task that is not solved
BEST = 10  # rows of the table
FACTORS = {  # lowest and highest; the logarithm is drawn uniformly
    "hidden": (0.5, 2.0),
    "learning_rate": (0.3, 3.0),
    "learning_rate_end": (0.1, 10.0),
    "learning_rate_decay_updates": (0.2, 3.0),
    "advantage_gap": (0.4, 1.8),
    "episodes_per_cycle": (0.25, 4.0),
    "target_update": (0.3, 5.0),
    "epsilon_start": (0.2, 1.8),
    "batch_size": (0.25, 3.0),
}


def main():
    args = arguments()
    args.storage.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{args.storage}",
        study_name=f"{', '.join(map(str, args.bits))} bits",
        load_if_exists=True,
    )
    # Fixed by the number of trials, since a sampler that continues would otherwise repeat its first draws.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
    if not study.get_trials(states=[optuna.trial.TrialState.COMPLETE]):
        study.enqueue_trial(dict.fromkeys(FACTORS, 1.0))
    study.optimize(lambda trial: objective(trial, args.bits), n_trials=args.trials)
    print(table(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])))


def arguments():
    parser = argparse.ArgumentParser(description="Search settings of less work than those of preset fast.")
    parser.add_argument("--trials", type=int, default=100, help="number of further trials")
    parser.add_argument("--bits", type=int, nargs="+", default=BITS)
    parser.add_argument("--storage", type=Path, default=STORAGE, help="SQLite file of all trials")
    return parser.parse_args()


def objective(trial, sizes):
    factors = {name: trial.suggest_float(name, *ends, log=True) for name, ends in FACTORS.items()}
    return statistics.geometric_mean(work(n_bits, factors) for n_bits in sizes)


def work(n_bits, factors):
    """Return updates times batch size times parameters until seed 0 solves the task."""
    env = BitFlip(n_bits)
    preset = Config.preset("fast", env)
    epochs = epochs_of(preset, MAX_UPDATES_PER_BIT * n_bits)
    agent = Agent(env, "fast", 0, threads=1, **multiplied(preset, factors), epochs=epochs)
    with suppress(FloatingPointError):  # a trial that diverges is not solved
        agent.learn()
    updates = agent.network.updates
    if not agent.solved:
        updates = PENALTY * MAX_UPDATES_PER_BIT * n_bits
    parameters = sum(array.size for array in agent.network.parameters().values())
    return updates * agent.config.batch_size * parameters


def table(trials):
    """Return a Markdown table of the trials with the least work."""
    lines = [f"| trial | work | {' | '.join(FACTORS)} |", "|---|" + "---|" * (1 + len(FACTORS))]
    for trial in sorted(trials, key=lambda trial: trial.value)[:BEST]:
        factors = " | ".join(f"{trial.params[name]:.2f}" for name in FACTORS)
        lines.append(f"| {trial.number} | {trial.value:.3g} | {factors} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
