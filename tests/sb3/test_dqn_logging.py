"""Tests that DQN logs the same as that of Stable-Baselines3.

No goal is reached in the environment, so that all episodes have the same lengths and returns in both.
"""

import csv
import json
import re

import pytest

pytest.importorskip("stable_baselines3")

import stable_baselines3
from stable_baselines3.common.callbacks import EvalCallback, LogEveryNTimesteps
from stable_baselines3.common.logger import configure
from support.sb3_models import HINDSIGHT, SMALL, bit_flipping

from herfast.sb3 import DQN

CLASSES = {"theirs": stable_baselines3.DQN, "ours": DQN}
TIMES = {"time/fps", "time/time_elapsed"}
MEASURED = {"train/loss", *TIMES}  # not equal in both
CASES = {
    "one environment": (1, {}, 4),
    "every episode": (1, {}, 1),
    "several episodes in a step": (3, {}, 2),
    "several steps": (2, {"train_freq": 3, "gradient_steps": 2}, 3),
    "as many updates as steps": (1, {"train_freq": 5, "gradient_steps": -1}, 1),
    "episodes": (1, {"train_freq": (2, "episode"), "gradient_steps": 4}, 1),
    "no updates": (1, {"gradient_steps": 0}, 2),
    "no hindsight": (1, {"replay_buffer_class": None, "replay_buffer_kwargs": None}, 2),
    "no log": (1, {}, None),
}


def unreachable(n_envs=1):
    """Return environments with 30 bits and episodes of 5 steps."""
    return bit_flipping(n_envs, n_bits=30, max_steps=5)


def trained(name, n_envs=1, log_interval=4, callback=None, logger=None, **arguments):
    arguments = {**SMALL, **HINDSIGHT, "exploration_fraction": 0.5, **arguments}
    model = CLASSES[name]("MultiInputPolicy", unreachable(n_envs), device="cpu", **arguments)
    if logger is not None:
        model.set_logger(logger)
    make_callback = callback or (lambda: None)
    model.learn(100, log_interval=log_interval, callback=make_callback())
    model.learn(60, log_interval=log_interval, callback=make_callback(), reset_num_timesteps=False)
    return model


def rows_of(folder, file_format):
    """Return the entries of a CSV or JSON log as dicts of numbers."""
    if file_format == "csv":
        with open(folder / "progress.csv", newline="") as file:
            return [{key: float(text or "nan") for key, text in row.items()} for row in csv.DictReader(file)]
    with open(folder / "progress.json") as file:
        return [json.loads(line) for line in file]


def without_measured(row):
    return {key: value for key, value in row.items() if key not in MEASURED}


def nearly(row):
    """Return the values to expect. Exploration rates are rounded differently."""
    return pytest.approx(without_measured(row), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("file_format", ["csv", "json"])
@pytest.mark.parametrize("case", CASES)
def test_the_same_entries_in_files(tmp_path, case, file_format):
    n_envs, arguments, log_interval = CASES[case]
    logs = []
    for name in CLASSES:
        folder = tmp_path / name
        logger = configure(str(folder), [file_format])
        trained(name, n_envs, log_interval, logger=logger, **arguments)
        logger.close()
        logs.append(rows_of(folder, file_format))
    theirs, ours = logs
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    assert all(without_measured(row) == nearly(one) for row, one in zip(ours, theirs, strict=True))
    assert (len(theirs) > 5) == (case != "no log")
    if case not in ("no updates", "no log"):
        assert any(row.get("train/n_updates", 0) > 10 for row in theirs)


def masked(table):
    """Return a table without measured values and widths."""
    for key in MEASURED:
        table = re.sub(rf"({key.rpartition('/')[2]} +\|) [^|]+\|", r"\1 |", table)
    return re.sub(r"-{3,}", "---", re.sub(r" +", " ", table))


def test_the_same_output(capsys):
    tables = []
    for name in CLASSES:
        trained(name, verbose=1)
        tables.append(masked(capsys.readouterr().out))
    theirs, ours = tables
    assert ours == theirs
    assert "Using cpu device" in ours
    for text in ("rollout/", "ep_rew_mean | -5", "success_rate | 0", "n_updates", "total_timesteps | 160"):
        assert text in ours


def test_the_same_entries_in_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    logs = []
    for name in CLASSES:
        trained(name, tensorboard_log=str(tmp_path / name))
        logs.append(scalars(tmp_path / name / "DQN_1"))
    theirs, ours = logs
    assert ours.keys() == theirs.keys()
    for key in theirs:
        steps = [[event.step for event in log[key]] for log in logs]
        assert steps[1] == steps[0]
        if key not in MEASURED:
            values = [[event.value for event in log[key]] for log in logs]
            assert values[1] == pytest.approx(values[0])
    assert {"rollout/exploration_rate", "rollout/ep_len_mean", "train/loss"} <= theirs.keys()


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder))
    log.Reload()
    return {key: log.Scalars(key) for key in log.Tags()["scalars"]}


