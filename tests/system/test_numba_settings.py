"""NUMBA_DISABLE_JIT, a setting with which no kernel can run."""

import pytest
from support.processes import run_python

MESSAGE = "herfast needs compiled kernels: unset NUMBA_DISABLE_JIT"


@pytest.mark.parametrize("name", ["Agent", "QNetwork"])
def test_without_compilation_the_import_names_the_setting(tmp_path, name):
    code = f"""
import herfast
for _ in range(2):
    try:
        herfast.{name}
    except ImportError as error:
        print(error)
herfast.BitFlip(8), herfast.Config()
"""
    assert run_python(code, tmp_path, NUMBA_DISABLE_JIT="1").stdout == 2 * f"{MESSAGE}\n"


def test_commands_without_compilation_print_one_line(tmp_path):
    code = """
from herfast.cli.main import main
commands = ["--version", "train --n-bits 8", "eval run", "play run", "doctor run"]
commands += ["sweep --n-bits 8 --out one --jobs 1", "sweep --n-bits 8 --out two --jobs 2"]
print([main(command.split()) for command in commands])
main(["--help"])
"""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "agent.safetensors").touch()
    result = run_python(code, tmp_path, NUMBA_DISABLE_JIT="1")
    assert "[0, 2, 2, 2, 2, 2, 2]\n" in result.stdout
    assert "usage: herfast" in result.stdout
    assert result.stderr == 6 * f"herfast: error: {MESSAGE}\n"
    assert not (tmp_path / "runs").exists()
