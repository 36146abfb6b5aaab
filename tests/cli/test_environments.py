"""`herfast train` and `herfast sweep` with --env."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.command_line import run_command
from support.toy_env import Lamps

import herfast
from herfast import BitFlip
from herfast.cli import options, parsing
from herfast.cli.values import chosen_env
from herfast.config import Config
from herfast.envs import registry
from herfast.experiments.run import AGENT_FILE, CONFIG_FILE
from herfast.experiments.sweep import RESULTS_FILE

SMALL = "--preset notebook --hidden 8 --epochs 1 --cycles-per-epoch 2 --updates-per-cycle 1"


@dataclass(frozen=True, init=False)
class Puzzle(BitFlip):
    """Another environment that is a BitFlip, too."""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register environments, and restore the registry and sys.path after a test."""
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.setattr(sys, "path", [*sys.path])
    herfast.register_env("Lamps", Lamps)
    herfast.register_env("Puzzle", Puzzle)


@pytest.mark.parametrize(
    ("argv", "env", "folder"),
    [
        ("--n-bits 9", BitFlip(9), "bitflip-9-fast-seed0"),
        ("--n-bits 9 --max-steps 12", BitFlip(9, 12), "bitflip-9-fast-seed0"),
        ("--env BitFlip --env-kwargs n_bits=9", BitFlip(9), "bitflip-9-fast-seed0"),
        (
            "--env BitFlip --env-kwargs n_bits=4 goal=1010",
            BitFlip(4, goal="1010"),
            "4bits-fixed-goal-fast-seed0",
        ),
        (
            "--env BitFlip --env-kwargs n_bits=9 max_steps=12 --preset paper --seed 5",
            BitFlip(9, 12),
            "bitflip-9-paper-seed5",
        ),
        ("--env Lamps", Lamps(), "Lamps-6-fast-seed0"),
        ("--env Lamps --env-kwargs max_steps=1e1 --seed 3", Lamps(10), "Lamps-10-fast-seed3"),
        ("--env Puzzle --env-kwargs n_bits=9", Puzzle(9), "9bits-fast-seed0"),
    ],
)
def test_train_builds_the_environment_and_names_the_folder_after_it(
    argv: str,
    env: Any,
    folder: str,
    agents: list[Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("herfast.experiments.run.plot_run", lambda *_: [])  # saves time
    code, out, err = run_command(["train", *argv.split()], capsys)
    assert (code, err) == (0, "")
    (agent,) = agents
    assert agent.env == env
    assert type(agent.env) is type(env)
    assert agent.config == Config.preset(agent.preset, env)
    assert out.startswith(f"Training on {env.describe()}, preset ")
    assert [path.name for path in Path("runs").iterdir()] == [folder]
    assert (Path("runs") / folder / AGENT_FILE).exists()
    assert json.loads((Path("runs") / folder / CONFIG_FILE).read_text())["environment"] == env.spec()


def test_a_run_is_resumed_with_its_environment(agents: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    argv = "train --env Lamps --env-kwargs max_steps=9 --out run --until None --epochs 1"
    assert run_command(argv.split(), capsys)[0] == 0
    code, out, _ = run_command(["resume", "run", "--epochs", "2"], capsys)
    assert code == 0
    assert agents[-1].env == Lamps(9)
    assert out.startswith("Resuming training on 2 lamps in at most 9 steps after ")


@pytest.mark.parametrize("preset", ["fast", "notebook"])
def test_the_defaults_are_those_of_the_preset_for_the_environment(preset: Any) -> None:
    argv = ["train", "--env", "Lamps", "--env-kwargs", "max_steps=300", "--preset", preset, "--gamma", "0.5"]
    command = parsing.parse(argv)
    assert isinstance(command, options.Train)
    assert command.config == Config.preset(preset, Lamps(300), gamma=0.5)


def fails_with(error: BaseException) -> Callable[..., Any]:
    def build(**values: Any) -> Any:
        raise error

    return build


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (fails_with(ValueError("size must be odd,\n  got 4")), "size must be odd, got 4"),
        (fails_with(ModuleNotFoundError("No module named 'maze'")), "No module named 'maze'"),
        (fails_with(KeyError("wall")), "KeyError: 'wall'"),
        (fails_with(AssertionError("x" * 400)), f"AssertionError: {'x' * 267}..."),
        (lambda: Lamps(0), "max_steps must be from 1 to 65,535, got 0"),
        (lambda: "lamps", "env must be a BitFlip or .*, got 'lamps'"),
    ],
)
@pytest.mark.parametrize("command", ["train", "sweep --out new"])
def test_an_environment_that_cannot_be_built_is_reported_in_one_line(
    command: str, build: Any, message: str, agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    herfast.register_env("Broken", build)
    code, out, err = run_command([*command.split(), "--env", "Broken"], capsys)
    assert (code, out) == (2, "")
    assert re.fullmatch(f"herfast: error: --env Broken: {message}\n", err), err
    assert (list(Path().iterdir()), agents) == ([], [])


@pytest.mark.parametrize(
    "argv",
    [
        "--env GridWorld --help",
        "-h --env GridWorld",
        "--env no_mazes:Maze --help",
        "--env BitFlip --env-kwargs n_bits --help",
    ],
)
def test_help_is_shown_for_an_environment_that_cannot_be_built(
    argv: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(["train", *argv.split()], capsys)
    assert (code, err) == (0, "")
    text = " ".join(out.replace("│", " ").split())
    assert "Without --n-bits, or --env with its arguments, the defaults shown are those for 50 bits." in text
    assert "Environment: BitFlip, GridWorld, LightsOut, or a Gymnasium goal environment." in text


TEXTS = """
from __future__ import annotations
from dataclasses import dataclass
from support.toy_tasks import Coins

@dataclass(frozen=True)
class Named(Coins):
    name: str = ""
    size: int = 3
"""


def test_a_number_for_a_parameter_that_is_a_str_stays_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named_coins.py").write_text(TEXTS)
    monkeypatch.syspath_prepend(tmp_path)
    env = chosen_env(None, None, "named_coins:Named", ["name=1e3", "size=1e3"])
    assert env.spec() == {"id": "named_coins:Named", "name": "1e3", "size": 1000}
    monkeypatch.delitem(sys.modules, "named_coins")


def test_the_current_folder_can_be_imported_last(
    agents: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of an installed package is not replaced by a file of the same name."""
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    Path("my_lamps_task.py").write_text("from support.toy_env import Lamps\n")
    Path("colorsys.py").write_text("raise RuntimeError\n")

    def build() -> Any:
        import colorsys  # noqa: F401 (of the standard library)

        import my_lamps_task  # type: ignore[import-not-found]

        return my_lamps_task.Lamps()

    herfast.register_env("Local", build)
    assert run_command(["train", "--env", "Local", "--out", "run"], capsys)[::2] == (0, "")
    assert run_command(["--help"], capsys)[0] == 0
    assert sys.path.count("") == 1
    monkeypatch.delitem(sys.modules, "my_lamps_task")


def test_every_command_works_with_another_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = f"train --env Lamps {SMALL} --out run"
    assert run_command(argv.split(), capsys)[0] == 0
    first_lines = {
        "eval run --episodes 20": "20 episodes of 2 lamps in at most 6 steps, seed 1",
        "eval run --episodes 20 --no-revisit": "20 episodes of 2 lamps in at most 6 steps, seed 1, "
        "no state visited twice",
        "play run": "NEW EPISODE",
        "doctor run": "2 lamps in at most 6 steps, preset notebook, seed 0, after 2 cycles",
        "plot run": "run/success.png",
        "resume run --epochs 2": "Resuming training on 2 lamps in at most 6 steps after 2 cycles, "
        "preset notebook, seed 0; the run is in run",
    }
    for command, line in first_lines.items():
        code, out, err = run_command(command.split(), capsys)
        assert (code, err) == (0, ""), command
        assert out.splitlines()[0] == line


def test_a_file_of_an_unknown_environment_is_reported_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(f"train --env Lamps {SMALL} --out run".split(), capsys)[0] == 0
    registry._REGISTRY.pop("Lamps")
    for command in ("eval run", "play run", "doctor run", "resume run --epochs 2"):
        code, out, err = run_command(command.split(), capsys)
        assert (code, out, err.count("\n")) == (2, "", 1), command
        assert err.startswith("herfast: error: ")
        assert "the environment 'Lamps' " in err


def test_sweep_trains_one_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = f"sweep --env Lamps --env-kwargs max_steps=9 {SMALL} --k 0 4 --out swept"
    code, out, _ = run_command(argv.split(), capsys)
    assert code == 0
    assert out.startswith("2 trials; ")
    with Path("swept", RESULTS_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {json.dumps(Lamps(9).spec())} == {row["env"] for row in rows}
    assert sorted(row["k"] for row in rows) == ["0", "4"]
    assert all(Path("swept", row["cell"]).is_dir() for row in rows)


def test_sweep_with_bit_flip_by_id_has_the_trials_of_n_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = []
    for environment in ("--n-bits 3 --max-steps 5", "--env BitFlip --env-kwargs n_bits=3 max_steps=5"):
        argv = f"sweep {environment} {SMALL} --out swept"
        assert run_command(argv.split(), capsys)[0] == 0
        folders.append(sorted(path.name for path in Path("swept").iterdir() if path.is_dir()))
    assert folders[0] == folders[1]
    assert len(folders[0]) == 1
