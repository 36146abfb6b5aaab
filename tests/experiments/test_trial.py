"""A single trial: interrupted, killed or with a checkpoint that is not its own, it ends as one that never was."""

import numpy as np
import pytest
from support.trials import TRIAL_SETTINGS, plan, without_time

from herfast import Agent, BitFlip
from herfast.callbacks import text_logs
from herfast.experiments import run, trial


def test_a_cell_that_was_stopped_goes_on_from_its_checkpoint(tmp_path):
    """Stopped after one cycle and again and again, it ends as one that never was."""
    (what,) = plan(3)
    whole, stopped = (tmp_path / name / what.name for name in ("whole", "stopped"))
    trial.train_trial(what, whole)
    for cycle in range(1, 6):
        trial.train_trial(what, stopped, lambda: True)
        assert trial.trial_rows(stopped) is None
        assert Agent.load(stopped / run.CHECKPOINT_FILE).cycles == cycle
    trial.train_trial(what, stopped, lambda: True)  # the sixth and last
    assert without_time(trial.trial_rows(stopped)) == without_time(trial.trial_rows(whole))
    assert not (stopped / run.CHECKPOINT_FILE).exists()


def train_solving(what, folder, stopped=lambda: False):
    """Learn `what`, which is solved in its tenth epoch, when a checkpoint is due."""
    judge = Agent._judge

    def judged(agent, until):
        return (1.0, True) if agent.cycles + 1 == 20 else judge(agent, until)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agent, "_judge", judged)
        trial.train_trial(what, folder, stopped)


def test_a_cell_killed_as_it_is_solved_ends_as_one_that_was_not(tmp_path, monkeypatch):
    (what,) = plan(6, epochs=30, until=1.0)
    train_solving(what, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(trial, "_finish", lambda *args: killed())
        with pytest.raises(Killed):
            train_solving(what, tmp_path / what.name)
    train_solving(what, tmp_path / what.name)
    whole, again = (run.read_config(tmp_path / name) for name in ("whole", what.name))
    assert (whole["ended"], whole["cycles"]) == ("solved", 20)
    assert again == whole


class Killed(BaseException):
    pass


def killed():
    raise Killed


@pytest.mark.parametrize("checkpoint", ["of another cell", "at its end"])
def test_a_checkpoint_that_is_not_the_cells_own_is_not_gone_on_from(checkpoint, tmp_path):
    (what,) = plan(3)
    trial.train_trial(what, tmp_path / "right")
    trial.train_trial(what, tmp_path / what.name, lambda: True)
    other = checkpoint == "of another cell"
    agent = Agent(BitFlip(4 if other else 3), seed=0, **TRIAL_SETTINGS).learn(epochs=1 if other else None)
    agent.save(tmp_path / what.name / run.CHECKPOINT_FILE, replay=True)
    trial.train_trial(what, tmp_path / what.name)
    assert run.read_config(tmp_path / what.name)["cycles"] == 6
    right, found = (
        {
            name: column
            for name, column in text_logs.read_csv_log(tmp_path / name_ / run.PROGRESS_FILE).items()
            if name != "seconds"
        }
        for name_ in ("right", what.name)
    )
    np.testing.assert_equal(found, right)


def test_a_checkpoint_that_cannot_be_read_costs_only_time(tmp_path):
    (what,) = plan(3)
    whole, spoilt = (tmp_path / name / what.name for name in ("whole", "spoilt"))
    trial.train_trial(what, spoilt, lambda: True)
    (spoilt / run.CHECKPOINT_FILE).write_bytes(b"rubbish")
    for folder in (spoilt, whole):
        trial.train_trial(what, folder)
    assert without_time(trial.trial_rows(spoilt)) == without_time(trial.trial_rows(whole))
