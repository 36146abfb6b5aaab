"""Make tables of README.md and of pages in docs/ from the results of compare.py or paper.py.

`python bench/report.py bench/results/compare.json` prints them. With `--write FILE`, they replace the text
between their two marker comments in that file.
"""

import argparse
import json
import textwrap
from pathlib import Path

NOTEBOOK = (
    0.0,
    0.12875,
    0.6175,
    0.825,
    0.90625,
    0.9625,
)  # success by epoch, as published; the seed is unknown
SETTINGS = {  # column: settings of the runs of paper.py that differ from the preset
    "paper, HER": {},
    "paper, no HER": {"k": 0},
    "masked, HER": {"mask_terminal": True},
    "masked, no HER": {"k": 0, "mask_terminal": True},
}
NAMES = {
    "herfast": "herfast, preset `notebook`",
    "jax": "JAX, an epoch in one compiled scan",
    "numpy": "NumPy, the notebook with its faults mended",
    "torch": "PyTorch, eager",
    "sb3": "Stable-Baselines3, DQN + HerReplayBuffer",
    "cpprb": "cpprb, HindsightReplayBuffer",
}
LIBRARIES = {
    "herfast": "herfast",
    "jax": "JAX, an epoch in one compiled scan",
    "numpy": "NumPy",
    "torch": "PyTorch, eager",
    "sb3": "Stable-Baselines3",
}
BUFFERS = {**NAMES, "herfast": "herfast, HindsightReplay", "sb3": "Stable-Baselines3, HerReplayBuffer"}
PROTOCOL = """\
All follow the notebook's protocol: a 2n-256-n network, Adam 1e-3, gamma 0.98, final goals with k = 1; a cycle
is 16 episodes, then 40 updates of 128 and a copy to the target network, an epoch 50 cycles. Success is that
of the training episodes, exploration included. "First run" is the time from the start of the process to the
end of its first run: imports are counted, and nothing is compiled before. "Again" is the second run in the
same process, or the first one without imports where nothing is compiled. An update includes drawing its
minibatch.

How they differ: herfast also plays 100 greedy test episodes an epoch. herfast, JAX and PyTorch play 16
episodes in lockstep, NumPy, as the notebook does, and Stable-Baselines3 one at a time. JAX's updates are
timed apart from the scan. Stable-Baselines3 uses DQN instead of Double DQN, with the Huber loss, and does not
recompute `terminated` when it relabels."""
PROTOCOL_OF_BUFFERS = """\
Buffers alone, holding 50,000 transitions of random play, final goals with k = 1: microseconds to draw a
minibatch of 128, and to store a transition. herfast stores 16 episodes and draws 40 minibatches a call, as
its agent does; the others store step by step and draw one a call."""


def report(measured):
    """Return a dict of the names of markers and the text between them.

    `measured` is the content of a JSON file.
    """
    if "paper" in measured:
        return {"paper": report_of_paper(measured)}
    return {"compare": report_of_peers(measured), "speed": summary_of_peers(measured)}


def report_of_peers(measured):
    parts = []
    for n_bits in dict.fromkeys(row["bits"] for row in measured["rows"]):
        parts += table([row for row in measured["rows"] if row["bits"] == n_bits])
    parts.append(PROTOCOL)
    if measured["buffers"]:
        parts += [PROTOCOL_OF_BUFFERS, buffer_table(measured["buffers"])]
    return "\n\n".join([*parts, provenance(measured)]) + "\n"


