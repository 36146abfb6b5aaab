"""Tests of bench/report.py, which writes tables of README.md and docs/."""

import pytest
from report import listed, report, rewritten

BEGIN, END = "<!-- compare:begin -->", "<!-- compare:end -->"


def row(peer, **fields):
    return {
        "peer": peer,
        "bits": 20,
        "epochs": 6,
        "seeds": 3,
        "first_run": 9.0,
        "cached": None,
        "warm": 1.0,
        "lowest": 0.9,
        "highest": 1.1,
        "ms_per_cycle": 3.3,
        "us_per_update": 80.4,
        "env_steps": 56_000,
        "episodes": 4_800,
        "updates": 12_000,
        "success": [0.2, 1.0],
        "solved": True,
        **fields,
    }


def measurement(*rows, buffers=(), **fields):
    machine = {"cpu": "a processor", "cores": 2, "ram_gib": 16.0, "system": "Linux"}
    machine |= {"threads": 1, "pinned": True}
    whole = {"date": "2025-01-31", "machine": machine, "versions": {"numpy": "2.0.0"}, "skipped": []}
    return {**whole, "rows": rows, "buffers": buffers, **fields}


def text_of(measured, name="compare"):
    return report(measured)[name]


def lines_of(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def test_peers_are_sorted_by_time_with_the_ratio_to_herfast():
    jax = row("jax", warm=4.0, lowest=3.9, highest=4.2, first_run=7.5)
    text = text_of(measurement(jax, row("herfast", cached=1.5)))
    assert lines_of(text)[0].startswith("| | first run with imports, s | again, s |")
    assert lines_of(text)[2:] == [
        "| herfast, preset `notebook` | 9.00 (1.50 once its kernels are on disk) | 1.00 (0.90 to 1.10) "
        "| 1.0 | 3.30 | 80 | 56,000 | 0.20 1.00 |",
        "| JAX, an epoch in one compiled scan | 7.50 | 4.00 (3.90 to 4.20) | 4.0 | 3.30 | 80 | 56,000 "
        "| 0.20 1.00 |",
    ]


def test_peers_that_did_not_solve_the_task_are_marked_and_last():
    text = text_of(measurement(row("torch", warm=0.5, seeds=1, solved=False), row("herfast")))
    expected = "| PyTorch, eager | 9.00 | 0.50 | 0.5 | 3.30 | 80 | 56,000 | 0.20 1.00 (not solved) |"
    assert lines_of(text)[-1] == expected


def test_each_number_of_bits_has_a_table():
    text = text_of(
        measurement(
            row("herfast"), row("herfast", bits=50, epochs=2, episodes=1_600, updates=4_000, solved=None)
        )
    )
    assert "20 bits, 6 epochs: 4,800 episodes, 12,000 updates.\n" in text
    assert "50 bits, 2 epochs: 1,600 episodes, 4,000 updates; too few to solve the task" in text
    assert len(lines_of(text)) == 6


def test_the_text_names_machine_versions_date_and_skipped_peers():
    text = text_of(measurement(row("herfast"), skipped=["jax is skipped: jax is not installed."]))
    for part in (
        "2025-01-31",
        "a processor, 2 cores, 16 GiB, Linux",
        "pinned",
        "numpy 2.0.0",
        "jax is skipped",
    ):
        assert part in text


def test_buffers_have_a_separate_table():
    buffers = [
        {"buffer": name, "bits": n_bits, "us_per_sample": sample, "us_per_transition": transition}
        for name, sample, transition in (("cpprb", 33.7, 17.09), ("herfast", 3.37, 0.026))
        for n_bits in (20, 50)
    ]
    assert lines_of(text_of(measurement(row("herfast"), buffers=buffers)))[-4:] == [
        "| | 20 bits: draw 128, µs | store, µs | 50 bits: draw 128, µs | store, µs |",
        "|---|---|---|---|---|",
        "| herfast, HindsightReplay | 3.4 | 0.03 | 3.4 | 0.03 |",
        "| cpprb, HindsightReplayBuffer | 33.7 | 17.09 | 33.7 | 17.09 |",
    ]


def test_the_summary_has_a_row_per_peer_and_two_columns_per_size():
    rows = (
        row("sb3", warm=22.8, first_run=23.75),
        row("herfast", warm=0.49, first_run=3.03, cached=0.65),
        row("jax", bits=100, warm=1.38, first_run=4.44, updates=4_000),
        row("herfast", bits=100, warm=0.35, first_run=3.01, cached=0.534, updates=4_000),
    )
    text = text_of(measurement(*rows), "speed")
    assert lines_of(text) == [
        "| seconds | 20 bits: first run | again | 100 bits: first run | again |",
        "|---|---|---|---|---|",
        "| herfast | 3.03 | 0.49 | 3.01 | 0.35 |",
        "| JAX, an epoch in one compiled scan | | | 4.44 | 1.38 |",
        "| Stable-Baselines3 | 23.75 | 22.80 | | |",
    ]
    assert "Numbers of updates are 12,000 and 4,000." in text
    assert "0.65 and 0.53 seconds" in text
    assert "Measured on 2025-01-31 on a processor." in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(("values", "text"), [([1], "1"), ([1, 2], "1 and 2"), ([1, 2, 3], "1, 2 and 3")])
def test_listed(values, text):
    assert listed(dict(enumerate(values)), "d") == text


def test_only_the_text_between_the_markers_is_rewritten():
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    reports = {"compare": "new\n", "speed": "not used\n"}
    assert rewritten(text, reports) == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert rewritten(rewritten(text, reports), reports) == rewritten(text, reports)


def test_all_reports_whose_markers_are_there_are_written():
    text = f"{BEGIN}\n{END}\n<!-- speed:begin -->\n<!-- speed:end -->"
    expected = f"{BEGIN}\na\n{END}\n<!-- speed:begin -->\nb\n<!-- speed:end -->"
    assert rewritten(text, {"compare": "a\n", "speed": "b\n"}) == expected


def test_a_text_without_markers_raises():
    with pytest.raises(ValueError, match="the markers of compare or speed"):
        rewritten("<!-- paper:begin --><!-- paper:end -->", {"compare": "", "speed": ""})


@pytest.mark.parametrize("text", [BEGIN, END + BEGIN, BEGIN + END + BEGIN + END])
def test_a_text_without_both_markers_raises(text):
    with pytest.raises(ValueError, match="each once"):
        rewritten(text, {"compare": "new\n"})


def run(n_bits, seed, success, greedy, preset="paper", **settings):
    played = [round(rate + seed / 100, 4) for rate in (0, 0.5, 0.75, 0.8, 0.9, 0.9)]
    return {
        "preset": preset,
        "n_bits": n_bits,
        "seed": seed,
        "settings": settings,
        "played": played,
        "greedy": greedy,
        "success": success,
    }


def test_the_paper_has_a_table_of_sizes_and_one_of_epochs():
    runs = [run(20, seed, 1.0, [1.0], preset="notebook") for seed in range(2)]
    for n_bits in (50, 13):
        for seed in range(2):
            runs.append(run(n_bits, seed, 0.996 - seed / 500, [0.0] * (3 + seed) + [0.99, 0.5]))
            runs.append(run(n_bits, seed, 0.0, [0.0, 0.98], k=0))
            runs.append(run(n_bits, seed, 1.0, [0.5, 1.0], mask_terminal=True))
            runs.append(run(n_bits, seed, seed / 2, [0.0, float(seed)], k=0, mask_terminal=True))
    text = text_of({"paper": runs, "date": "2025-01-31", "versions": {"numpy": "2.0.0"}}, "paper")
    rest = "0.994 to 0.996 (epoch 4 to 5) | 0.000 | 1.000 (epoch 2) | 0.000 to 0.500 |"
    assert lines_of(text)[2:4] == [f"| 13 | {rest}", f"| 50 | {rest}"]
    assert lines_of(text)[-2:] == [
        "| the notebook, as published | 0.000 | 0.129 | 0.618 | 0.825 | 0.906 | 0.963 |",
        "| herfast, preset `notebook` | 0.000 to 0.010 | 0.500 to 0.510 | 0.750 to 0.760 | 0.800 to 0.810 "
        "| 0.900 to 0.910 | 0.900 to 0.910 |",
    ]
    assert "2025-01-31 with numpy 2.0.0.\nLowest to highest of 2 seeds." in text
