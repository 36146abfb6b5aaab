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

from herfast.common.validation import check_file


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the path of a new empty file that replaces `path` when the block ends.

    The new file is in a folder `.<name>.<random>.tmp` beside `path`. It replaces `path` only after its
    contents are on disk. Folders left behind by killed writers are removed. A symbolic link is kept, and the
    file that it points to is replaced.

    Args:
        path: File to write, in an existing folder.

    Yields:
        Path of the new file.

    Raises:
        OSError: The file cannot be written. The message names it, and the old file is unchanged.
    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    check_file(path)
    try:
        with _staging_folder(path) as staging:
            new = staging / path.name
            new.touch()
            mode = new.stat().st_mode  # set by the user's umask; restored in case the block changes it
            yield new
            new.chmod(mode)
            _sync(new)
            os.replace(new, path)
        _sync(path.parent)
    except OSError as error:
        raise with_path("write", path, error) from error


def write_file(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically. Raises the same errors as `atomic_write`."""
    with atomic_write(path) as new:
        new.write_bytes(data)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Create `folder` if needed and hold its lock within the block.

    On a file system without locks, no lock is held.

    Raises:
        BlockingIOError: Another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(folder) as descriptor:
        if _lock(descriptor) is False:
            raise BlockingIOError(
                f"{folder} is in use by another herfast process: "
                "wait for it to finish or choose another folder"
            )
        yield


def with_path(action: str, path: Path, error: OSError) -> OSError:
    """Return a copy of `error` with the message "cannot <action> <path>: <reason>"."""
    described = type(error)(f"cannot {action} {path}: {error.strerror or error}")
    described.errno = error.errno
    return described


@contextmanager
def _staging_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` that stays locked while its writer is running."""
    for leftover in path.parent.glob(f".{escape(path.name)}.????????.tmp"):
        with suppress(OSError), _opened(leftover) as descriptor:
            if _lock(descriptor):  # otherwise its writer is running, or locks are not supported
                shutil.rmtree(leftover, ignore_errors=True)
    staging, lock = _new_folder(path)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)


def _new_folder(path: Path) -> tuple[Path, int]:
    """Return a new, locked folder beside `path`, and its open descriptor."""
    while True:
        folder = Path(mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY)
            is_locked = _lock(descriptor)
            # Another writer may have removed this folder as a leftover before it was locked.
            if is_locked is None or (is_locked and os.fstat(descriptor).st_nlink > 0):
                return folder, descriptor
            os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock an open folder.

    Returns True if it is now locked, False if another process holds the lock, None if locks are not
    supported.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Yield the descriptor of a file or folder opened for reading."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    """Wait until the contents of a file, or the names in a folder, are on disk."""
    with _opened(path) as descriptor:
        os.fsync(descriptor)
