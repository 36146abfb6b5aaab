"""bench/report.py: README's tables from a measurement, and nothing else in README touched."""

import pytest
from report import BEGIN, END, report, rewritten


def row(peer, **fields):
    return {
        "peer": peer,
        "bits": 20,
        "epochs": 6,
        "seeds": 3,
        "cold": 9.0,
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
        "learnt": True,
        **fields,
    }


def found(*rows, buffers=(), **fields):
    machine = {"cpu": "a processor", "cores": 2, "ram_gib": 16.0, "system": "Linux", "core": 1}
    whole = {"date": "2025-01-31", "machine": machine, "versions": {"numpy": "2.0.0"}, "skipped": []}
    return {**whole, "rows": rows, "buffers": buffers, **fields}


def lines_of(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def test_peers_stand_by_time_with_the_ratio_to_ours():
    text = report(found(row("jax", warm=4.0, lowest=3.9, highest=4.2, cold=7.5), row("herfast", cached=1.5)))
    assert lines_of(text)[2:] == [
        "| herfast, preset `notebook` | 9.00 (1.50 once its kernels are on disk) | 1.00 (0.90 to 1.10) "
        "| 1.0 | 3.30 | 80 | 56,000 | 0.20 1.00 |",
        "| JAX, an epoch in one compiled scan | 7.50 | 4.00 (3.90 to 4.20) | 4.0 | 3.30 | 80 | 56,000 | 0.20 1.00 |",
    ]


def test_who_did_not_learn_is_marked_and_stands_last():
    text = report(found(row("torch", warm=0.5, seeds=1, learnt=False), row("herfast")))
    assert (
        lines_of(text)[-1] == "| PyTorch, eager | 9.00 | 0.50 | 0.5 | 3.30 | 80 | 56,000 | 0.20 1.00 (did not learn) |"
    )


def test_each_number_of_bits_has_its_table():
    text = report(found(row("herfast"), row("herfast", bits=50, epochs=2, episodes=1_600, updates=4_000, learnt=None)))
    assert "20 bits, 6 epochs: 4,800 episodes, 12,000 updates.\n" in text
    assert "50 bits, 2 epochs: 1,600 episodes, 4,000 updates; too few to learn" in text
    assert len(lines_of(text)) == 6


def test_machine_versions_date_and_who_is_missing_are_told():
    text = report(found(row("herfast"), skipped=["jax is left out: jax is not installed."]))
    for told in ("2025-01-31", "a processor, 2 cores, 16 GiB, Linux", "pinned", "numpy 2.0.0", "jax is left out"):
        assert told in text


def test_buffers_have_a_table_of_their_own():
    buffers = [
        {"buffer": name, "bits": n_bits, "us_per_sample": sample, "us_per_transition": transition}
        for name, sample, transition in (("cpprb", 33.7, 17.09), ("herfast", 3.37, 0.026))
        for n_bits in (20, 50)
    ]
    assert lines_of(report(found(row("herfast"), buffers=buffers)))[-4:] == [
        "| | 20 bits: draw 128, µs | store, µs | 50 bits: draw 128, µs | store, µs |",
        "|---|---|---|---|---|",
        "| herfast, HindsightReplay | 3.4 | 0.03 | 3.4 | 0.03 |",
        "| cpprb, HindsightReplayBuffer | 33.7 | 17.09 | 33.7 | 17.09 |",
    ]


def test_only_what_stands_between_the_markers_is_rewritten():
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert rewritten(text, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert rewritten(rewritten(text, "new\n"), "new\n") == rewritten(text, "new\n")


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, BEGIN + END + BEGIN + END])
def test_a_text_without_its_markers_is_refused(text):
    with pytest.raises(ValueError, match="each once"):
        rewritten(text, "new\n")
