"""Commands with a Gymnasium environment of another package."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from support.command_line import run_command

from herfast import Agent, GymnasiumTask
from herfast.cli import playback
from herfast.experiments.sweep_folder import RESULTS_FILE

ID = "support.gym_tasks:tests/Lock-v0"
SMALL = "--preset notebook --hidden 8 --episodes-per-cycle 2 --updates-per-cycle 2 "
SMALL += "--cycles-per-epoch 2 --epochs 1"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_command_works(capsys: pytest.CaptureFixture[str]) -> None:
    name = "tests/Lock-v0, limit=3 without a step limit"
    argv = f"train --env {ID} --env-kwargs limit=3 {SMALL}"
    assert run_command(argv.split(), capsys)[0] == 0
    run = "runs/tests-Lock-v0-3-notebook-seed0"
    first_lines = {
        f"eval {run} --episodes 20": f"20 episodes of {name}, seed 1",
        f"play {run}": "NEW EPISODE",
        f"doctor {run}": f"{name}, preset notebook, seed 0, after 2 cycles",
        f"plot {run}": f"{run}/success.png",
        f"resume {run} --epochs 2": f"Resuming training on {name} after 2 cycles, preset notebook, seed 0; "
        f"the run is in {run}",
    }
    for command, line in first_lines.items():
        code, out, err = run_command(command.split(), capsys)
        assert (code, err) == (0, ""), command
        assert out.splitlines()[0] == line
    code, _, err = run_command(f"eval {run} --no-revisit".split(), capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "no_revisit needs an environment that steps from any state" in err


def test_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    argv = f"sweep --env {ID} --env-kwargs limit=3 {SMALL} --seeds 2 --out swept"
    assert run_command(argv.split(), capsys)[0] == 0
    with Path("swept", RESULTS_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert all(row["cell"].startswith("tests-Lock-v0-3-notebook-k1-seed") for row in rows)


def test_options_of_the_task_are_parameters_of_gymnasium(capsys: pytest.CaptureFixture[str]) -> None:
    argv = (
        f"train --env Gymnasium {SMALL} --hindsight-bound --out run --env-kwargs deterministic=true".split()
    )
    argv += ["env=support.gym_tasks:tests/Maze-v0", 'kwargs={"rows": ["####", "#  #", "####"]}']
    assert run_command(argv, capsys)[0] == 0
    agent = Agent.load("run/agent.safetensors")
    assert isinstance(agent.env, GymnasiumTask)
    assert agent.env.deterministic
    assert (agent.env.n_state_bits, agent.config.hindsight_bound) == (2, True)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            "CartPole-v1",
            "env must have Discrete actions, and observation, achieved_goal and desired_goal that are",
        ),
        ("tests/Gone-v0", "Gymnasium does not know the environment 'tests/Gone-v0'"),
        (
            ID.replace("Lock", "Broken"),
            "compute_reward of tests/Broken-v0 must return the same rewards for a ba",
        ),
    ],
)
def test_an_environment_that_is_not_supported_is_reported_in_one_line(
    env: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(["train", "--env", env], capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"herfast: error: --env {env}: {message}")


def test_play_prints_the_episodes_that_eval_plays(capsys: pytest.CaptureFixture[str]) -> None:
    """The info of Lock says that an episode ended with success, whatever its goal."""
    argv = f"train --env {ID} {SMALL} --out run"
    assert run_command(argv.split(), capsys)[0] == 0
    _, out, _ = run_command(["play", "run", "--games", "9", "--seed", "4"], capsys)
    ends = [line for line in out.splitlines() if " AFTER " in line]
    assert len(ends) == 9
    assert all(line.endswith(" AFTER 7 STEPS") for line in ends)
    n_successes = sum(line.startswith("SUCCESS") for line in ends)
    assert 0 < n_successes < 9
    agent = Agent.load("run/agent.safetensors", replay=False)
    assert agent.evaluate(9, seed=4).success_rate == pytest.approx(n_successes / 9)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_the_first_of_several_sub_environments_plays_one_episode_after_another(mode: str) -> None:
    from gymnasium.vector import AutoresetMode
    from support.gym_tasks import make

    task = GymnasiumTask(make("Lock", 3, AutoresetMode(mode), limit=4))
    states, goals = np.zeros((1, 1), np.uint64), np.zeros((1, 1), np.uint64)
    task.reset(np.random.default_rng(0), states, goals)
    for game in range(3):
        if game:
            playback.begin_next(task, states, goals)
        steps = list(playback.play_episode(task, lambda observation: (np.int64(1), None), states, goals))
        counts = [
            step.state[8:].tolist().index(1) for step in steps
        ]  # the counter is part of the observation
        assert counts == [0, 1, 2, 3, 4]
        assert steps[-1].end.endswith("AFTER 4 STEPS")
