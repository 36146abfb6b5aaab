"""Run the command `herfast` in the process of the tests, and compare its files."""

from pathlib import Path

import pytest
from support.files import read_tensors

from herfast.cli import main


def run_command(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr."""
    try:
        code = main.main(argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else -1
    return code, *capsys.readouterr()


def assert_same_state(one: Path, other: Path) -> None:
    """Assert that two agent files are equal bit for bit, except for the seconds."""
    tensors, metadata = read_tensors(one)
    others, other_metadata = read_tensors(other)
    for table in (tensors, others):
        table.pop("history.seconds", None)
    assert metadata == other_metadata
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == others[name].dtype
        assert tensor.tobytes() == others[name].tobytes(), name
