"""Command-line interface: entry point and exit codes. The options are in `options`, the commands in `commands`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from herfast.cli.errors import UserError
from herfast.cli.sweep_options import SweepOptions
from herfast.common.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out the command line `argv` (default: sys.argv[1:]) and return the exit code.

    0 done, 1 learning diverged, 2 refused in one sentence on stderr, 130 interrupted, 143 terminated. --help and a flag
    that cannot be parsed raise SystemExit, as argparse does.
    """
    try:
        return _run_and_flush(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return 130


def _run_and_flush(argv: Sequence[str]) -> int:
    """As `main`, with all that was printed written out."""
    code = 0
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this process
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
    try:
        try:
            code = _run(argv)
        finally:
            sys.stdout.flush()  # here a broken pipe can still be caught
    except BrokenPipeError:  # nobody reads on, as in `herfast play runs/fifty | head`, and that is no fault
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run(argv: Sequence[str]) -> int:
    if list(argv[:1]) == ["--version"]:
        print(f"herfast {__version__}")
        return 0
    try:
        from herfast.cli import options  # here, so that a Ctrl-C while tyro is imported is caught

        command = options.parse(argv)
        from herfast.cli import commands  # needs the compiled core, which --help does not
    except (TypeError, ValueError, ImportError) as error:  # Config checks its fields when tyro makes it
        return _print_error(error)
    functions: dict[type, Callable[..., int]] = {
        SweepOptions: commands.sweep,
        options.Train: commands.train,
        options.Resume: commands.resume,
        options.Eval: commands.evaluate,
        options.Play: commands.play,
        options.Plot: commands.plot,
        options.Doctor: commands.doctor,
    }
    try:
        return next(functions[kind] for kind in functions if isinstance(command, kind))(**vars(command))
    except UserError as reason:
        return _print_error(reason)


def _print_error(reason: Exception) -> int:
    print(f"herfast: error: {reason}", file=sys.stderr)
    return 2
