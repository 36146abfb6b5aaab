"""Tests of beyond.py and beyond_report.py, which make tables of docs/beyond.md."""

import pytest
from beyond import epochs_of, multiplied, variants
from beyond_report import ablation_table, finished, plot, results_table

from herfast import Agent, BitFlip, Config, sweep


def row(n_bits, seed, **fields):
    """Return the last row of a trial as read_results returns it, with its success."""
    numbers = {
        "updates": 400 * (seed + 1),
        "env_steps": 5_000,
        "episodes": 640,
        "seconds": 1.5,
    }
    texts = {"n_bits": n_bits, "seed": seed, "ended": "solved", **numbers, **fields}
    return {**{name: str(value) for name, value in texts.items()}, "success": 0.99}


def test_results_are_sorted_by_size():
    rows = [row(n_bits, seed) for n_bits in (100, 20) for seed in range(3)]
    rows.append(row(256, 0, ended="epochs"))
    assert results_table(rows).splitlines()[2:] == [
        "| 20 | 3 of 3 | 800 (400 to 1,200) | 5,000 | 640 | 1.5 | 0.9900 |",
        "| 100 | 3 of 3 | 800 (400 to 1,200) | 5,000 | 640 | 1.5 | 0.9900 |",
        "| 256 | 0 of 1 | 400 | 5,000 | 640 | 1.5 | 0.9900 |",
    ]


def test_the_ablation_has_one_line_per_variant_and_two_columns_per_size():
    unsolved = [row(50, 0), row(50, 1, ended="epochs")]
    rows = {"as it is": [row(100, 0), row(50, 0), row(50, 1)], "no gap": unsolved, "dueling": []}
    assert ablation_table(rows).splitlines() == [
        "| | 50 bits, updates | success | 100 bits, updates | success |",
        "|---|---|---|---|---|",
        "| as it is | 600 (400 to 800) | 0.9900 | 400 | 0.9900 |",
        "| no gap | 1 of 2: 600 (400 to 800) | 0.9900 | | |",
    ]


def test_the_last_row_of_each_trial_has_its_success_in_other_games(tmp_path):
    folder = tmp_path / "sweep"
    assert finished(folder) == []
    settings = {"cycles_per_epoch": 1, "updates_per_cycle": 10, "epochs": 3, "until": None}
    sweep([5, 6], out=folder, seeds=2, jobs=1, **settings)
    rows = finished(folder)
    assert sorted((row["n_bits"], row["seed"], row["epoch"]) for row in rows) == [
        (n_bits, seed, "3") for n_bits in "56" for seed in "01"
    ]
    agent = Agent.load(folder / rows[1]["cell"] / "agent.safetensors")
    assert 0 < rows[1]["success"] < 1
    assert rows[1]["success"] == agent.evaluate(10_000, seed=1).success_rate


def test_a_trial_without_an_agent_has_no_success(tmp_path):
    (row,) = sweep(5, out=tmp_path, jobs=1, epochs=1)
    (tmp_path / row["cell"] / "agent.safetensors").unlink()  # as after a trial that diverged
    assert [row["success"] for row in finished(tmp_path)] == [0.0]


def test_the_figure_is_that_of_herfast_plot(tmp_path):
    sweep([2, 3], out=tmp_path / "sweep", jobs=1)
    plot(tmp_path / "sweep", tmp_path / "beyond.png")
    assert (tmp_path / "beyond.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("n_bits", [5, 50, 100])
def test_variants_differ_from_the_preset_and_have_as_many_updates(n_bits):
    configs = {
        name: Config.preset("fast", BitFlip(n_bits), **fields) for name, fields in variants(n_bits).items()
    }
    assert len(set(configs.values())) == len(configs)
    for config in configs.values():
        cycles = config.epochs * config.cycles_per_epoch
        assert cycles * config.updates_per_cycle == pytest.approx(20_000, rel=0.01)


def test_settings_are_multiplied():
    config = Config(hidden=(448,), learning_rate=2e-3, target_update=3)
    factors = {"hidden": 0.5, "learning_rate": 0.5, "target_update": 1.5}
    assert multiplied(config, factors) == {"hidden": (224,), "learning_rate": 1e-3, "target_update": 4}
    assert multiplied(config, {"hidden": 1e-3, "target_update": 0.1}) == {"hidden": (32,), "target_update": 1}


def test_epochs_are_rounded_up():
    config = Config(updates_per_cycle=40, cycles_per_epoch=5)
    assert [epochs_of(config, updates) for updates in (1, 200, 201)] == [1, 1, 2]
