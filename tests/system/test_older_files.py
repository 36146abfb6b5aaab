"""Runs, agents and sweeps written by older versions."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.files import read_tensors

import herfast
from herfast import Agent, BitFlip
from herfast.cli.main import main
from herfast.common.history import HISTORY_SCHEMA
from herfast.experiments.run import PLOT_FILES
from herfast.experiments.sweep import read_results

DATA = Path(__file__).parents[1] / "data"
VERSIONS = sorted(path.name for path in DATA.iterdir() if path.is_dir())
SETTINGS = {
    "hidden": (8,),
    "capacity": 60,
    "episodes_per_cycle": 2,
    "updates_per_cycle": 2,
    "cycles_per_epoch": 2,
    "batch_size": 4,
    "epochs": 2,
}


@pytest.fixture(params=VERSIONS)
def older(request, tmp_path):
    """Return a copy of the folder with the files of one version."""
    return Path(shutil.copytree(DATA / request.param, tmp_path / "older"))


@pytest.fixture(params=["run", "sparse_pairs"])
def older_run(older, request):
    """Return the copy of the folder of a run."""
    return older / request.param


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_an_agent_loads_and_evaluates(older_run):
    agent = Agent.load(older_run / "agent.safetensors")
    assert (agent.env, agent.preset, agent.seed) == (BitFlip(4), "notebook", 0)
    tensors, _ = read_tensors(older_run / "agent.safetensors")
    np.testing.assert_array_equal(agent.network.parameters()["output.bias"], tensors["online.output.bias"])
    assert agent.evaluate(20, seed=1).n_episodes == 20


def test_a_checkpoint_loads_completely_and_trains(older_run):
    agent = Agent.load(older_run / "checkpoint.safetensors")
    rows = read_csv(older_run / "progress.csv")
    assert list(agent.history) == list(HISTORY_SCHEMA) == list(rows[0])
    assert (agent.cycles, agent.network.updates, len(agent.replay) > 0) == (len(rows), 8, True)
    for name, column in agent.history.items():
        np.testing.assert_array_equal(column, np.array([row[name] for row in rows], column.dtype))
    assert agent.learn(epochs=1).network.updates == 12


def test_a_run_resumes_and_plots(older_run, capsys):
    before = read_csv(older_run / "progress.csv")
    assert main(["train", "--resume", str(older_run), "--epochs", "3"]) == 0
    after = read_csv(older_run / "progress.csv")
    assert (after[: len(before)], len(after)) == (before, 6)
    assert main(["plot", str(older_run)]) == 0
    assert all((older_run / name).exists() for name in PLOT_FILES)
    for command in ("eval", "play", "doctor"):
        assert main([command, str(older_run)]) == 0
    assert capsys.readouterr().err.count("error") == 0


def test_the_weights_of_a_kind_that_no_longer_exists_are_kept(older):
    agent = Agent.load(older / "sparse_pairs" / "agent.safetensors")
    weights = agent.network.parameters()["hidden1.weight"]
    assert agent.config.init == "sparse"
    assert (np.count_nonzero(weights, axis=0) > 1).all()


def test_a_run_without_files_begins_with_weights_that_exist(older):
    for path in (older / "sparse_pairs").iterdir():
        if path.name != "config.json":
            path.unlink()
    assert main(["resume", str(older / "sparse_pairs")]) == 0
    assert Agent.load(older / "sparse_pairs" / "agent.safetensors").config.init == "sparse"


def test_a_sweep_resumes_its_unfinished_trial(older):
    rows_before = read_results(older / "sweep")
    assert len(rows_before) == 3 * 2
    assert {row["encoding"] for row in rows_before} == {"signed"}
    files = {path: path.stat().st_mtime_ns for path in (older / "sweep").glob("*/progress.csv")}
    (unfinished,) = (path for path in files if (path.parent / "checkpoint.safetensors").exists())
    first_cycles = read_csv(unfinished)
    rows = herfast.sweep([3, 4], out=older / "sweep", preset="notebook", k=[0, 1], **SETTINGS)
    assert len(rows) == 4 * 2
    assert {path for path in files if path.stat().st_mtime_ns != files[path]} == {unfinished}
    assert read_csv(unfinished)[: len(first_cycles)] == first_cycles
    rows_after = read_results(older / "sweep")
    assert [row for row in rows_after if row in rows_before] == rows_before
    assert main(["plot", str(older / "sweep")]) == 0


def test_a_sweep_keeps_trials_with_weights_of_a_kind_that_no_longer_exists(older):
    folder = older / "sparse_pairs_sweep"
    rows_before = read_results(folder)
    assert [row["init"] for row in rows_before] == ["sparse_pairs"] * 2
    herfast.sweep([3], out=folder, preset="notebook", init="sparse", jobs=1, **SETTINGS)
    rows = read_results(folder)
    assert [row for row in rows if row in rows_before] == rows_before
    assert [row["init"] for row in rows if row not in rows_before] == ["sparse"] * 2
    assert main(["plot", str(folder)]) == 0


@pytest.mark.parametrize("damage", ["short row", "long row", "header"])
def test_a_damaged_results_table_raises(damage, older):
    path = older / "sweep" / "results.csv"
    header, row, *_ = path.read_text().splitlines()
    lines = {
        "short row": (header, row.rpartition(",")[0]),
        "long row": (header, f"{row},1"),
        "header": (header[5:], row),
    }[damage]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=r"results\.csv is damaged"):
        read_results(older / "sweep")
