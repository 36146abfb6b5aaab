"""A sweep: every combination once, all in one table, whatever is interrupted, killed, or started again."""

import csv
import itertools
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from support.trials import TRIAL_SETTINGS, plan, without_time

import herfast
from herfast import Agent, BitFlip, Config, QNetwork
from herfast.common import atomic_file
from herfast.experiments import run, sweep, trial

FLAGS = "--preset notebook --hidden 8 --cycles-per-epoch 2 --updates-per-cycle 2 --batch-size 8 --episodes-per-cycle 2"


def table(folder):
    with (folder / sweep.RESULTS_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def as_text(rows):
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


def by_cell(rows):
    return sorted(rows, key=lambda row: (row["cell"], int(row["epoch"])))


def test_every_combination_is_learnt_once_and_is_what_an_agent_learns(tmp_path):
    rows = herfast.sweep([3, 2], out=tmp_path, seeds=2, k=[0, 4], gamma=0.9, **TRIAL_SETTINGS)
    assert len(rows) == 2 * 2 * 2 * 3
    found = {(row["n_bits"], row["k"], row["seed"]): row for row in rows}
    assert set(found) == set(itertools.product((2, 3), (0, 4), (0, 1)))
    assert [row["n_bits"] for row in rows] == [3] * 12 + [2] * 12  # the longest first
    for (n_bits, k, seed), last in found.items():
        agent = Agent(BitFlip(n_bits), seed=seed, k=k, gamma=0.9, **TRIAL_SETTINGS).learn()
        history, parameters = agent.history, agent.network.parameters()
        assert (last["epoch"], last["ended"], last["max_steps"]) == (3, "epochs", n_bits)
        assert [last[name] for name in ("env_steps", "episodes", "updates")] == [agent.env_steps, agent.episodes, 12]
        for name in ("success", "return", "loss"):
            assert last[name] == history[name][-2:].mean()
        assert last["greedy_success"] == history["greedy_success"][-1]
        np.testing.assert_equal(Agent.load(tmp_path / last["cell"] / run.AGENT_FILE).network.parameters(), parameters)


def test_a_row_holds_every_setting_and_the_table_holds_the_rows(tmp_path):
    rows = herfast.sweep(2, out=tmp_path, **{**TRIAL_SETTINGS, "hidden": [(8,), (4, 4)]})
    assert by_cell(table(tmp_path)) == by_cell(as_text(rows))
    assert set(rows[0]) == set(trial.RESULT_COLUMNS) >= {"machine", "version", "seconds", *Config.__dataclass_fields__}
    assert {row["hidden"] for row in rows} == {"8", "4,4"}
    assert {row["version"] for row in rows} == {herfast.__version__}


def test_seeds_settings_and_several_presets_make_cells_of_their_own():
    trials = sweep.plan_trials([4, 5], ["fast", "paper"], 3, None, {"k": [0, 1], "gamma": [0.9, 0.9]})
    assert len(trials) == len({cell.name for cell in trials}) == 2 * 2 * 3 * 2  # 0.9 twice is one cell
    assert trials[0].config == Config.preset("fast", BitFlip(5), k=0, gamma=0.9)
    (other,) = sweep.plan_trials(5, "fast", 1, 9, {"k": 0, "gamma": 0.9})
    assert other.name not in {cell.name for cell in trials}  # max_steps


def test_the_same_call_again_learns_nothing_and_more_seeds_only_those(tmp_path, monkeypatch):
    first = herfast.sweep([2, 3], out=tmp_path, **TRIAL_SETTINGS)
    learnt = []
    learn = trial.train_trial
    monkeypatch.setattr(sweep, "train_trial", lambda trial, *args: (learnt.append(trial.seed), learn(trial, *args)))
    assert herfast.sweep([2, 3], out=tmp_path, **TRIAL_SETTINGS) == first
    assert learnt == []
    more = herfast.sweep([2, 3], out=tmp_path, seeds=2, **TRIAL_SETTINGS)
    assert learnt == [1, 1]
    assert [row for row in more if row["seed"] == 0] == first
    assert by_cell(table(tmp_path)) == by_cell(as_text(more))
    herfast.sweep(2, out=tmp_path, **TRIAL_SETTINGS)  # a part of it leaves the table whole
    assert by_cell(table(tmp_path)) == by_cell(as_text(more))


@pytest.mark.parametrize("change", [{"epochs": 9}, {"gamma": 0.5}])
def test_a_folder_with_another_run_is_left_alone_and_the_others_are_learnt(change, tmp_path):
    """As after `herfast train --resume` with other limits in a cell's folder."""
    first, second = plan(3, seeds=2)
    (other,) = plan(3, **change)
    trial.train_trial(other, tmp_path / first.name, lambda: True)
    before = {path.name: path.read_bytes() for path in (tmp_path / first.name).iterdir()}
    with pytest.raises(FileExistsError, match=rf"{first.name} holds another run than the cell of"):
        sweep.run_trials([first, second], tmp_path, 1, None, False)
    assert {path.name: path.read_bytes() for path in (tmp_path / first.name).iterdir()} == before
    assert {row["cell"] for row in table(tmp_path)} == {second.name}


def damaged_by(damage, folder):
    progress = folder / run.PROGRESS_FILE
    lines = progress.read_text().splitlines(keepends=True)
    if damage == "gone":
        progress.unlink()
    elif damage == "description":
        (folder / run.CONFIG_FILE).write_text('{"herfast": "x", "ended": "epochs"}')
        for name in (run.PROGRESS_FILE, run.AGENT_FILE):
            (folder / name).unlink()
    else:
        progress.write_text({"rubbish": "a,b\n1\n", "empty": lines[0], "cut off": "".join(lines[:-1])}[damage])


@pytest.mark.parametrize("damage", ["gone", "rubbish", "empty", "cut off"])
def test_a_damaged_cell_is_learnt_again(damage, tmp_path):
    first = without_time(herfast.sweep(3, out=tmp_path, seeds=2, **TRIAL_SETTINGS))
    damaged_by(damage, tmp_path / first[0]["cell"])
    assert without_time(herfast.sweep(3, out=tmp_path, seeds=2, **TRIAL_SETTINGS)) == first
    assert len(table(tmp_path)) == len(first)


def test_copies_and_other_folders_are_no_cells(tmp_path):
    first = herfast.sweep(3, out=tmp_path, **TRIAL_SETTINGS)
    shutil.copytree(tmp_path / first[0]["cell"], tmp_path / "copy")
    shutil.copytree(tmp_path / first[0]["cell"], tmp_path / "foreign")
    damaged_by("description", tmp_path / "foreign")
    assert herfast.sweep(3, out=tmp_path, **TRIAL_SETTINGS) == first
    assert len(table(tmp_path)) == len(first)


def test_files_of_others_in_a_cells_folder_stay(tmp_path):
    (what,) = plan(3)
    (tmp_path / what.name).mkdir()
    (tmp_path / what.name / run.CONFIG_FILE).write_text("mine")
    with pytest.raises(FileExistsError, match="not of a run of herfast"):
        sweep.run_trials([what], tmp_path, 1, None, False)
    assert (tmp_path / what.name / run.CONFIG_FILE).read_text() == "mine"


def test_a_cell_that_another_process_learns_costs_no_other(tmp_path):
    first, second = plan(3, seeds=2)
    with atomic_file.locked(tmp_path / first.name), pytest.raises(BlockingIOError, match=first.name):
        sweep.run_trials([first, second], tmp_path, 1, None, False)
    assert {row["cell"] for row in table(tmp_path)} == {second.name}


def test_learning_that_diverges_is_an_end_and_stops_nothing_else(tmp_path, monkeypatch):
    """Here the one with the large step size, in its fourth cycle."""
    finite = QNetwork.is_finite
    monkeypatch.setattr(
        QNetwork, "is_finite", lambda self: finite(self) and (self.config.learning_rate < 1 or self.updates < 8)
    )
    rows = herfast.sweep(4, out=tmp_path, learning_rate=[1.0, 1e-3], **TRIAL_SETTINGS)
    ends = {row["learning_rate"]: (row["ended"], row["epoch"], row["updates"]) for row in rows}
    assert ends == {1.0: ("diverged", 2, 6), 1e-3: ("epochs", 3, 12)}
    monkeypatch.setattr(sweep, "train_trial", None)
    again = herfast.sweep(4, out=tmp_path, learning_rate=[1.0, 1e-3], **TRIAL_SETTINGS)  # it is not tried again
    assert repr(again) == repr(rows)  # NaN is not equal to itself


def test_learning_that_diverges_at_once_has_a_row_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(QNetwork, "is_finite", lambda self: self.updates < 2)
    (row,) = herfast.sweep(4, out=tmp_path, **TRIAL_SETTINGS)
    assert (row["ended"], row["epoch"], row["updates"], row["env_steps"]) == ("diverged", 0, 0, 0)
    assert np.isnan([row[name] for name in ("success", "return", "loss", "greedy_success")]).all()


def test_interrupted_it_saves_what_is_under_way(tmp_path):
    """The short cell ends, then Ctrl-C: the long one beside it is saved, the last is not begun, the third may be."""
    long, third, last, short = plan(4, 3, epochs=3_000) + plan(2)
    with pytest.raises(KeyboardInterrupt):
        sweep.run_trials([long, short, third, last], tmp_path, 2, None, False, interrupt)
    assert [thread.name for thread in threading.enumerate() if "Pool" in thread.name] == []
    assert trial.trial_rows(tmp_path / long.name) is None
    assert 0 < Agent.load(tmp_path / long.name / run.CHECKPOINT_FILE).cycles < 6_000
    assert trial.trial_rows(tmp_path / third.name) is None
    assert not (tmp_path / last.name).exists()
    assert {row["cell"] for row in table(tmp_path)} == {short.name}


def test_what_ends_after_an_interruption_is_in_the_table_too(tmp_path, monkeypatch):
    """Both end before the first is reported."""
    both = threading.Barrier(2)
    learn = trial.train_trial
    monkeypatch.setattr(sweep, "train_trial", lambda *args: (learn(*args), both.wait()))
    with pytest.raises(KeyboardInterrupt):
        sweep.run_trials(plan(3, seeds=2), tmp_path, 2, None, False, interrupt)
    assert len({row["cell"] for row in table(tmp_path)}) == 2


def interrupt(name, rows):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_numbers(tmp_path):
    """Ten times killed a little later, then let go: as a sweep that was never killed, each cell once."""
    flags = f"--n-bits 3 4 --k 0 4 --seeds 2 --epochs 60 {FLAGS} --out".split()
    argv = [sys.executable, "-m", "herfast", "sweep", *flags]
    rng = np.random.default_rng(0)
    for _ in range(10):
        process = subprocess.Popen(
            [*argv, str(tmp_path / "killed")], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        for _ in range(int(rng.integers(1, 3))):  # its first line, and perhaps a cell's
            process.stdout.readline()
        threading.Event().wait(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (tmp_path / "killed" / sweep.RESULTS_FILE).exists():
            rows = table(tmp_path / "killed")
            assert len({(row["cell"], row["epoch"]) for row in rows}) == len(rows)
    for name in ("killed", "whole"):
        done = subprocess.run([*argv, str(tmp_path / name)], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    killed, whole = (by_cell(without_time(table(tmp_path / name))) for name in ("killed", "whole"))
    assert len(whole) == 8 * 60
    assert killed == whole
