"""Options of `herfast sweep`.

Each field of Config is an option that takes several values.
"""

from __future__ import annotations

import ast
import inspect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_type_hints

from herfast.cli.integers import parse_integer
from herfast.config import Config
from herfast.presets import Preset


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Train every combination of the given values, each as a trial of its own.

    An option of the algorithm takes one or more values. Without it, a trial uses the value of its preset.
    results.csv in the sweep's folder has a row for each trial and epoch. After an interruption, run the same
    command to continue.
    """

    function: ClassVar[str] = "sweep"  # in herfast.cli.commands

    n_bits: tuple[int, ...]
    """Bits of the state and of the goal."""
    max_steps: int | None = None
    """Steps after which an episode is truncated. None: n_bits."""
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


def sweep_options_class() -> type[SweepOptions]:
    """Return a subclass of SweepOptions with the fields of Config, for tyro to parse."""
    import tyro

    types = get_type_hints(Config)
    help_texts = _docstrings()
    types["hidden"] = str  # tyro has no lists of lists
    help_texts["hidden"] += " Separate the widths of one network by commas: 64,32."
    hint = "(default: the preset's)"
    options: list[Any] = []
    for name, type_ in types.items():
        argument = tyro.conf.arg(help=help_texts[name], help_behavior_hint=hint)
        values: Any = Annotated[tuple[type_, ...], argument]  # type: ignore[valid-type]
        options.append((name, values, field(default=())))
    return make_dataclass("SweepOptions", options, bases=(SweepOptions,), frozen=True, kw_only=True)


def check_repeated(argv: Sequence[str]) -> None:
    """Raise ValueError if an option is given twice: only its last values would count."""
    names = [arg.partition("=")[0].replace("_", "-") for arg in argv if arg.startswith("--")]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given {names.count(name)} times: give it once, with all its values")


def _docstrings() -> dict[str, str]:
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


def parse_widths(text: str) -> tuple[int, ...]:
    """Parse the value of --hidden, such as 64,32.

    Args:
        text: widths of hidden layers, separated by commas.

    Returns:
        The widths.

    Raises:
        ValueError: `text` has another format. The range of the widths is not validated.
    """
    try:
        return tuple(parse_integer(width) for width in text.split(","))
    except ValueError:
        raise ValueError(f"hidden must be widths separated by commas, such as 64,32, got {text!r}") from None
