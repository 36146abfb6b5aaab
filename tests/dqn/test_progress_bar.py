"""Tests of the progress bar of `learn`."""

import errno
import sys

import pytest
from support.processes import run_python
from support.small_agents import small_agent, tiny_agent
from support.streams import UNWRITABLE, FailingStream

from herfast.dqn import progress_bar


def test_progress_bar_shows_success_loss_and_rate(capfd):
    small_agent().learn(epochs=1, progress_bar=True)
    shown = capfd.readouterr().err
    assert "success=" in shown
    assert "loss=" in shown
    assert "steps/s" in shown
    assert "2/2" in shown
    small_agent().learn(total_timesteps=30, progress_bar=True)
    assert "30/30" in capfd.readouterr().err
    small_agent().learn(epochs=1)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("stream", UNWRITABLE)
def test_a_stderr_that_cannot_be_written_does_not_stop_training(stream, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream())
    agent = tiny_agent().learn(epochs=2, progress_bar=True)
    assert agent.cycles == 2 * agent.config.cycles_per_epoch
    assert capsys.readouterr().out == "", "the bar must not be shown on stdout instead"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO])
def test_a_stderr_that_fails_later_does_not_stop_training(number, monkeypatch):
    stderr = FailingStream(number)
    stderr.fails = False
    monkeypatch.setattr(sys, "stderr", stderr)

    def fail(agent):
        stderr.fails = True

    agent = tiny_agent().learn(epochs=2, progress_bar=True, callback=fail)
    assert agent.cycles == 2 * agent.config.cycles_per_epoch
    assert "0/4" in stderr.getvalue()


@pytest.mark.parametrize("stream", UNWRITABLE)
def test_a_stdout_that_cannot_be_written_does_not_stop_training(stream, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream())
    agent = tiny_agent().learn(epochs=2, progress_bar=True)
    assert agent.cycles == 2 * agent.config.cycles_per_epoch


def test_a_bar_that_is_disabled_shows_nothing(capsys):
    with progress_bar.new_bar(total=2, disable=True) as bar:
        bar.update()
    assert capsys.readouterr() == ("", "")


def test_a_notebook_without_ipywidgets_gets_a_bar_of_text_without_a_warning(tmp_path):
    code = """
import sys, types, warnings
warnings.simplefilter("always")
class Shell:
    config = {"IPKernelApp": {}}
sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = Shell
sys.modules["ipywidgets"] = None
from herfast import BitFlip
from herfast.dqn.limits import Limits
from herfast.dqn.progress_bar import show_progress
with show_progress(True, 0, 0, Limits(cycles=2, env_steps=float("inf"), until=None), BitFlip(2)) as show:
    show({"env_steps": 1, "success": 0.5, "loss": 1.0})
"""
    shown = run_python(code, tmp_path).stderr
    assert "1/2" in shown
    assert "Warning" not in shown
