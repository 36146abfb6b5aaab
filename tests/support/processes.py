"""Python in a process of its own."""

import os
import subprocess
import sys


def run_python(code, folder, **environment):
    """A process of its own that runs `code` in `folder`, from where no source folder can be imported."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result