def test_runs_in_tensorboard_are_numbered_and_named(tmp_path):
    pytest.importorskip("tensorboard")
    for name in CLASSES:
        model = CLASSES[name](
            "MultiInputPolicy", unreachable(), tensorboard_log=str(tmp_path / name), **SMALL, **HINDSIGHT
        )
        model.learn(10)
        model.learn(10)
        model.learn(10, tb_log_name="first", reset_num_timesteps=False)
        model.learn(10, tb_log_name="first")
    names = [{path.name for path in (tmp_path / name).iterdir()} for name in CLASSES]
    assert names[1] == names[0] >= {"DQN_1", "DQN_2", "first_1"}


def eval_callback():
    return EvalCallback(unreachable(), n_eval_episodes=2, eval_freq=7, verbose=0)


@pytest.mark.parametrize("n_envs", [1, 2])
def test_the_same_entries_of_an_evaluation(tmp_path, n_envs):
    """Without a finished episode, those of updates are missing."""
    logs = []
    for name in CLASSES:
        logger = configure(str(tmp_path / name), ["json"])
        trained(name, n_envs, log_interval=1, callback=eval_callback, logger=logger)
        logger.close()
        logs.append(rows_of(tmp_path / name, "json"))
    theirs, ours = logs
    n_evaluations = 0
    for row, expected in zip(ours, theirs, strict=True):
        is_evaluation = "eval/mean_reward" in row
        n_evaluations += is_evaluation
        ends_episode = row["time/total_timesteps"] % (5 * n_envs) == 0
        for key in expected.keys() - row.keys():
            assert key.startswith("train/")
            assert is_evaluation or not ends_episode
        assert row.keys() <= expected.keys()
        expected = {key: expected[key] for key in row}
        assert without_measured(row) == nearly(expected)
    assert n_evaluations == 22 // n_envs


def test_the_same_entries_every_n_steps(tmp_path):
    logs = []
    for name in CLASSES:
        logger = configure(str(tmp_path / name), ["json"])
        log_callback = LogEveryNTimesteps(n_steps=12)
        trained(name, log_interval=None, callback=lambda log=log_callback: log, logger=logger)
        logger.close()
        logs.append(rows_of(tmp_path / name, "json"))
    theirs, ours = logs
    assert [row["time/total_timesteps"] for row in ours] == [row["time/total_timesteps"] for row in theirs]
    assert len(ours) == 160 // 12
    for row, expected in zip(ours, theirs, strict=True):
        assert all(key.startswith("train/") for key in row.keys() ^ expected.keys())
        assert row["rollout/exploration_rate"] == pytest.approx(expected["rollout/exploration_rate"])
    assert {"train/n_updates", "train/loss", "rollout/ep_rew_mean"} <= ours[-1].keys()
