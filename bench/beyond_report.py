"""Make the tables of docs/beyond.md from the rows of beyond.py."""

import collections

import numpy as np


def report(rows):
    """Return Markdown tables: results by size, the ablation, the best of the search."""
    return "\n\n".join([results_table(rows), ablation_table(rows), search_table(rows)])


def results_table(rows):
    lines = [
        "| bits | initial weights | solved | updates | steps | episodes | seconds | success |",
        "|---|" + "---|" * 7,
    ]
    for (n_bits, dense), group in grouped(
        rows, "results", lambda row: (int(row["n_bits"]), row["variant"] == "dense")
    ):
        cells = [ends(group, name) for name in ("updates", "env_steps", "episodes", "seconds", "success")]
        lines.append(
            f"| {n_bits} | {'dense' if dense else 'paired'} | {solved(group)} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def ablation_table(rows):
    sizes = sorted({int(row["n_bits"]) for row in rows if row["group"] == "ablation"})
    table = collections.defaultdict(dict)
    for (variant, n_bits), group in grouped(
        rows, "ablation", lambda row: (row["variant"], int(row["n_bits"]))
    ):
        table[variant][n_bits] = f"{solved(group)}: {ends(group, 'updates')} | {ends(group, 'success')}"
    lines = [
        "| | " + " | ".join(f"{n} bits, updates | success" for n in sizes) + " |",
        "|---|" + "---|---|" * len(sizes),
    ]
    for variant, cells in table.items():
        lines.append(f"| {variant} | {' | '.join(cells.get(n, '|') for n in sizes)} |")
    return "\n".join(lines)


def search_table(rows):
    fastest = sorted(
        (row for row in rows if row["group"] == "search" and row["solved"] == "True"),
        key=lambda row: float(row["seconds"]),
    )
    lines = ["| trial | updates | seconds | success | settings |", "|---|---|---|---|---|"]
    names = ("variant", "updates", "seconds", "success", "fields")
    lines += [f"| {' | '.join(row[name] for name in names)} |" for row in fastest[:8]]
    return "\n".join(lines)


def grouped(rows, group, key):
    """Return (key, rows) pairs of the rows of a group.

    They are sorted by key for "results", else in the order of the first rows.
    """
    found = collections.defaultdict(list)
    for row in rows:
        if row["group"] == group:
            found[key(row)].append(row)
    return sorted(found.items()) if group == "results" else list(found.items())


def solved(group):
    return f"{sum(row['solved'] == 'True' for row in group)} of {len(group)}"


def ends(group, name):
    """Return the median, followed by the lowest and highest value in brackets."""
    values = np.array([float(row[name]) for row in group])
    form = {"success": "{:.3f}", "seconds": "{:,.2f}"}.get(name, "{:,.0f}")
    middle, low, high = (form.format(value) for value in (np.median(values), values.min(), values.max()))
    return f"{middle} ({low} to {high})"
