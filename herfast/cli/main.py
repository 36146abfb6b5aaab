"""Command-line interface: entry point and exit codes.

The options are in `herfast.cli.options`, their parsing in `herfast.cli.parsing`, and the commands in
`herfast.cli.commands`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from herfast.cli.errors import UserError
from herfast.cli.signals import exit_code
from herfast.common.console import drop_unwritten, print_to_stderr, usable_output
from herfast.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `herfast`.

    Args:
        argv: the command line without the program's name. None: sys.argv[1:].

    Returns:
        Exit code 0 for success, 1 if training diverged, 2 for an error of the user, which is printed as one
        line on stderr. After Ctrl-C it is 130, after SIGTERM 143, after SIGHUP 129.

    Raises:
        SystemExit: after --help, with code 0, and for options that cannot be parsed, with code 2.
    """
    try:
        if argv is None:
            argv = sys.argv[1:]
        with usable_output():
            return _run_and_flush(argv)
    except KeyboardInterrupt as interrupt:
        return exit_code(interrupt)


def _run_and_flush(argv: Sequence[str]) -> int:
    """Run the command and flush stdout. A closed output is not an error."""
    code = 0
    try:
        try:
            code = _run(argv)
        finally:
            sys.stdout.flush()  # at the exit of the process an error could not be caught
    except BrokenPipeError:  # the reader has stopped, as in `herfast play runs/fifty | head`
        drop_unwritten()
    except OSError as error:
        if error.filename is not None:  # a bug, not an error of stdout
            raise
        drop_unwritten()
        code = _print_error(f"cannot write the output: {error.strerror or error}")
    return code


def _run(argv: Sequence[str]) -> int:
    """Parse the command line, run the command and return the exit code."""
    if list(argv[:1]) == ["--version"]:
        print(f"herfast {__version__}")
        return 0
    if "" not in sys.path:
        sys.path.append("")  # the current folder, for the module of a task; last, so that it hides nothing
    try:
        from herfast.cli import parsing  # imported here, so that Ctrl-C while tyro is imported is caught

        command = parsing.parse(argv)
        from herfast.cli import commands  # needs the compiled core, which --help does not
    except (TypeError, ValueError, ImportError) as error:  # also from Config, which validates its fields
        return _print_error(error)
    try:
        function: Callable[..., int] = getattr(commands, command.function)
        return function(**vars(command))
    except UserError as reason:
        return _print_error(reason)


def _print_error(reason: Exception | str) -> int:
    """Print the error on stderr and return the exit code 2."""
    print_to_stderr(f"herfast: error: {reason}")
    return 2
