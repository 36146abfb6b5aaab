"""Cache of compiled kernels on disk.

Numba's own cache raises errors, for example for a damaged file or a full disk, and runs damaged code. This
one warns instead. It uses parts of Numba that are not documented but equal in all versions since 0.61: the
attribute `_cache` of compiled functions, the attributes `_impl` and `_cache_file` of FunctionCache, and
`numba.core.serialize.dumps`.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps

from herfast.common.atomic_file import check_not_special, write_file
from herfast.common.console import print_to_stderr

# Settings of Numba that change the compiled code and are not part of Numba's keys.
_SETTINGS = ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE")
_DIGEST_SIZE = 32

_warned = False


def cache_on_disk(dispatcher: Any) -> None:
    """Cache the code of a compiled function on disk, in a folder that Numba chooses.

    Trouble with the cache, now or later, raises no error. The function is then compiled, and one
    RuntimeWarning per process names the folder and the reason.

    Args:
        dispatcher: the function, as returned by `njit` without the option `cache`.
    """
    source = dispatcher.py_func.__code__.co_filename
    folder = config.CACHE_DIR or os.path.join(os.path.dirname(source), "__pycache__")
    problem: Exception | None = None
    try:
        dispatcher._cache = KernelCache(dispatcher.py_func)  # as `Dispatcher.enable_caching` does
    except Exception as error:
        problem = error
    if problem or config.CACHE_DIR:  # instead of this folder, Numba silently chooses another one or none
        problem = _write_error(folder) or problem
    if problem:
        _warn(folder, problem)


class KernelCache(FunctionCache):
    """Cache of one function that warns where Numba's cache raises an error.

    Args:
        function: the Python function.

    Raises:
        OSError, RuntimeError: there is no writable folder, or a source file cannot be read.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFiles(Path(self.cache_path), self._impl.filename_base)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled code of a signature, or None if it has to be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:
            _warn(self.cache_path, error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save the compiled code of a signature if possible."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _warn(self.cache_path, error)


class _CheckedFiles:
    """Files of one function, in place of Numba's IndexDataCacheFile.

    Each signature has its own file, so there is no index that could be damaged. A file holds the checksum of
    the rest, the digest of the sources that were compiled, and the pickled code.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._sources = _digest()

    def load(self, key: Any) -> Any:
        """Return the object saved with this key, or None.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file is damaged.
        """
        path = self._path(key)
        try:
            check_not_special(path)
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        body = content[_DIGEST_SIZE:]
        if content[:_DIGEST_SIZE] != hashlib.sha256(body).digest():
            raise ValueError(f"{path.name} is damaged")
        if body[:_DIGEST_SIZE] != self._sources:
            return None
        return pickle.loads(body[_DIGEST_SIZE:])

    def save(self, key: Any, data: Any) -> None:
        """Save an object. It replaces the one with the same key, also of other sources."""
        path = self._path(key)
        body = self._sources + dumps(data)
        with suppress(OSError):
            if path.is_dir():
                path.rmdir()  # possible if it is empty
            elif not path.is_file():  # a FIFO, or a symbolic link to itself
                path.unlink()
        write_file(path, hashlib.sha256(body).digest() + body)

    def flush(self) -> None:
        """Remove all files of the function."""
        for path in self._folder.glob(f"{self._name}.*.nbc"):
            path.unlink(missing_ok=True)

    def _path(self, key: Any) -> Path:
        """Return the file of a key. Code for other settings of Numba has another file."""
        settings = [getattr(config, name) for name in _SETTINGS]
        digest = hashlib.sha256(repr((key, settings)).encode()).hexdigest()
        return self._folder / f"{self._name}.{digest[:16]}.nbc"


@cache
def _digest() -> bytes:
    """Return a digest of Numba's version and of all files with compiled code.

    Numba's keys do not include the functions that are linked into a cached one.
    """
    folder = Path(__file__).parent
    paths = [*sorted(folder.glob("*.py")), folder.parents[1] / "common" / "batches.py"]
    sources = b"".join(path.read_bytes() for path in paths)
    return hashlib.sha256(numba.__version__.encode() + sources).digest()


def _write_error(folder: str) -> OSError | None:
    """Return the error of creating a file in `folder`, or None if that is possible."""
    try:
        if not os.path.exists(folder):
            os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error
    return None


def _warn(folder: str, error: Exception) -> None:
    """Warn once per process that the cache in `folder` cannot be used."""
    global _warned
    if _warned:
        return
    _warned = True
    reason: object = error
    if isinstance(error, OSError) and error.errno:
        reason = os.strerror(error.errno)
    message = (
        f"cannot use the cache of compiled kernels in {folder}: {reason} (NUMBA_CACHE_DIR sets the folder)"
    )
    try:
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    except (RuntimeWarning, ValueError):  # warnings are errors here, or stderr is closed
        print_to_stderr(f"herfast: warning: {message}")
