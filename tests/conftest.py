"""Numba's cache in a fresh folder, before anything imports Numba: tests neither use nor leave compiled code."""

import atexit
import os
import shutil
import tempfile

_folder = tempfile.mkdtemp(prefix="herfast-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["NUMBA_CACHE_DIR"] = _folder  # subprocesses inherit it
