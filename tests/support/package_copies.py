"""Processes that use a copy of the package."""

import shutil
from pathlib import Path

from support.processes import run_python

import herfast
from herfast.networks.compiled import entry_points

NOTICE = f"{entry_points.NOTICE}\n"
ACT = """
import numpy as np
import herfast
from herfast import Config, QNetwork
states = np.arange(64, dtype=np.uint64)[:, None]
network = QNetwork(6, config=Config(hidden=(64, 64)), seed=0)
print(herfast.__file__, network.act(states, states[::-1]).tolist())
"""


def copy_package(folder):
    """Copy the package to `folder`, without compiled kernels."""
    ignored = shutil.ignore_patterns("__pycache__", "_core*.c", "*.pyx")
    shutil.copytree(Path(herfast.__file__).parent, folder / "herfast", ignore=ignored)


def run_copy(folder, code=ACT, **environment):
    """Run code in a process that imports the copy in `folder`.

    The folder of the user is `user` there. NUMBA_CACHE_DIR is not set unless it is in `environment`.
    """
    default = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": ""}
    default["XDG_CACHE_HOME"] = str(folder / "user")
    result = run_python(code, folder, **{**default, **environment})
    assert result.stdout.startswith(str(folder / "herfast"))
    return result


def warning_of(result):
    """Return the folder and the reason in the only warning of a process."""
    (line,) = (line for line in result.stderr.splitlines() if "Warning: " in line)
    return line.split("RuntimeWarning: cannot use the cache of compiled kernels in ")[1]


def saved_kernels(folder):
    """Return the files of the cache below a folder, with times of modification."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.o")}
