"""Run Python code in a new process."""

import os
import subprocess
import sys

# Code at the start of a process that takes root's right to ignore permissions of files from it.
OBEY_PERMISSIONS = """
import ctypes, os
if os.geteuid() == 0:
    this_process = (ctypes.c_uint32 * 2)(0x20080522, 0)  # and the version of the structure
    no_capabilities = (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(this_process, no_capabilities) == 0
"""


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
