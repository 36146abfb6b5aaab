"""Options of the command line: parsing, defaults, help and errors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from support.command_line import run_command

import herfast
from herfast.cli import options, parsing
from herfast.config import Config


def parse_train(*argv: str) -> options.Train:
    command = parsing.parse(["train", *argv])
    assert isinstance(command, options.Train)
    return command


@pytest.mark.parametrize("preset", ["fast", "paper", "notebook"])
@pytest.mark.parametrize(("n_bits", "max_steps"), [(5, None), (50, None), (200, 7), (300_000, None)])
def test_defaults_are_those_of_the_preset_for_the_size(
    preset: Any, n_bits: int, max_steps: int | None
) -> None:
    command = parse_train("--preset", preset, "--n-bits", str(n_bits), "--max-steps", str(max_steps))
    assert command.config == Config.preset(preset, parsing._BitFlipSize(n_bits, max_steps or n_bits))
    assert (command.n_bits, command.max_steps, command.preset) == (n_bits, max_steps, preset)
    assert parse_train("--max_steps", str(max_steps), f"--n_bits={n_bits}", f"--preset={preset}") == command


def test_options_override_the_preset() -> None:
    argv = "--n-bits 50 --gamma 0.9 --no-double-q --hidden 64 32 --until None"
    argv += " --epsilon linear --capacity 999 --seed 4"
    command = parse_train(*argv.split(), "--out", "some/where", "--overwrite")
    changed = {
        "gamma": 0.9,
        "double_q": False,
        "hidden": (64, 32),
        "until": None,
        "epsilon": "linear",
        "capacity": 999,
    }
    assert command.config == Config.preset("fast", parsing._BitFlipSize(50, 50), **changed)
    assert (command.seed, command.out, command.overwrite) == (4, Path("some/where"), True)
    assert parse_train("--n-bits", "50", "--until", "0.5").config.until == 0.5


@pytest.mark.parametrize(
    ("argv", "hidden", "epochs"),
    [
        ("--n-bits 20", 192, 500),
        ("--n-bits 50", 448, 500),
        ("--n-bits 200", 1600, 500),
        ("--preset paper", 256, 200),
        ("--env BitFlip --env-kwargs n_bits=20", 192, 500),
        ("--env_kwargs max_steps=9 n_bits=2e2 --env=BitFlip", 1600, 500),
    ],
)
def test_help_shows_the_default_of_every_field_for_the_size(
    argv: str, hidden: int, epochs: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run_command(["train", *argv.split(), "--help"], capsys)
    assert (code, err) == (0, "")
    text = " ".join(out.replace("│", " ").split())
    for field in dataclasses.fields(Config):
        assert f"--{field.name.replace('_', '-')}" in text, field.name
    assert f"Widths of the hidden ReLU layers, from one to eight of them. (default: {hidden})" in text
    assert f"(default: {epochs})" in text[text.index("--epochs") :]
    assert "--config" not in text
    assert "herfast resume FOLDER" in text


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("train", True),
        ("train --preset paper --max-steps 7", True),
        ("train --n-bits 50", False),
        ("train --env BitFlip --env-kwargs n_bits=50", False),
        ("train --n_bits=20", False),
        ("train --resume run", False),
        ("", False),
        ("eval", False),
    ],
)
def test_help_without_an_environment_names_the_size_of_its_defaults(
    argv: str, expected: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run_command([*argv.split(), "--help"], capsys)
    assert code == 0
    text = " ".join(out.split())
    assert ("the defaults shown are those for 50 bits." in text) == expected
    if expected:
        assert "Train an agent on an environment" in text
        assert "Ctrl-C, SIGTERM and SIGHUP stop a run" in text


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_command(["--help"], capsys)
    assert code == 0
    assert "{train,resume,sweep,eval,play,plot,doctor}" in out
    assert "--version prints the version" in " ".join(out.split())


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"], capsys) == (0, f"herfast {herfast.__version__}\n", "")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("", "Missing subcommand"),
        ("learn", "learn"),
        ("train --n-bits 8 --gama 0.9", "--gamma"),
        ("train --n-bits eight", "eight"),
        ("train --n-bits 8 --preset quick", "quick"),
        ("train --n-bits 8 --seed 1.5", "1.5"),
        ("train --n-bits 8 --max-steps", "--max-steps"),
        ("train --n-bits 8 --strategy first", "first"),
        ("train --n-bits 8 --double-q no", "no"),
        ("train --resume", "PATH"),
        ("resume", "PATH"),
        ("train --resume run --epochs many", "many"),
        ("train --resume run more", "more"),
        ("eval", "PATH"),
        ("eval run --episodes many", "many"),
        ("play run --bits 3", "--bits"),
        ("plot", "PATH"),
        ("doctor", "PATH"),
    ],
)
def test_an_invalid_option_exits_with_2_and_is_named(
    argv: str, message: str, agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(argv.split(), capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not agents


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("train --n-bits 0", "n_bits must be from 1 to 65,535, got 0"),
        ("train --n-bits -3", "n_bits must be from 1 to 65,535, got -3"),
        ("train --n-bits 70000", "n_bits must be from 1 to 65,535, got 70,000"),
        ("train --n-bits 8 --max-steps 0", "max_steps must be from 1 to 65,535, got 0"),
        ("train --n-bits 8 --gamma 2", "gamma must be in [0, 1), got 2.0"),
        ("train --n-bits 8 --gamma nan", "gamma must be in [0, 1), got nan"),
        ("train --n-bits 8 --hidden", "layer widths, got ()"),
        ("train --n-bits 8 --until 1.5", "until must be in (0, 1], got 1.5"),
        ("train --n-bits 8 --batch-size 0", "batch_size must be from 1"),
        ("train --n-bits 8 --no-mask-terminal", "hindsight_bound=True needs mask_terminal=True"),
        (
            "train --n-bits 8 --out run",
            "run already contains a run: continue it with herfast resume, or replace it with --overwrite",
        ),
        ("train --n-bits 8 --out run/config.json", "run/config.json is a file"),
        ("train --n-bits 8 --out run/config.json/x", "Not a directory"),
        ("train --resume none", "none is not the folder of a run"),
        ("train --resume .", ". is not the folder of a run: it contains no config.json written by herfast"),
        ("train --resume run/config.json", "run/config.json is not the folder of a run"),
        (
            "train --resume run --epochs 3",
            "success rate of 0.99 was reached and confirmed in epoch 2; change --until to continue",
        ),
        ("train --resume run --epochs 800", "run is solved"),
        (
            "train --resume run --until None --epochs 2",
            "run has completed 2 of 2 epochs: increase --epochs to continue",
        ),
        ("train --resume run --epochs 0", "epochs must be from 1"),
        ("train --resume run --until 1.5", "until must be in (0, 1], got 1.5"),
        (
            "train --resume run --n-bits 8",
            "--n-bits cannot be combined with --resume: a run keeps its settings except",
        ),
        ("train --gamma=0.5 --resume=run", "--gamma cannot be combined with --resume"),
        ("train --seed 1 --resume run --epochs 9", "--seed cannot be combined with --resume"),
        ("train --resume run --overwrite", "--overwrite cannot be combined with --resume"),
        ("eval none", "none does not exist"),
        ("eval .", "contains no agent.safetensors"),
        ("eval run/config.json", "is not a readable herfast file"),
        ("eval run --episodes 0", "episodes must be from 1 to 1,099,511,627,776, got 0"),
        ("play none", "none does not exist"),
        ("play run --games 0", "games must be from 1"),
        ("play run --seed -1", "seed must be None or an integer from 0 to 2**128 - 1, got -1"),
        ("plot none", "none does not exist"),
        ("plot .", "contains no progress.csv"),
        ("plot run/config.json", "run/config.json is not the progress of a run"),
    ],
)
def test_an_invalid_value_exits_with_2_and_one_line(
    argv: str, message: str, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, out, err = run_command(argv.split(), capsys)
    assert (code, out) == (2, "")
    assert err.startswith("herfast: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
