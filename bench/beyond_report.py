"""The tables of docs/beyond.md from the rows that beyond.py found."""

import collections

import numpy as np


def report(rows):
    """Markdown: results by size, the ablation, and the best of the search."""
    return "\n\n".join([results_table(rows), ablation_table(rows), search_table(rows)])


def results_table(rows):
    lines = [
        "| bits | initial weights | solved | updates | steps | episodes | seconds | success |",
        "|---|" + "---|" * 7,
    ]
    for (n_bits, variant), group in grouped(
        rows, "results", lambda row: (int(row["n_bits"]), row["variant"] == "dense")
    ):
        cells = [ends(group, name) for name in ("updates", "env_steps", "episodes", "seconds", "success")]
        lines.append(f"| {n_bits} | {'dense' if variant else 'paired'} | {solved(group)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ablation_table(rows):
    sizes = sorted({int(row["n_bits"]) for row in rows if row["group"] == "ablation"})
    table = collections.defaultdict(dict)
    for (variant, n_bits), group in grouped(rows, "ablation", lambda row: (row["variant"], int(row["n_bits"]))):
        table[variant][n_bits] = f"{solved(group)}: {ends(group, 'updates')} | {ends(group, 'success')}"
    lines = [
        "| | " + " | ".join(f"{n} bits, updates | success" for n in sizes) + " |",
        "|---|" + "---|---|" * len(sizes),
    ]
    return "\n".join(
        lines + [f"| {variant} | {' | '.join(cells.get(n, '|') for n in sizes)} |" for variant, cells in table.items()]
    )


def search_table(rows):
    found = sorted(
        (row for row in rows if row["group"] == "search" and row["solved"] == "True"),
        key=lambda row: float(row["seconds"]),
    )
    lines = ["| trial | updates | seconds | success | settings |", "|---|---|---|---|---|"]
    names = ("variant", "updates", "seconds", "success", "fields")
    return "\n".join(lines + [f"| {' | '.join(row[name] for name in names)} |" for row in found[:8]])


def grouped(rows, group, key):
    """Of the rows of a group: each key, in the order of its first row, and its rows."""
    found = collections.defaultdict(list)
    for row in rows:
        if row["group"] == group:
            found[key(row)].append(row)
    return sorted(found.items()) if group == "results" else list(found.items())


def solved(group):
    return f"{sum(row['solved'] == 'True' for row in group)} of {len(group)}"


def ends(group, name):
    """The median, and in brackets the lowest and the highest."""
    values = np.array([float(row[name]) for row in group])
    form = "{:.3f}" if name == "success" else "{:,.2f}" if name == "seconds" else "{:,.0f}"
    middle, low, high = (form.format(value) for value in (np.median(values), values.min(), values.max()))
    return f"{middle} ({low} to {high})"
