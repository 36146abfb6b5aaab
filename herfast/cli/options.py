"""Options of the command line and their parsing.

tyro builds the parser: each command is a dataclass whose fields are its options, with their docstrings as
help. The fields of Config are options of `herfast train`.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias, cast, get_args

import tyro

from herfast.cli.integers import integer_registry, parse_integer
from herfast.cli.sweep_options import SweepOptions, check_repeated, sweep_options_class
from herfast.config import CHECKPOINT_EVERY, Config
from herfast.presets import Preset

_RESUME_OPTIONS = ("--epochs", "--until", "--checkpoint-every", "--help")
_HELP_BITS = 50  # number of bits for the defaults in `herfast train --help` without --n-bits
_MAX_SIZE = 2**30  # largest size for which defaults are calculated; BitFlip rejects smaller ones already


@dataclass(frozen=True)
class Train:
    """Train an agent on the bit-flip environment and write the run to a folder.

    The defaults are those of --preset for --n-bits. Ctrl-C, SIGTERM and SIGHUP stop a run and save it.
    `herfast resume FOLDER` continues a run that was stopped or killed.
    """

    function: ClassVar[str] = "train"  # in herfast.cli.commands

    n_bits: int
    """Bits of the state and of the goal."""
    max_steps: int | None = None
    """Steps after which an episode is truncated. None: n_bits."""
    preset: Preset = "fast"
    """Preset that supplies the defaults of the settings below."""
    seed: int = 0
    """Seed of all random streams."""
    out: Path | None = None
    """Folder of the run. None: runs/bitflip-<n-bits>-<preset>-seed<seed>."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the run in the folder, if there is one."""
    checkpoint_every: int = CHECKPOINT_EVERY
    """Epochs from one checkpoint to the next.
    A killed run resumes from its last checkpoint. One is always written at the end.
    """
    threads: int | None = None
    """Threads of updates and test episodes. None: as many processors as pay.
    Results do not depend on it.
    """
    # With an empty name, the fields of Config are options without a prefix.
    config: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)


@dataclass(frozen=True)
class Resume:
    """Resume a run that was stopped or killed, in its folder and with its settings.

    The result equals that of a run that was never stopped.
    """

    function: ClassVar[str] = "resume"  # in herfast.cli.commands

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""
    epochs: int | Literal["kept"] = "kept"
    """Maximum number of epochs, including those already completed."""
    until: float | Literal["kept"] | None = "kept"
    """Greedy success rate on 100 episodes, confirmed on 1,000, that ends the run.
    None never stops early.
    """
    checkpoint_every: int = CHECKPOINT_EVERY
    """Epochs from one checkpoint to the next."""


@dataclass(frozen=True)
class Eval:
    """Evaluate the greedy policy of a trained agent on test episodes."""

    function: ClassVar[str] = "evaluate"  # in herfast.cli.commands

    path: tyro.conf.Positional[Path]
    """Folder of a run, or file of an agent."""
    episodes: int = 1000
    """Number of test episodes."""
    seed: int = 1
    """Seed of the test episodes."""
    threads: int | None = None
    """Threads. None: as many processors as pay.
    Results do not depend on it.
    """
    no_revisit: tyro.conf.FlagCreatePairsOff[bool] = False
    """Never flip a bit back, which prevents loops.
    The result is then not that of the plain greedy policy.
    """


@dataclass(frozen=True)
class Play:
    """Print episodes of a trained agent. A ^ marks the bit that a step flips."""

    function: ClassVar[str] = "play"  # in herfast.cli.commands

    path: tyro.conf.Positional[Path]
    """Folder of a run, or file of an agent."""
    games: int = 3
    """Number of episodes."""
    seed: int = 0
    """Seed of the episodes. `eval` with this seed starts with the same episodes."""
    watch: tyro.conf.FlagCreatePairsOff[bool] = False
    """Animate the episodes step by step, if stdout is a terminal."""


@dataclass(frozen=True)
class Plot:
    """Draw the plots of a run or a sweep.

    For a run: success, return and loss over its cycles. For a sweep: success, updates and time over the size
    of the environment, and learning curves.
    """

    function: ClassVar[str] = "plot"  # in herfast.cli.commands

    path: tyro.conf.Positional[Path]
    """Folder of a run or a sweep, or progress.csv of a run.
    The plots are written to that folder.
    """


@dataclass(frozen=True)
class Doctor:
    """Diagnose an agent.

    Prints statistics of its network and its replay buffer, and advice if they show a problem.
    """

    function: ClassVar[str] = "doctor"  # in herfast.cli.commands

    path: tyro.conf.Positional[Path]
    """Folder of a run, or file of an agent.
    A file without the replay buffer gives less information.
    """


