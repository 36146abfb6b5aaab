"""Options of `herfast sweep`: each field of Config is a flag that takes several values."""

from __future__ import annotations

import ast
import inspect
import itertools
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from herfast.config import Config
from herfast.presets import Preset


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Learn every combination of the values given, side by side, into one folder.

    A flag of the algorithm takes one or more values; without it a cell has its preset's. results.csv holds a row for
    each cell and epoch. Interrupted or killed, the same command goes on with what is missing.
    """

    n_bits: tuple[int, ...]
    """Bits of the state and of the goal."""
    max_steps: int | None = None
    """Steps after which an episode is truncated; None: n_bits."""
    preset: tuple[Preset, ...] = ("fast",)
    """Where the defaults of all settings below come from."""
    seeds: int = 1
    """How many seeds of everything random: 0, 1, ..."""
    out: Path
    """The folder of the sweep."""
    jobs: int | None = None
    """Cells at a time; None: as many as there are cores."""
    scheduler: str | None = None
    """Address of a Dask scheduler, tcp://host:8786, whose workers learn the cells instead of this machine."""


def sweep_options_class() -> type[SweepOptions]:
    """Grid with the fields of Config, which tyro makes a command line of."""
    import tyro

    kinds, help_ = get_type_hints(Config), _docstrings()
    kinds["hidden"] = str  # since tyro knows no lists of lists
    help_["hidden"] += " Commas stand between widths: 64,32."
    flags: list[Any] = []
    hint = "(default: the preset's)"
    for name, kind in kinds.items():
        values: Any = Annotated[tuple[kind, ...], tyro.conf.arg(help=help_[name], help_behavior_hint=hint)]  # type: ignore[valid-type]
        flags.append((name, values, field(default=())))
    return make_dataclass("Grid", flags, bases=(SweepOptions,), frozen=True, kw_only=True)


def _docstrings() -> dict[str, str]:
    """The docstring below each field of Config."""
    (definition,) = ast.parse(inspect.getsource(Config)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        above.target.id: " ".join(below.value.value.split())
        for above, below in itertools.pairwise(definition.body)
        if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def parse_widths(text: str) -> tuple[int, ...]:
    """The `hidden` that is meant by 64,32. Raises ValueError."""
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise ValueError(f"hidden must be widths with commas between them, such as 64,32, got {text!r}") from None
