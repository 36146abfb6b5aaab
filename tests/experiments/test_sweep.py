"""Sweeps: combinations, results, and interrupted, killed or repeated sweeps."""

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
from herfast.experiments import run, sweep, sweep_plan, trial

FLAGS = (
    "--preset notebook --hidden 8 --cycles-per-epoch 2 --updates-per-cycle 2 --batch-size 8"
    " --episodes-per-cycle 2"
)


def read_table(folder):
    with (folder / sweep.RESULTS_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def as_text(rows):
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


def by_trial(rows):
    return sorted(rows, key=lambda row: (row["cell"], int(row["epoch"])))


def test_each_combination_is_trained_once_with_the_results_of_an_agent(tmp_path):
    rows = herfast.sweep([3, 2], out=tmp_path, seeds=2, k=[0, 4], gamma=0.9, **TRIAL_SETTINGS)
    assert len(rows) == 2 * 2 * 2 * 3
    found = {(row["n_bits"], row["k"], row["seed"]): row for row in rows}
    assert set(found) == set(itertools.product((2, 3), (0, 4), (0, 1)))
    assert [row["n_bits"] for row in rows] == [3] * 12 + [2] * 12  # larger environments first
    for (n_bits, k, seed), last in found.items():
        agent = Agent(BitFlip(n_bits), seed=seed, k=k, gamma=0.9, **TRIAL_SETTINGS).learn()
        history, parameters = agent.history, agent.network.parameters()
        assert (last["epoch"], last["ended"], last["max_steps"]) == (3, "epochs", n_bits)
        assert [last[name] for name in ("env_steps", "episodes", "updates")] == [
            agent.env_steps,
            agent.episodes,
            12,
        ]
        for name in ("success", "return", "loss"):
            assert last[name] == history[name][-2:].mean()
        assert last["greedy_success"] == history["greedy_success"][-1]
        np.testing.assert_equal(
            Agent.load(tmp_path / last["cell"] / run.AGENT_FILE).network.parameters(), parameters
        )


def test_rows_have_all_settings_and_results_csv_has_the_rows(tmp_path):
    rows = herfast.sweep(2, out=tmp_path, **{**TRIAL_SETTINGS, "hidden": [(8,), (4, 4)]})
    assert by_trial(read_table(tmp_path)) == by_trial(as_text(rows))
    assert (
        set(rows[0])
        == set(trial.RESULT_COLUMNS)
        >= {"machine", "version", "seconds", *Config.__dataclass_fields__}
    )
    assert {row["hidden"] for row in rows} == {"8", "4,4"}
    assert {row["version"] for row in rows} == {herfast.__version__}


def test_each_seed_setting_and_preset_is_a_trial_of_its_own():
    trials = sweep_plan.plan_trials(
        sweep_plan.sweep_envs([4, 5], None), ["fast", "paper"], 3, {"k": [0, 1], "gamma": [0.9, 0.9]}
    )
    assert len(trials) == len({trial.name for trial in trials}) == 2 * 2 * 3 * 2  # 0.9 counts once
    assert trials[0].config == Config.preset("fast", BitFlip(5), k=0, gamma=0.9)
    (other,) = sweep_plan.plan_trials(sweep_plan.sweep_envs(5, 9), "fast", 1, {"k": 0, "gamma": 0.9})
    assert other.name not in {trial.name for trial in trials}  # it has another max_steps


def test_a_repeated_sweep_trains_only_missing_trials(tmp_path, monkeypatch):
    first = herfast.sweep([2, 3], out=tmp_path, **TRIAL_SETTINGS)
    trained = []
    train = trial.train_trial
    monkeypatch.setattr(
        sweep, "train_trial", lambda trial, *args: (trained.append(trial.seed), train(trial, *args))
    )
    assert herfast.sweep([2, 3], out=tmp_path, **TRIAL_SETTINGS) == first
    assert trained == []
    more = herfast.sweep([2, 3], out=tmp_path, seeds=2, **TRIAL_SETTINGS)
    assert trained == [1, 1]
    assert [row for row in more if row["seed"] == 0] == first
    assert by_trial(read_table(tmp_path)) == by_trial(as_text(more))
    herfast.sweep(2, out=tmp_path, **TRIAL_SETTINGS)  # a smaller sweep keeps the other rows
    assert by_trial(read_table(tmp_path)) == by_trial(as_text(more))


def damage_trial(damage, folder):
    progress = folder / run.PROGRESS_FILE
    lines = progress.read_text().splitlines(keepends=True)
    if damage == "missing":
        progress.unlink()
    elif damage == "config":
        (folder / run.CONFIG_FILE).write_text('{"herfast": "x", "ended": "epochs"}')
        for name in (run.PROGRESS_FILE, run.AGENT_FILE):
            (folder / name).unlink()
    else:
        contents = {"other columns": "a,b\n1\n", "empty": lines[0], "truncated": "".join(lines[:-1])}
        progress.write_text(contents[damage])


@pytest.mark.parametrize("damage", ["missing", "other columns", "empty", "truncated"])
def test_a_damaged_trial_is_trained_again(damage, tmp_path):
    first = without_time(herfast.sweep(3, out=tmp_path, seeds=2, **TRIAL_SETTINGS))
    damage_trial(damage, tmp_path / first[0]["cell"])
    assert without_time(herfast.sweep(3, out=tmp_path, seeds=2, **TRIAL_SETTINGS)) == first
    assert len(read_table(tmp_path)) == len(first)


def test_copied_and_foreign_folders_are_not_trials(tmp_path):
    first = herfast.sweep(3, out=tmp_path, **TRIAL_SETTINGS)
    shutil.copytree(tmp_path / first[0]["cell"], tmp_path / "copy")
    shutil.copytree(tmp_path / first[0]["cell"], tmp_path / "foreign")
    damage_trial("config", tmp_path / "foreign")
    assert herfast.sweep(3, out=tmp_path, **TRIAL_SETTINGS) == first
    assert len(read_table(tmp_path)) == len(first)


def test_a_diverged_trial_is_finished_and_does_not_stop_the_others(tmp_path, monkeypatch):
    """The trial with the large learning rate diverges in its fourth cycle."""
    finite = QNetwork.is_finite
    monkeypatch.setattr(
        QNetwork,
        "is_finite",
        lambda self: finite(self) and (self.config.learning_rate < 1 or self.updates < 8),
    )
    rows = herfast.sweep(4, out=tmp_path, learning_rate=[1.0, 1e-3], **TRIAL_SETTINGS)
    ends = {row["learning_rate"]: (row["ended"], row["epoch"], row["updates"]) for row in rows}
    assert ends == {1.0: ("diverged", 2, 6), 1e-3: ("epochs", 3, 12)}
    monkeypatch.setattr(sweep, "train_trial", None)
    again = herfast.sweep(4, out=tmp_path, learning_rate=[1.0, 1e-3], **TRIAL_SETTINGS)  # trains nothing
    assert repr(again) == repr(rows)  # NaN is not equal to itself


def test_a_trial_that_diverges_in_its_first_cycle_has_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(QNetwork, "is_finite", lambda self: self.updates < 2)
    (row,) = herfast.sweep(4, out=tmp_path, **TRIAL_SETTINGS)
    assert (row["ended"], row["epoch"], row["updates"], row["env_steps"]) == ("diverged", 0, 0, 0)
    assert np.isnan([row[name] for name in ("success", "return", "loss", "greedy_success")]).all()


def test_an_interrupted_sweep_saves_running_trials(tmp_path):
    """Ctrl-C is pressed when the short trial ends.

    The long trial is saved. The third one may have been started, the last one not.
    """
    long, third, last, short = plan(4, 3, epochs=3_000) + plan(2)
    with pytest.raises(KeyboardInterrupt):
        sweep.run_trials([long, short, third, last], tmp_path, 2, None, False, interrupt)
    assert [thread.name for thread in threading.enumerate() if "Pool" in thread.name] == []
    assert trial.trial_rows(tmp_path / long.name) is None
    assert 0 < Agent.load(tmp_path / long.name / run.CHECKPOINT_FILE).cycles < 6_000
    assert trial.trial_rows(tmp_path / third.name) is None
    assert not (tmp_path / last.name).exists()
    assert {row["cell"] for row in read_table(tmp_path)} == {short.name}


def test_trials_that_finish_during_an_interruption_are_in_results_csv(tmp_path, monkeypatch):
    """Both trials end before the first one is reported."""
    both = threading.Barrier(2)
    train = trial.train_trial
    monkeypatch.setattr(sweep, "train_trial", lambda *args: (train(*args), both.wait()))
    with pytest.raises(KeyboardInterrupt):
        sweep.run_trials(plan(3, seeds=2), tmp_path, 2, None, False, interrupt)
    assert len({row["cell"] for row in read_table(tmp_path)}) == 2


def interrupt(name, rows):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_sweep_that_was_killed_ten_times_has_the_same_results(tmp_path):
    flags = f"--n-bits 3 4 --k 0 4 --seeds 2 --epochs 60 {FLAGS} --out".split()
    argv = [sys.executable, "-m", "herfast", "sweep", *flags]
    rng = np.random.default_rng(0)
    for _ in range(10):
        process = subprocess.Popen(
            [*argv, str(tmp_path / "killed")], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        for _ in range(int(rng.integers(1, 3))):  # its first line, and sometimes that of a trial
            process.stdout.readline()
        threading.Event().wait(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (tmp_path / "killed" / sweep.RESULTS_FILE).exists():
            rows = read_table(tmp_path / "killed")
            assert len({(row["cell"], row["epoch"]) for row in rows}) == len(rows)
    for name in ("killed", "whole"):
        done = subprocess.run(
            [*argv, str(tmp_path / name)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    killed, whole = (by_trial(without_time(read_table(tmp_path / name))) for name in ("killed", "whole"))
    assert len(whole) == 8 * 60
    assert killed == whole


def test_a_run_that_is_begun_in_the_folder_meanwhile_is_kept(tmp_path):
    """The folder is checked again under its lock."""
    folder = sweep.check_sweep_folder(tmp_path / "out")
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(FileExistsError, match="contains a run: choose another folder for the sweep"):
        sweep.run_trials(plan(4), folder, 1, None, False)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
