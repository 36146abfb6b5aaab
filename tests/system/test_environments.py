"""All environments of herfast, and an own task, in each command and file."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from support.command_line import assert_same_state, run_command

from herfast import Agent, BitFlip, GridWorld, LightsOut
from herfast.common.tensor_file import TensorFileError
from herfast.dqn.rollout import ended_in_loop, rollout
from herfast.envs.registry import make_env
from herfast.experiments.sweep import read_results

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = "--preset notebook --hidden 16 --epochs 2 --cycles-per-epoch 2 --updates-per-cycle 2"
COMMANDS = {
    "grid world": "--env GridWorld --env-kwargs map=four_rooms max_steps=30",
    "lights out": "--env LightsOut --env-kwargs width=3 height=2 presses=2",
    "fixed goal": '--env BitFlip --env-kwargs n_bits=5 goal="10110"',
    "own task": "--env towers_of_hanoi:TowersOfHanoi --env-kwargs disks=2",
}
DESCRIPTIONS = {
    "grid world": "four_rooms with 104 free cells in at most 30 steps",
    "lights out": "3 x 2 lights in at most 6 steps",
    "fixed goal": "5 bits in at most 5 steps to a fixed goal",
    "own task": "TowersOfHanoi(disks=2) in at most 8 steps",
}


@pytest.fixture
def example_folder(tmp_path, monkeypatch):
    """Work in a folder with a module that the command line can import."""
    shutil.copy(EXAMPLES / "towers_of_hanoi.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("towers_of_hanoi", None)


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_run_trains_resumes_and_is_shown(kind, example_folder, capsys):
    options = [*COMMANDS[kind].split(), *SMALL.split()]
    code, out, _ = run_command(["train", *options, "--out", "run"], capsys)
    assert code == 0
    assert f"Training on {DESCRIPTIONS[kind]}" in out
    for folder, epochs in (("short", "1"), ("short", "2")):
        command = ["resume", folder, "--epochs", epochs]
        if epochs == "1":
            command = ["train", *options, "--epochs", "1", "--out", folder]
        assert run_command(command, capsys)[0] == 0
    assert_same_state(Path("run/checkpoint.safetensors"), Path("short/checkpoint.safetensors"))
    for command in ("eval", "play", "doctor", "plot"):
        code, out, err = run_command([command, "run"], capsys)
        assert (code, err) == (0, ""), command
        assert out
    code, out, err = run_command(["eval", "run", "--no-revisit"], capsys)
    assert (code, err) == (0, "")
    assert "no state visited twice" in out


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_sweep_trains_every_environment(kind, example_folder, capsys):
    command = ["sweep", *COMMANDS[kind].split(), *SMALL.split(), "--seeds", "2", "--out", "sweep"]
    assert run_command(command, capsys)[0] == 0
    rows = read_results(Path("sweep"))
    assert sorted(row["seed"] for row in rows) == ["0", "0", "1", "1"]


SAME_SIZE = [
    BitFlip(9),
    BitFlip(9, goal="1" * 9),
    GridWorld(".........", 9),
    GridWorld("...\n...\n...", 9),
    LightsOut(3, 3),
    LightsOut(3, 3, presses=4),
    LightsOut(9, 1),
]


@pytest.mark.parametrize("env", SAME_SIZE, ids=str)
def test_environments_of_one_size_are_distinguished_in_files(env, tmp_path):
    agent = Agent(env, "notebook", 0, hidden=(8,))
    assert agent.env.n_state_bits == 9
    agent.save(tmp_path / "agent")
    assert Agent.load(tmp_path / "agent").env == env
    assert Agent.load(tmp_path / "agent", env).env == env
    for other in SAME_SIZE:
        if other != env:
            with pytest.raises(ValueError, match=r"agent was trained on .*, got ") as caught:
                Agent.load(tmp_path / "agent", other)
            assert not isinstance(caught.value, TensorFileError)


@pytest.mark.parametrize("env", [GridWorld("four_rooms", 40), LightsOut(4, 3)], ids=str)
def test_no_revisit_prevents_loops_where_a_new_state_can_be_reached(env):
    network = Agent(env, "notebook", 0, hidden=(8,)).network
    greedy, new = (
        rollout(env, network, 50, np.random.default_rng(0), no_revisit=no_revisit)
        for no_revisit in (False, True)
    )
    assert ended_in_loop(greedy).mean() > 0.9 > ended_in_loop(new).mean()


@pytest.mark.parametrize("env", SAME_SIZE, ids=str)
def test_an_environment_is_rebuilt_from_its_spec(env):
    assert make_env(env.spec()) == env
    assert Agent(env, "notebook", 0, hidden=(8,)).config.encoding == env.encoding
