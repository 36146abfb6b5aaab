"""Make the tables and the figure of docs/beyond.md from the trials of beyond.py."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from herfast import Agent
from herfast.experiments.results_table import read_results
from herfast.plotting.sweep_plots import plot_sweep

TEST_EPISODES = 10_000
FORMATS = {"seconds": "{:,.3g}", "success": "{:.4f}"}  # of other columns "{:,.0f}"


def finished(folder):
    """Return the last row of each finished trial, with its success in other games."""
    if not (folder / "results.csv").exists():
        return []
    rows = {row["cell"]: row for row in read_results(folder)}
    return [{**row, "success": success(folder / name)} for name, row in rows.items()]


def success(trial, n_episodes=TEST_EPISODES):
    """Return the success rate of a trial's agent in games not played in training.

    A trial that diverged has no agent, and its rate is 0.
    """
    agent_file = trial / "agent.safetensors"
    if not agent_file.exists():
        return 0.0
    agent = Agent.load(agent_file, replay=False)
    return agent.evaluate(n_episodes, seed=agent.seed).success_rate


def results_table(rows):
    """Return a Markdown table with a line per number of bits, and medians of the seeds."""
    names = ("env_steps", "episodes", "seconds", "success")
    lines = [
        "| bits | solved | updates | steps | episodes | seconds | success |",
        "|---|---|---|---|---|---|---|",
    ]
    for n_bits, group in by_size(rows).items():
        cells = [solved(group), ends(group, "updates"), *(median(group, name) for name in names)]
        lines.append(f"| {n_bits} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ablation_table(rows):
    """Return a Markdown table with a line per variant and two columns per size.

    `rows` has the rows of each variant by its name. Variants without rows are left out.
    """
    sizes = list(by_size([row for group in rows.values() for row in group]))
    lines = [
        "| |" + "".join(f" {n_bits} bits, updates | success |" for n_bits in sizes),
        "|---|" + "---|---|" * len(sizes),
    ]
    for name, group in rows.items():
        trials = by_size(group)
        cells = "".join(f" {cell(trials[n_bits])} |" if n_bits in trials else " | |" for n_bits in sizes)
        if trials:
            lines.append(f"| {name} |{cells}")
    return "\n".join(lines)


def by_size(rows):
    """Return the rows by number of bits, in ascending order."""
    sizes = sorted({int(row["n_bits"]) for row in rows})
    return {n_bits: [row for row in rows if int(row["n_bits"]) == n_bits] for n_bits in sizes}


def cell(rows):
    """Return updates and success, and how many seeds are solved unless all are."""
    part = solved(rows)
    prefix = "" if part == f"{len(rows)} of {len(rows)}" else f"{part}: "
    return f"{prefix}{ends(rows, 'updates')} | {median(rows, 'success')}"


def solved(rows):
    return f"{sum(row['ended'] == 'solved' for row in rows)} of {len(rows)}"


def ends(rows, name):
    """Return the median, and in brackets the range of the values if they differ."""
    low, high = (formatted(name, end(values_of(rows, name))) for end in (min, max))
    middle = median(rows, name)
    return middle if low == high else f"{middle} ({low} to {high})"


def median(rows, name):
    return formatted(name, np.median(values_of(rows, name)))


def values_of(rows, name):
    return [float(row[name]) for row in rows]


def formatted(name, value):
    return FORMATS.get(name, "{:,.0f}").format(value)


def plot(folder, path):
    """Write the plot of updates by number of bits of the sweep in `folder` to `path`."""
    with tempfile.TemporaryDirectory() as plots:
        plot_sweep(read_results(folder), plots)
        shutil.copy(Path(plots) / "updates-to-solve.png", path)
