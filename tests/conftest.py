"""Environment variables of the tests and of the processes that they start.

They must be set before Numba and NumPy are imported.
"""

import atexit
import os
import shutil
import tempfile

# A new folder for the cache of Numba: tests neither use nor leave compiled code.
_folder = tempfile.mkdtemp(prefix="herfast-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["NUMBA_CACHE_DIR"] = _folder

# The references multiply small matrices, which takes several times as long with more threads.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
