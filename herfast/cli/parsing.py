"""Parsing of the command line.

tyro builds the parser from the dataclasses in `herfast.cli.options`.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, cast, get_args

import tyro

from herfast.cli.options import (
    Command,
    Doctor,
    Eval,
    Play,
    Plot,
    Resume,
    SweepOptions,
    Train,
    sweep_options_class,
)
from herfast.cli.values import chosen_env, integer_registry, parse_integer
from herfast.config import Config
from herfast.presets import Preset, Sized

_RESUME_OPTIONS = ("--epochs", "--until", "--checkpoint-every", "--help")
_HELP_BITS = 50  # number of bits for the defaults in `herfast train --help` without an environment
_MAX_SIZE = 2**30  # largest size for which defaults are calculated; BitFlip rejects smaller ones already


class _BitFlipSize(NamedTuple):
    """Size of a BitFlip, for the defaults of a preset; validated later.

    A BitFlip itself needs the compiled core, which --help does not.
    """

    n_bits: int
    max_steps: int

    @property
    def n_state_bits(self) -> int:
        return self.n_bits

    @property
    def n_goal_bits(self) -> int:
        return self.n_bits

    @property
    def n_actions(self) -> int:
        return self.n_bits


def parse(argv: Sequence[str]) -> Command:
    """Parse the command line.

    Args:
        argv: the command line without the program's name.

    Returns:
        The command. The defaults of `train` are those of its --preset for its environment.

    Raises:
        SystemExit: after --help, with code 0, and for options that cannot be parsed, with code 2.
        TypeError, ValueError: Config rejects a value, or an option cannot be combined with --resume.
        ValueError: an option with several values is given twice, or the environment of --env cannot be built.
    """
    argv = _expand_resume(argv)
    preset: Preset = "fast"
    size: Sized = _BitFlipSize(_HELP_BITS, _HELP_BITS)
    about_train = _description(Train)
    sweep_options: Any = SweepOptions
    if argv[:1] == ["train"]:
        _check_repeated(argv, "--env-kwargs")
        preset, given_size = _read_preset_and_size(argv)
        if given_size is not None:
            size = given_size
        else:
            about_train += (
                "\n\nWithout --n-bits, or --env with its arguments, the defaults shown are those for "
                f"{_HELP_BITS} bits."
            )
    if argv[:1] == ["sweep"]:
        _check_repeated(argv)
        sweep_options = sweep_options_class()  # takes 14 ms, which the other commands save
    default = Train(preset=preset, config=Config.preset(preset, size))
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
        "Hindsight Experience Replay with Double DQN for goals made of bits. --version prints the version."
    )
    command: Command = tyro.cli(
        commands, prog="herfast", description=about, args=argv, registry=integer_registry
    )
    return command


def _description(command: type) -> str:
    """Return the docstring of a command, also under `python -OO`."""
    if sys.flags.optimize < 2:
        return inspect.getdoc(command) or ""
    source = inspect.getsource(command)
    # From Python 3.14 on, ast.parse leaves docstrings out under -OO.
    tree = compile(source, "<command>", "exec", ast.PyCF_ONLY_AST, optimize=0)
    (definition,) = cast(ast.Module, tree).body
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


def _read_preset_and_size(argv: Sequence[str]) -> tuple[Preset, Sized | None]:
    """Return --preset, or "fast", and the environment or its size, or None.

    tyro reports invalid values later, except for those of --env. With --help they are no error.

    Raises:
        ValueError: as `chosen_env`, without --help.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("preset", "n-bits", "max-steps", "env"):
        parser.add_argument(f"--{name}", f"--{name.replace('-', '_')}", nargs="?")
    parser.add_argument("--env-kwargs", "--env_kwargs", nargs="*", default=())
    values, _ = parser.parse_known_args(list(argv))
    preset: Preset = "fast"
    if values.preset in get_args(Preset):
        preset = values.preset
    n_bits = _positive_integer(values.n_bits)
    max_steps = _positive_integer(values.max_steps)
    if values.env is not None:
        try:
            return preset, chosen_env(n_bits, max_steps, values.env, values.env_kwargs)
        except ValueError:
            if not {"-h", "--help"} & set(argv):
                raise
            return preset, None
    if n_bits is None:
        return preset, None
    return preset, _BitFlipSize(n_bits, max_steps or n_bits)


def _positive_integer(text: str | None) -> int | None:
    """Parse a positive integer, limited to _MAX_SIZE; None if it is not one."""
    try:
        value = parse_integer(text or "")
    except ValueError:
        return None
    if value < 1:
        return None
    return min(value, _MAX_SIZE)


def _check_repeated(argv: Sequence[str], option: str | None = None) -> None:
    """Raise ValueError if an option is given twice: only its last values would count.

    Args:
        argv: the command line.
        option: the only option to check. None: all.
    """
    names = [arg.partition("=")[0].replace("_", "-") for arg in argv if arg.startswith("--")]
    for name in names:
        if names.count(name) > 1 and option in (None, name):
            raise ValueError(f"{name} is given {names.count(name)} times: give it once, with all its values")
