"""Cache of compiled kernels on disk.

A file holds the machine code of one entry point for arguments of certain types, on a certain processor.
Trouble with the cache raises no error. The kernel is then compiled, and one RuntimeWarning per process names
the folder and the reason.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

import llvmlite
import numpy as np

from herfast.common.atomic_file import check_not_special, write_file
from herfast.common.console import print_to_stderr
from herfast.networks.compiled.native_code import processor

T = TypeVar("T")

_DIGEST_SIZE = 32
# A folder or file that cannot be used, damage, and versions that are unknown.
_PROBLEMS = (OSError, ValueError, ImportError)

_warned = False


def load(name: str, signature: str, loaded: Callable[[bytes], T]) -> T | None:
    """Return the saved code of an entry point, or None if it has to be compiled.

    Args:
        name: the name of the entry point.
        signature: the types of its arguments.
        loaded: what the code is passed to. The result is returned. A ValueError means that it is damaged.
    """
    return _first_result(name, signature, lambda path: _read(path, loaded))


def save(name: str, signature: str, code: bytes) -> None:
    """Save the code of an entry point in the first folder where this is possible."""
    _first_result(name, signature, lambda path: _write(path, code))


def _first_result(name: str, signature: str, use: Callable[[Path], T | None]) -> T | None:
    """Call `use` with the file in each folder, until it returns a result.

    Warns of a folder with trouble if there is no result, or if the user has chosen the folder.
    """
    result = None
    problems = []
    for folder in _folders():
        try:
            result = use(folder / _file_name(name, signature))
        except _PROBLEMS as error:
            problems.append((folder, error))
        if result is not None:
            break
    if problems and (result is None or _chosen_folder() is not None):
        warn(*problems[0])
    return result


def _folders() -> list[Path]:
    """Return the folders to use, the first one that can be used.

    They are the chosen one, the package's and the user's. If the chosen one can be written to, the others are
    not used.
    """
    folders = [Path(__file__).parent / "__pycache__"]
    with suppress(RuntimeError):  # a user without a folder
        caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folders.append(Path(caches).expanduser() / "herfast")
    chosen = _chosen_folder()
    if chosen is None:
        return folders
    with suppress(OSError):
        chosen.mkdir(parents=True, exist_ok=True)
    if os.access(chosen, os.W_OK | os.X_OK):
        return [chosen]
    return [chosen, *folders]


def _chosen_folder() -> Path | None:
    """Return the folder that NUMBA_CACHE_DIR chooses, or None."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if not chosen:
        return None
    return Path(chosen, "herfast")


def _read(path: Path, loaded: Callable[[bytes], T]) -> T | None:
    """Return the loaded code of a file, or None if it is missing or of other sources.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is damaged.
    """
    digest = _digest()  # before the sources can change
    check_not_special(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    body = content[_DIGEST_SIZE:]
    if content[:_DIGEST_SIZE] != hashlib.sha256(body).digest():
        raise ValueError(f"{path.name} is damaged")
    if body[:_DIGEST_SIZE] != digest:
        return None
    return loaded(body[_DIGEST_SIZE:])


def _write(path: Path, code: bytes) -> bool:
    """Write code to a file and return True.

    The file replaces anything but a folder with files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        if path.is_dir():
            path.rmdir()  # possible if it is empty
        elif not path.is_file():  # a FIFO, or a symbolic link to itself
            path.unlink()
    body = _digest() + code
    write_file(path, hashlib.sha256(body).digest() + body)
    return True


def _file_name(name: str, signature: str) -> str:
    """Return the name of a file.

    Code for another processor, Python or installation of this package, or for debugging Numba, has another.
    """
    python = (sys.implementation.cache_tag, object.__basicsize__)
    debugging = sorted(setting for setting in os.environ.items() if setting[0].startswith("NUMBA_DEBUG"))
    key = repr((signature, processor(), python, debugging, __file__))
    return f"{name}.{hashlib.sha256(key.encode()).hexdigest()[:16]}.o"


@cache
def _digest() -> bytes:
    """Return a digest of what determines the code: sources and versions of compilers."""
    networks = Path(__file__).parents[1]
    paths = [*sorted(networks.glob("kernels/*.py")), *sorted(networks.glob("compiled/*.py"))]
    paths += [networks / "arrays.py", networks.parent / "common" / "batches.py"]
    versions = f"{importlib.metadata.version('numba')} {llvmlite.__version__} {np.__version__}"
    return hashlib.sha256(versions.encode() + b"".join(path.read_bytes() for path in paths)).digest()


def warn(folder: Path, error: Exception) -> None:
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
