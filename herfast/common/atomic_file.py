"""Atomic file replacement and folder locks."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import mkdtemp


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and keep it until the context ends. Raises BlockingIOError if another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(folder, descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(
            f"another herfast writes into {folder}: wait for its end, or choose another --out"
        ) from None
    except OSError:  # a file system without locks
        pass


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is never there in part, in a folder that is claimed."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


@contextmanager
def staging_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, locked for as long as its writer lives."""
    for leftover in path.parent.glob(f".{escape(path.name)}.????????.tmp"):
        with suppress(OSError), open_folder(leftover) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its writer lives
            shutil.rmtree(leftover, ignore_errors=True)
    while True:
        staging = Path(mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        with suppress(FileNotFoundError), open_folder(staging) as descriptor:
            if _try_lock(descriptor):
                try:
                    yield staging
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
                return


def _try_lock(descriptor: int) -> bool:
    """Lock a new folder; False if another writer, in that moment, took it for a leftover."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, where no leftover is removed either
        return True
    return os.fstat(descriptor).st_nlink > 0


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Wait until a file's contents, or a folder's names, are on the disk."""
    with open_folder(path) as descriptor:
        os.fsync(descriptor)
