"""Training of one trial: interruption, kills, and damaged or foreign checkpoints."""

import numpy as np
import pytest
from support.trials import TRIAL_SETTINGS, plan, without_time

from herfast import Agent, BitFlip
from herfast.callbacks import text_logs
from herfast.dqn import training_cycle
from herfast.experiments import run, trial


def test_a_stopped_trial_resumes_from_its_checkpoint(tmp_path):
    """Stopped after every cycle, it has the rows of an uninterrupted trial."""
    (planned,) = plan(3)
    whole, stopped = (tmp_path / name / planned.name for name in ("whole", "stopped"))
    trial.train_trial(planned, whole)
    for cycle in range(1, 6):
        trial.train_trial(planned, stopped, lambda: True)
        assert trial.trial_rows(stopped) is None
        assert Agent.load(stopped / run.CHECKPOINT_FILE).cycles == cycle
    trial.train_trial(planned, stopped, lambda: True)  # the sixth and last
    assert without_time(trial.trial_rows(stopped)) == without_time(trial.trial_rows(whole))
    assert not (stopped / run.CHECKPOINT_FILE).exists()


def train_until_solved(planned, folder, stopped=lambda: False):
    """Train a trial that is solved in its tenth epoch, when a checkpoint is due."""
    judge = training_cycle.check_solved

    def judge_solved(evaluate, ends_epoch, until):
        agent = evaluate.__self__
        return (1.0, True) if agent.cycles + 1 == 20 else judge(evaluate, ends_epoch, until)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("herfast.dqn.agent.check_solved", judge_solved)
        trial.train_trial(planned, folder, stopped)


def test_a_trial_killed_when_it_is_solved_has_the_same_result_as_one_that_was_not(tmp_path, monkeypatch):
    (planned,) = plan(6, epochs=30, until=1.0)
    train_until_solved(planned, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(trial, "_finish", lambda *args: raise_killed())
        with pytest.raises(Killed):
            train_until_solved(planned, tmp_path / planned.name)
    train_until_solved(planned, tmp_path / planned.name)
    whole, again = (run.read_config(tmp_path / name) for name in ("whole", planned.name))
    assert (whole["ended"], whole["cycles"]) == ("solved", 20)
    assert again == whole


class Killed(BaseException):
    pass


def raise_killed():
    raise Killed


@pytest.mark.parametrize("checkpoint", ["of another trial", "at its end"])
def test_a_checkpoint_of_another_or_a_finished_trial_is_not_resumed(checkpoint, tmp_path):
    (planned,) = plan(3)
    trial.train_trial(planned, tmp_path / "right")
    trial.train_trial(planned, tmp_path / planned.name, lambda: True)
    other = checkpoint == "of another trial"
    agent = Agent(BitFlip(4 if other else 3), seed=0, **TRIAL_SETTINGS).learn(epochs=1 if other else None)
    agent.save(tmp_path / planned.name / run.CHECKPOINT_FILE, replay=True)
    trial.train_trial(planned, tmp_path / planned.name)
    assert run.read_config(tmp_path / planned.name)["cycles"] == 6
    columns = {}
    for name in ("right", planned.name):
        columns[name] = text_logs.read_csv_log(tmp_path / name / run.PROGRESS_FILE)
        del columns[name]["seconds"]
    np.testing.assert_equal(columns[planned.name], columns["right"])


def test_a_trial_with_a_damaged_checkpoint_is_trained_from_the_start(tmp_path):
    (planned,) = plan(3)
    whole, damaged = (tmp_path / name / planned.name for name in ("whole", "damaged"))
    trial.train_trial(planned, damaged, lambda: True)
    (damaged / run.CHECKPOINT_FILE).write_bytes(b"not a checkpoint")
    for folder in (damaged, whole):
        trial.train_trial(planned, folder)
    assert without_time(trial.trial_rows(damaged)) == without_time(trial.trial_rows(whole))


def test_a_trial_has_one_thread_when_it_begins_and_when_it_resumes(tmp_path, monkeypatch):
    """Other trials use the other processors."""
    (planned,) = plan(3)
    found = []

    def train(agent, folder, callbacks):
        found.append(agent.threads)
        agent.learn(epochs=1)
        agent.save(folder / run.CHECKPOINT_FILE, replay=True)
        raise OSError("the end")

    monkeypatch.setattr(trial, "train_in_folder", train)
    for _ in range(2):
        with pytest.raises(OSError, match="the end"):
            trial.train_trial(planned, tmp_path / "trial")
    assert found == [1, 1]