def summary_of_peers(measured):
    """Return a Markdown table of the times of all peers, and where it was measured."""
    rows = {(row["peer"], row["bits"]): row for row in measured["rows"]}
    sizes = sorted({n_bits for _, n_bits in rows})
    lines = [
        "| seconds |" + "".join(f" {n_bits} bits: first run | again |" for n_bits in sizes),
        "|---|" + "---|---|" * len(sizes),
    ]
    for peer in dict.fromkeys(row["peer"] for row in sorted(measured["rows"], key=lambda row: row["warm"])):
        both = (rows.get((peer, n_bits)) for n_bits in sizes)
        cells = "".join(f" {row['first_run']:.2f} | {row['warm']:.2f} |" if row else " | |" for row in both)
        lines.append(f"| {LIBRARIES[peer]} |{cells}")
    updates = {row["bits"]: row["updates"] for row in measured["rows"]}
    cached = {row["bits"]: row["cached"] for row in measured["rows"] if row["cached"]}
    text = f"Numbers of updates are {listed(updates, ',')}. A first run includes imports and compilation. "
    if cached:
        text += f"With its kernels on disk, herfast's first run takes {listed(cached, '.2f')} seconds. "
    text += f"Measured on {measured['date']} on {measured['machine']['cpu']}."
    return "\n".join([*lines, "", textwrap.fill(text, 116)]) + "\n"


def listed(values, form):
    """Return the values of a dict by number of bits, as in "1, 2 and 3"."""
    *others, last = (format(value, form) for _, value in sorted(values.items()))
    return " and ".join([", ".join(others)] * bool(others) + [last])


def report_of_paper(measured):
    runs, n_seeds = measured["paper"], len({run["seed"] for run in measured["paper"]})
    ours = [run["played"] for run in runs if run["preset"] == "notebook"]
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    lines = [f"| bits | {' | '.join(SETTINGS)} |", "|---|" + "---|" * len(SETTINGS)]
    for n_bits in sorted({run["n_bits"] for run in runs if run["preset"] == "paper"}):
        column = {"preset": "paper", "n_bits": n_bits}
        cells = [success(runs, column | {"settings": settings}) for settings in SETTINGS.values()]
        lines.append(f"| {n_bits} | {' | '.join(cells)} |")
    epochs = range(1, len(NOTEBOOK) + 1)
    by_epoch = [
        "| success in epoch | " + " | ".join(map(str, epochs)) + " |",
        "|---|" + "---|" * len(NOTEBOOK),
        "| the notebook, as published | " + " | ".join(f"{rate:.3f}" for rate in NOTEBOOK) + " |",
        "| herfast, preset `notebook` | " + " | ".join(map(spread, zip(*ours, strict=True))) + " |",
    ]
    made = f"Made by `bench/paper.py` on {measured['date']} with {versions}.\n"
    made += f"Lowest to highest of {n_seeds} seeds."
    return "\n\n".join(["\n".join(lines), "\n".join(by_epoch), made]) + "\n"


def success(runs, which):
    """Return success at the end of runs, and the epoch in which they were solved.

    This is the first epoch with at least 99 of 100 greedy episodes successful. Runs are selected by the
    entries of `which`.
    """
    runs = [run for run in runs if which.items() <= run.items()]
    first = [next((i + 1 for i, rate in enumerate(run["greedy"]) if rate >= 0.99), None) for run in runs]
    epochs = [epoch for epoch in first if epoch]
    text = spread([run["success"] for run in runs])
    if len(epochs) < len(runs):
        return text
    return f"{text} (epoch {min(epochs)}" + (f" to {max(epochs)})" if min(epochs) < max(epochs) else ")")


def spread(rates):
    """Return the lowest and highest rate, or one rate if both are rounded to it."""
    low, high = f"{min(rates):.3f}", f"{max(rates):.3f}"
    return low if low == high else f"{low} to {high}"


