"""Failed trials: the others are trained, and the failures reported at the end."""

import gc
import weakref

import pytest
from support.toy_env import Lamps
from support.trials import TRIAL_SETTINGS, plan

import herfast
from herfast import BitFlip
from herfast.cli import main
from herfast.common import atomic_file
from herfast.envs import registry
from herfast.experiments import results_table, run, sweep, trial


class BrokenLamps(Lamps):
    """Environment that raises an error in every step."""

    def spec(self):
        return {"id": "BrokenLamps", "max_steps": self.max_steps}

    def step(self, *args):
        raise ValueError("the lamp is\nbroken")


def fail_for(n_bits, error, monkeypatch):
    """Let the training of trials with these numbers of bits raise `error`."""
    train = trial.train_in_folder

    def train_or_fail(agent, *args):
        if agent.env.n_state_bits in n_bits:
            raise error
        train(agent, *args)

    monkeypatch.setattr(trial, "train_in_folder", train_or_fail)


def trained_bits(folder):
    return {int(row["n_bits"]) for row in results_table.read_results(folder)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_users_environment_does_not_stop_the_other_trials(jobs, tmp_path, monkeypatch):
    monkeypatch.setitem(registry._REGISTRY, "BrokenLamps", BrokenLamps)
    envs = [BitFlip(4), BrokenLamps(), BitFlip(2)]
    with pytest.raises(RuntimeError) as caught:
        herfast.sweep(env=envs, out=tmp_path, jobs=jobs, **TRIAL_SETTINGS)
    summary, failure = str(caught.value).splitlines()
    assert summary == "1 of 3 trials failed: run the sweep again to train them"
    assert failure.startswith("BrokenLamps-6-notebook-k1-seed0-")
    assert failure.endswith(": ValueError: the lamp is broken")
    cause = caught.value.__cause__
    assert repr(cause) == r"ValueError('the lamp is\nbroken')"
    names = []
    frame = cause.__traceback__
    while frame is not None:
        names.append(frame.tb_frame.f_code.co_name)
        frame = frame.tb_next
    assert names[-1] == "step"
    assert trained_bits(tmp_path) == {2, 4}


@pytest.mark.parametrize("error", [MemoryError("no memory"), KeyError("x"), OSError(5, "no disk")])
def test_any_error_of_a_trial_does_not_stop_the_others_and_is_retried(error, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fail_for([3, 4], error, patch)
        with pytest.raises(sweep.TrialError) as caught:
            herfast.sweep([4, 3, 2], out=tmp_path, jobs=1, **TRIAL_SETTINGS)
    assert caught.value.__cause__ is error
    summary, *failures = str(caught.value).splitlines()
    assert summary.startswith("2 of 3 trials failed: ")
    reason = f": {type(error).__name__}: {error}"
    assert [(line[:5], line.endswith(reason)) for line in failures] == [("4bits", True), ("3bits", True)]
    assert trained_bits(tmp_path) == {2}
    herfast.sweep([4, 3, 2], out=tmp_path, **TRIAL_SETTINGS)
    assert trained_bits(tmp_path) == {2, 3, 4}


def test_the_memory_of_a_failed_trial_is_free_for_the_next(tmp_path, monkeypatch):
    agents = weakref.WeakSet()
    alive = []

    def fail(agent, *args):
        agents.add(agent)
        gc.collect()
        alive.append(len(agents))
        try:
            hold(agent)
        except ZeroDivisionError as error:
            raise MemoryError from error

    def hold(agent):
        raise ZeroDivisionError  # its frame holds the agent

    monkeypatch.setattr(trial, "train_in_folder", fail)
    with pytest.raises(sweep.TrialError, match="3 of 3 trials failed"):
        herfast.sweep([4, 3, 2], out=tmp_path, jobs=1, **TRIAL_SETTINGS)
    assert alive == [1, 1, 1]


def test_failed_trials_exit_with_2_and_one_line_each(tmp_path, capsys, monkeypatch):
    fail_for([3, 4], MemoryError("no memory"), monkeypatch)
    flags = (
        "--preset notebook --n-bits 2 3 4 --hidden 8 --cycles-per-epoch 2 --updates-per-cycle 1 --epochs 1"
    )
    assert main.main(["sweep", *flags.split(), "--jobs", "1", "--out", str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert "2bits-" in output.out
    summary, *failures = output.err.splitlines()
    assert summary == "herfast: error: 2 of 3 trials failed: run the sweep again to train them"
    assert [line[:5] for line in failures] == ["4bits", "3bits"]
    assert all(line.endswith(": MemoryError: no memory") for line in failures)
    assert trained_bits(tmp_path) == {2}


@pytest.mark.parametrize("change", [{"epochs": 9}, {"gamma": 0.5}])
def test_a_trial_folder_with_another_run_is_not_changed_and_other_trials_are_trained(change, tmp_path):
    """Such a folder results from `herfast train --resume` with other limits."""
    first, second = plan(3, seeds=2)
    (other,) = plan(3, **change)
    trial.train_trial(other, tmp_path / first.name, lambda: True)
    before = {path.name: path.read_bytes() for path in (tmp_path / first.name).iterdir()}
    with pytest.raises(
        sweep.TrialError, match=rf"{first.name}: FileExistsError: .* contains a run with other settings"
    ):
        sweep.run_trials([first, second], tmp_path, 1, None, False)
    assert {path.name: path.read_bytes() for path in (tmp_path / first.name).iterdir()} == before
    assert {row["cell"] for row in results_table.read_results(tmp_path)} == {second.name}


def test_foreign_files_in_a_trial_folder_are_kept(tmp_path):
    (planned,) = plan(3)
    (tmp_path / planned.name).mkdir()
    (tmp_path / planned.name / run.CONFIG_FILE).write_text("mine")
    with pytest.raises(sweep.TrialError, match="that herfast did not write"):
        sweep.run_trials([planned], tmp_path, 1, None, False)
    assert (tmp_path / planned.name / run.CONFIG_FILE).read_text() == "mine"


def test_a_trial_locked_by_another_process_does_not_stop_the_others(tmp_path):
    first, second = plan(3, seeds=2)
    with (
        atomic_file.locked(tmp_path / first.name),
        pytest.raises(sweep.TrialError, match=first.name) as caught,
    ):
        sweep.run_trials([first, second], tmp_path, 1, None, False)
    assert isinstance(caught.value.__cause__, BlockingIOError)
    assert {row["cell"] for row in results_table.read_results(tmp_path)} == {second.name}
