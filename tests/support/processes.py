"""Run Python code in a new process."""

import os
import subprocess
import sys


def run_python(code, folder, **environment):
    """Run `code` in a new process and return its result.

    The process runs in `folder`, so that it cannot import herfast from the working folder.
    """
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
