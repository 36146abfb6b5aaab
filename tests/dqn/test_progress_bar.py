"""Tests of the progress bar of `learn`."""

from support.small_agents import small_agent


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