def table(rows):
    """Return a sentence and a Markdown table of the peers at one number of bits.

    Peers that solved the task come first. Both groups are sorted by time.
    """
    first = rows[0]
    ours = next((row["warm"] for row in rows if row["peer"] == "herfast"), None)
    title = f"{first['bits']} bits, {first['epochs']} epochs: "
    title += f"{first['episodes']:,} episodes, {first['updates']:,} updates"
    if first["solved"] is None:  # the epochs are too few
        title += "; too few to solve the task, so only the times are comparable"
    lines = [
        "| | first run with imports, s | again, s | times herfast's | a cycle, ms | an update, µs | steps "
        "| success per epoch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (row["solved"] is False, row["warm"])):
        ratio = f"{row['warm'] / ours:.1f}" if ours else ""
        success = " ".join(f"{rate:.2f}" for rate in row["success"])
        if row["solved"] is False:
            success += " (not solved)"
        cells = (NAMES[row["peer"]], first_run(row), again(row), ratio, f"{row['ms_per_cycle']:.2f}")
        lines.append(
            f"| {' | '.join(cells)} | {row['us_per_update']:.0f} | {row['env_steps']:,.0f} | {success} |"
        )
    return [title + ".", "\n".join(lines)]


def first_run(row):
    cached = f" ({row['cached']:.2f} once its kernels are on disk)" if row["cached"] else ""
    return f"{row['first_run']:.2f}{cached}"


def again(row):
    """Return the median, followed by the range if there are several seeds."""
    spread = f" ({row['lowest']:.2f} to {row['highest']:.2f})" if row["seeds"] > 1 else ""
    return f"{row['warm']:.2f}{spread}"


def buffer_table(rows):
    """Return a Markdown table with a row per buffer and two columns per size."""
    sizes = list(dict.fromkeys(row["bits"] for row in rows))
    times = {(row["buffer"], row["bits"]): (row["us_per_sample"], row["us_per_transition"]) for row in rows}
    lines = [
        "| |" + "".join(f" {n_bits} bits: draw 128, µs | store, µs |" for n_bits in sizes),
        "|---|" + "---|---|" * len(sizes),
    ]
    for name in dict.fromkeys(row["buffer"] for row in sorted(rows, key=lambda row: row["us_per_sample"])):
        both = (times.get((name, n_bits)) for n_bits in sizes)
        cells = "".join(" {:.1f} | {:.2f} |".format(*pair) if pair else " | |" for pair in both)
        lines.append(f"| {BUFFERS[name]} |{cells}")
    return "\n".join(lines)


def provenance(measured):
    """Return a paragraph on the machine, the date, the versions and skipped peers."""
    machine = measured["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    seeds = ", ".join(dict.fromkeys(f"{row['peer']} {row['seeds']}" for row in measured["rows"]))
    n_threads = machine["threads"]
    threads = "one thread" if n_threads == 1 else f"{n_threads} threads"
    cores = "one core" if n_threads == 1 else f"{n_threads} cores"
    pinned = f", pinned to {cores}" if machine["pinned"] else ""
    return (
        f"Measured by `bench/compare.py` on {measured['date']}: {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['ram_gib']:g} GiB, {machine['system']}; {threads}{pinned}; {versions}. "
        f"Medians over seeds, their range in brackets; number of seeds: {seeds}."
        + "".join(f" {sentence}" for sentence in measured["skipped"])
    )


def rewritten(text, reports):
    """Return `text` with each of the reports, by name, between its two markers.

    Reports whose markers are missing are omitted. Raises ValueError if that is all of them.
    """
    names = [name for name in reports if f"<!-- {name}:" in text]
    if not names:
        raise ValueError(f"the text must contain the markers of {' or '.join(reports)}")
    for name in names:
        text = with_report(text, name, reports[name])
    return text


def with_report(text, name, report):
    """Return `text` with a report between its two markers.

    Raises ValueError unless `text` has each marker once, in order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the text must contain {begin}, then {end}, each once")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{report}{end}{rest.split(end)[1]}"


def main():
    parser = argparse.ArgumentParser(description="Make tables of README.md and of pages in docs/.")
    parser.add_argument("json", type=Path, help="file written by compare.py or paper.py with --out")
    parser.add_argument("--write", type=Path, metavar="FILE", help="rewrite this file between its markers")
    args = parser.parse_args()
    reports = report(json.loads(args.json.read_text()))
    if args.write:
        try:
            args.write.write_text(
                rewritten(args.write.read_text(encoding="utf-8"), reports), encoding="utf-8"
            )
        except ValueError as error:
            parser.exit(1, f"{args.write} is unchanged: {error}\n")
    else:
        print("\n".join(reports.values()), end="")


if __name__ == "__main__":
    main()
