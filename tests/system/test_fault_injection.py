"""Tests of `herfast train` with a fault at every step, and of the next try."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from support import fault_injection


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory):
    """Folder with compiled kernels."""
    folder = tmp_path_factory.mktemp("cache")
    code = "from herfast import *; from herfast.experiments.trial import *; warm_up_kernels([Config()])"
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        check=True,
        timeout=600,
    )
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("fault", fault_injection.FAULTS)
def test_a_run_ends_as_if_undisturbed_after_a_fault_at_any_step(fault, filled_cache, tmp_path):
    """The second try resumes or begins the run again. No try prints a traceback."""
    every = 1
    cache = filled_cache
    if fault == "damaged cache":  # each damage is repaired by compiling
        every = 14
        cache = tmp_path / "cache"
        shutil.copytree(filled_cache, cache)
    (tmp_path / "runs").mkdir()
    result = subprocess.run(
        [sys.executable, fault_injection.__file__, fault, str(tmp_path / "runs"), str(every)],
        cwd=tmp_path,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONWARNINGS": "ignore::DeprecationWarning"},
        capture_output=True,
        text=True,
        timeout=1_200,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["steps"] > 30
    assert report["problems"] == [], report["problems"]
