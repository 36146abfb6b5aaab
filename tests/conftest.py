"""A new folder for the cache of Numba.

Tests then neither use nor leave compiled code. The variable must be set before Numba is imported.
"""

import atexit
import os
import shutil
import tempfile

_folder = tempfile.mkdtemp(prefix="herfast-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["NUMBA_CACHE_DIR"] = _folder  # subprocesses inherit it
