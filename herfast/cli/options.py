"""Options of the command line, and their parsing. The commands themselves are in `herfast.cli.commands`.

Each command is a dataclass whose fields are its flags (with tyro); those of Config are flags of `herfast train`.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args

import tyro

from herfast.cli.sweep_options import SweepOptions, sweep_options_class
from herfast.config import Config
from herfast.presets import Preset

CHECKPOINT_EVERY = 10  # epochs
_HELP_BITS = 50  # the size whose defaults `herfast train --help` shows when no --n-bits is given


@dataclass(frozen=True)
class Train:
    """Learn a bit-flip game and write the run into a folder. The defaults are those of --preset at --n-bits.

    Ctrl-C and SIGTERM stop a run and save it; --resume FOLDER, with --epochs or --until if they shall change, goes on
    with a run that was stopped or killed.
    """

    n_bits: int
    """Bits of the state and of the goal."""
    max_steps: int | None = None
    """Steps after which an episode is truncated; None: n_bits."""
    preset: Preset = "fast"
    """Where the defaults of all settings below come from."""
    seed: int = 0
    """Seed of everything random."""
    out: Path | None = None
    """The run's folder; None: runs/bitflip-<n-bits>-<preset>-seed<seed>."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the run that the folder holds."""
    checkpoint_every: int = CHECKPOINT_EVERY
    """Epochs from one checkpoint to the next, from which a killed run goes on; one is always written at the end."""
    config: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)  # no name: flags of their own


@dataclass(frozen=True)
class Resume:
    """Go on with a run that was stopped, as if it never had been, in its folder and with its own settings."""

    folder: Annotated[Path, tyro.conf.arg(name="resume")]
    """The run's folder."""
    epochs: int | Literal["kept"] = "kept"
    """Epochs after which the run ends at the latest, those already done included."""
    until: float | Literal["kept"] | None = "kept"
    """Stop once this greedy success rate is reached on 100 episodes and confirmed on 1,000; None never stops early."""
    checkpoint_every: int = CHECKPOINT_EVERY
    """Epochs from one checkpoint to the next."""


@dataclass(frozen=True)
class Eval:
    """Play test episodes with a trained agent."""

    path: tyro.conf.Positional[Path]
    """A run's folder, or an agent's file."""
    episodes: int = 1000
    """Games to play."""
    seed: int = 1
    """Seed of the games."""
    no_revisit: tyro.conf.FlagCreatePairsOff[bool] = False
    """Never flip a bit back, which keeps greedy play out of loops; the success is then another one."""


@dataclass(frozen=True)
class Play:
    """Write out games that a trained agent plays, each step with the flipped bit marked by a ^."""

    path: tyro.conf.Positional[Path]
    """A run's folder, or an agent's file."""
    games: int = 3
    """Games to play."""
    seed: int = 0
    """Seed of the games: they are the first of those that `eval` plays with this seed."""
    watch: tyro.conf.FlagCreatePairsOff[bool] = False
    """Let the games move, a step after the other; where stdout is no terminal, they are written out all the same."""


@dataclass(frozen=True)
class Plot:
    """Draw a run: success, return, loss over its cycles; or a sweep: success, updates, time by size, and curves."""

    path: tyro.conf.Positional[Path]
    """The folder of a run or of a sweep, or a run's progress.csv; the pictures go there."""


@dataclass(frozen=True)
class Doctor:
    """Look into an agent and say what keeps it from learning, if anything does."""

    path: tyro.conf.Positional[Path]
    """A run's folder, or an agent's file; one saved without its replay shows less."""


Command: TypeAlias = Train | Resume | SweepOptions | Eval | Play | Plot | Doctor


class _EnvSize(NamedTuple):
    """What a preset needs to know of a game; the game itself is made, and its size checked, later."""

    n_state_bits: int
    max_steps: int


def parse(argv: Sequence[str]) -> Command:
    """The command line as a command; the defaults of `train` follow its --preset, --n-bits and --max-steps."""
    train: Any = Annotated[Resume, tyro.conf.subcommand("train")]
    if not _is_resume(argv):
        preset, n_bits, max_steps = _read_preset_and_size(argv)
        size = _EnvSize(n_bits or _HELP_BITS, max_steps or n_bits or _HELP_BITS)
        default = Train(n_bits=tyro.MISSING, preset=preset, config=Config.preset(preset, size))
        about = None  # the docstring
        if n_bits is None and list(argv[:1]) == ["train"]:
            about = f"{inspect.getdoc(Train)}\n\nNo --n-bits is given: defaults shown for {_HELP_BITS} bits."
        train = Annotated[Train, tyro.conf.subcommand("train", default=default, description=about)]
    sweep_options: Any = SweepOptions
    if list(argv[:1]) == ["sweep"]:
        sweep_options = sweep_options_class()  # 14 ms that the other commands need not wait for
    commands: Any = (
        train
        | Annotated[sweep_options, tyro.conf.subcommand("sweep", description=inspect.getdoc(SweepOptions))]
        | Annotated[Eval, tyro.conf.subcommand("eval")]
        | Annotated[Play, tyro.conf.subcommand("play")]
        | Annotated[Plot, tyro.conf.subcommand("plot")]
        | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    )
    description = "Hindsight Experience Replay with Double DQN on the bit-flip game. --version prints the version."
    command: Command = tyro.cli(commands, prog="herfast", description=description, args=list(argv))
    return command


def _is_resume(argv: Sequence[str]) -> bool:
    """Whether `argv` goes on with a run. Raises ValueError for a flag that a run under way cannot take."""
    if list(argv[:1]) != ["train"] or "--resume" not in (flag.partition("=")[0] for flag in argv):
        return False
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for name in ("--resume", "--epochs", "--until", "--checkpoint-every", "--checkpoint_every"):
        parser.add_argument(name, nargs="?")
    parser.add_argument("-h", "--help", action="store_true")
    _, others = parser.parse_known_args(list(argv[1:]))
    for flag in others:
        if flag.startswith("--"):
            raise ValueError(
                f"{flag.partition('=')[0]} cannot be given with --resume: a run keeps its settings, all but --epochs, "
                "--until and --checkpoint-every"
            )
    return True


def _read_preset_and_size(argv: Sequence[str]) -> tuple[Preset, int | None, int | None]:
    """The --preset, --n-bits and --max-steps of `argv`. What is missing or wrong here is left to tyro to report."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("preset", "n-bits", "max-steps"):
        parser.add_argument(f"--{name}", f"--{name.replace('-', '_')}", nargs="?")
    values, _ = parser.parse_known_args(list(argv))
    preset: Preset = values.preset if values.preset in get_args(Preset) else "fast"
    return preset, _positive_integer(values.n_bits), _positive_integer(values.max_steps)


def _positive_integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and int(text) > 0 else None
