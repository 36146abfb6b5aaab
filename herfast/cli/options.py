"""Options of the commands.

Each command is a dataclass whose fields are its options, with their docstrings as help. The fields of Config
are options of `herfast train`, and options with several values of `herfast sweep`.
"""

from __future__ import annotations

import ast
import inspect
import itertools
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_type_hints

import tyro

from herfast.config import CHECKPOINT_EVERY, Config
from herfast.presets import Preset

_ONE_IS_REQUIRED = tyro.conf.arg(help_behavior_hint="(--n-bits or --env is required)")
_PAIRS = tyro.conf.arg(metavar="KEY=VALUE [KEY=VALUE ...]", help_behavior_hint="")


@dataclass(frozen=True)
class Train:
    """Train an agent on an environment and write the run to a folder.

    The defaults are those of --preset for the environment. Ctrl-C, SIGTERM and SIGHUP stop a run and save it.
    `herfast resume FOLDER` continues a run that was stopped or killed.
    """

    function: ClassVar[str] = "train"  # in herfast.cli.commands

    n_bits: Annotated[int | None, _ONE_IS_REQUIRED] = None
    """Bits of the state and of the goal of the bit-flip environment.
    Short for --env BitFlip --env-kwargs n_bits=...
    """
    max_steps: int | None = None
    """Steps after which an episode is truncated, only with --n-bits. None: n_bits."""
    env: Annotated[str | None, _ONE_IS_REQUIRED] = None
    """Environment: BitFlip, GridWorld, LightsOut, or a Gymnasium goal environment.
    module:Class or module:id is for your own.
    The module is in the current folder, or installed.
    """
    env_kwargs: Annotated[tuple[str, ...], _PAIRS] = ()
    """Arguments of --env, such as width=5 height=5.
    A value is JSON, True, False or None, or else text.
    A number for an argument annotated as str is text, and so is one in quotes: goal='"1010"'.
    """
    preset: Preset = "fast"
    """Preset that supplies the defaults of the settings below."""
    seed: int = 0
    """Seed of all random streams."""
    out: Path | None = None
    """Folder of the run. None: runs/<environment>-<preset>-seed<seed>,
    with bitflip-<n-bits> as the environment for --n-bits.
    """
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


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Train every combination of the given values, each as a trial of its own.

    An option of the algorithm takes one or more values. Without it, a trial uses the value of its preset.
    results.csv in the sweep's folder has a row for each trial and epoch. After an interruption, run the same
    command to continue.
    """

    function: ClassVar[str] = "sweep"  # in herfast.cli.commands

    n_bits: Annotated[tuple[int, ...], _ONE_IS_REQUIRED] = ()
    """Bits of the state and of the goal of the bit-flip environment.
    One or more numbers.
    """
    max_steps: int | None = None
    """Steps after which an episode is truncated, only with --n-bits. None: n_bits."""
    env: Annotated[str | None, _ONE_IS_REQUIRED] = None
    """Environment, as in `herfast train`."""
    env_kwargs: Annotated[tuple[str, ...], _PAIRS] = ()
    """Arguments of --env, as in `herfast train`."""
    preset: tuple[Preset, ...] = ("fast",)
    """Preset or presets that supply the defaults of the settings below."""
    seeds: int = 1
    """Number of random seeds: 0, 1, ..."""
    out: Path
    """Folder of the sweep."""
    jobs: int | None = None
    """Trials trained at the same time on this machine.
    None: the number of cores, or fewer if memory is short.
    """
    scheduler: str | None = None
    """Address of a Dask scheduler, such as tcp://host:8786.
    Its workers train the trials. None: this machine does.
    """


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
    """Never take an action that leads to a state already visited in the episode.
    This prevents loops.
    The result is then not that of the plain greedy policy.
    """


@dataclass(frozen=True)
class Play:
    """Print episodes of a trained agent. A ^ marks each bit that a step changes."""

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


def sweep_options_class() -> type[SweepOptions]:
    """Return a subclass of SweepOptions with the fields of Config, for tyro to parse."""
    types = get_type_hints(Config)
    help_texts = field_docstrings()
    types["hidden"] = str  # tyro has no lists of lists
    help_texts["hidden"] += " Separate the widths of one network by commas: 64,32."
    hint = "(default: the preset's)"
    options: list[Any] = []
    for name, type_ in types.items():
        argument = tyro.conf.arg(help=help_texts[name], help_behavior_hint=hint)
        values: Any = Annotated[tuple[type_, ...], argument]  # type: ignore[valid-type]
        options.append((name, values, field(default=())))
    return make_dataclass("SweepOptions", options, bases=(SweepOptions,), frozen=True, kw_only=True)


def field_docstrings() -> dict[str, str]:
    """Return the docstring of each field of Config, in one line, by field name."""
    (definition,) = ast.parse(inspect.getsource(Config)).body
    assert isinstance(definition, ast.ClassDef)
    docstrings = {}
    for above, below in itertools.pairwise(definition.body):
        if not (isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name)):
            continue
        if not (isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)):
            continue
        if isinstance(below.value.value, str):
            docstrings[above.target.id] = " ".join(below.value.value.split())
    return docstrings