Command: TypeAlias = Train | Resume | SweepOptions | Eval | Play | Plot | Doctor


class _EnvSize(NamedTuple):
    """Size of an environment, for the defaults of a preset; validated later."""

    n_state_bits: int
    max_steps: int


def parse(argv: Sequence[str]) -> Command:
    """Parse the command line.

    Args:
        argv: the command line without the program's name.

    Returns:
        The command. The defaults of `train` are those of its --preset for its --n-bits and --max-steps.

    Raises:
        SystemExit: after --help, with code 0, and for options that cannot be parsed, with code 2.
        TypeError, ValueError: Config rejects a value, an option cannot be combined with --resume, or an
            option of `sweep` is given twice.
    """
    argv = _expand_resume(argv)
    preset, n_bits, max_steps = _read_preset_and_size(argv)
    size = _EnvSize(n_bits or _HELP_BITS, max_steps or n_bits or _HELP_BITS)
    default = Train(n_bits=tyro.MISSING, preset=preset, config=Config.preset(preset, size))
    about_train = _description(Train)
    if n_bits is None and argv[:1] == ["train"]:
        about_train += f"\n\nWithout --n-bits, the defaults shown are those for {_HELP_BITS} bits."
    sweep_options: Any = SweepOptions
    if argv[:1] == ["sweep"]:
        check_repeated(argv)
        sweep_options = sweep_options_class()  # takes 14 ms, which the other commands save
    commands: Any = (
        Annotated[Train, tyro.conf.subcommand("train", default=default, description=about_train)]
        | Annotated[Resume, tyro.conf.subcommand("resume", description=_description(Resume))]
        | Annotated[sweep_options, tyro.conf.subcommand("sweep", description=_description(SweepOptions))]
        | Annotated[Eval, tyro.conf.subcommand("eval", description=_description(Eval))]
        | Annotated[Play, tyro.conf.subcommand("play", description=_description(Play))]
        | Annotated[Plot, tyro.conf.subcommand("plot", description=_description(Plot))]
        | Annotated[Doctor, tyro.conf.subcommand("doctor", description=_description(Doctor))]
    )
    about = (
        "Hindsight Experience Replay with Double DQN on the bit-flip environment. "
        "--version prints the version."
    )
    command: Command = tyro.cli(
        commands, prog="herfast", description=about, args=argv, registry=integer_registry
    )
    return command


def _description(command: type) -> str:
    """Return the docstring of a command, also under `python -OO`."""
    if sys.flags.optimize < 2:
        return inspect.getdoc(command) or ""
    (definition,) = ast.parse(inspect.getsource(command)).body
    return ast.get_docstring(cast(ast.ClassDef, definition)) or ""


def _expand_resume(argv: Sequence[str]) -> list[str]:
    """Rewrite `train --resume FOLDER ...` as `resume FOLDER ...`.

    Raises:
        ValueError: another option is given that `resume` does not have.
    """
    command, *args = argv or [""]
    names = [arg.partition("=")[0] for arg in args]
    if command != "train" or "--resume" not in names:
        return list(argv)
    place = names.index("--resume")
    _, equals, folder = args[place].partition("=")
    end = place + 1
    if not equals and end < len(args) and not args[end].startswith("-"):
        folder = args[end]
        end += 1
    rest = [*args[:place], *args[end:]]
    for arg in rest:
        name = arg.partition("=")[0]
        if name.startswith("--") and name.replace("_", "-") not in _RESUME_OPTIONS:
            raise ValueError(
                f"{name} cannot be combined with --resume: "
                "a run keeps its settings except --epochs, --until and --checkpoint-every"
            )
    if not folder:
        return ["resume", *rest]
    return ["resume", folder, *rest]


def _read_preset_and_size(argv: Sequence[str]) -> tuple[Preset, int | None, int | None]:
    """Return --preset, --n-bits and --max-steps, or "fast", None and None.

    tyro reports invalid values later.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("preset", "n-bits", "max-steps"):
        parser.add_argument(f"--{name}", f"--{name.replace('-', '_')}", nargs="?")
    values, _ = parser.parse_known_args(list(argv))
    preset: Preset = "fast"
    if values.preset in get_args(Preset):
        preset = values.preset
    return preset, _positive_integer(values.n_bits), _positive_integer(values.max_steps)


def _positive_integer(text: str | None) -> int | None:
    """Parse a positive integer, limited to _MAX_SIZE; None if it is not one."""
    try:
        value = parse_integer(text or "")
    except ValueError:
        return None
    if value < 1:
        return None
    return min(value, _MAX_SIZE)
