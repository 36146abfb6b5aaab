"""Tests of bench/beyond_report.py, which makes the tables of docs/beyond.md."""

from beyond_report import report


def row(group, variant, n_bits, seed, **fields):
    """Return a row as csv.DictReader reads it."""
    numbers = {
        "updates": 400 * (seed + 1),
        "env_steps": 5_000,
        "episodes": 640,
        "seconds": 1.5,
        "success": 0.99,
    }
    key = {
        "group": group,
        "variant": variant,
        "n_bits": n_bits,
        "seed": seed,
        "fields": "{}",
        "solved": True,
    }
    return {name: str(value) for name, value in {**key, **numbers, **fields}.items()}


def test_results_are_sorted_by_size_with_dense_weights_last():
    rows = [row("results", "dense", 20, 0, solved=False)]
    rows += [row("results", "fast", n_bits, seed) for n_bits in (100, 20) for seed in range(3)]
    lines = report(rows).splitlines()[2:5]
    assert [line.split(" | ")[:3] for line in lines] == [
        ["| 20", "paired", "3 of 3"],
        ["| 20", "dense", "0 of 1"],
        ["| 100", "paired", "3 of 3"],
    ]
    cells = "| 800 (400 to 1,200) | 5,000 (5,000 to 5,000) | 640 (640 to 640) | 1.50 (1.50 to 1.50) | 0.990 "
    assert cells in lines[0]


def test_the_ablation_has_one_line_per_variant_and_two_columns_per_size():
    rows = [row("ablation", *variant, 0) for variant in (("as it is", 50), ("as it is", 100), ("no gap", 50))]
    head, _, *lines = report(rows).split("\n\n")[1].splitlines()
    assert head == "| | 50 bits, updates | success | 100 bits, updates | success |"
    assert [line.count("|") for line in lines] == [6, 6]
    assert lines[0].startswith("| as it is | 1 of 1: 400 (400 to 400) | 0.990 (0.990 to 0.990) | 1 of 1: 400")
    assert lines[1].startswith("| no gap | 1 of 1: 400")


def test_the_search_lists_the_eight_fastest_solved_trials():
    rows = [row("search", f"trial {i}", 100, 0, seconds=20.0 - i, solved=i != 9) for i in range(11)]
    lines = report(rows).split("\n\n")[2].splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [f"| trial {i}" for i in (10, 8, 7, 6, 5, 4, 3, 2)]
