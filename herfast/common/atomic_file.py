"""Atomic file replacement and folder locks."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import mkdtemp

_MAX_NAME = 255  # bytes; the limit of almost all file systems


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the path of a new empty file that replaces `path` when the block ends.

    The new file is in a folder `.<name>.<random>.tmp` beside `path`. It replaces `path` only after its
    contents are on disk. Folders left behind by killed writers are removed. A symbolic link is kept, and the
    file that it points to is replaced.

    A replaced file keeps its mode and extended attributes, and its owner and group if the user may set them.
    A read-only file is replaced, too, since only its folder changes.

    Args:
        path: File to write, in an existing folder.

    Yields:
        Path of the new file.

    Raises:
        OSError: The file cannot be written, or `path` exists and is not a regular file. The message names it,
            and nothing is changed.
    """
    path = check_file(path)
    try:
        with _staging_folder(path) as staging:
            new = staging / path.name
            new.touch()
            mode = new.stat().st_mode  # set by the user's umask; restored in case the block changes it
            yield new
            with new.open("rb") as file:  # opened first, since the mode may forbid it
                with suppress(OSError):  # the file system has no modes
                    new.chmod(mode)
                if path.exists():
                    _copy_attributes(path, new)
                os.fsync(file.fileno())
            os.replace(new, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise with_path("write", path, error) from error


def check_file(path: Path) -> Path:
    """Return `path`, or the target of a symbolic link, if it can be a regular file.

    Raises:
        FileNotFoundError: Its folder does not exist.
        IsADirectoryError: It is a folder.
        OSError: It is a device, a FIFO or a socket, or it cannot be examined.
    """
    try:
        if path.is_symlink():
            path = Path(os.path.realpath(path))
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}") from None
        return path
    except OSError as error:
        raise with_path("write", path, error) from error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(f"cannot write {path}: it is not a regular file")
    return path


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
        OSError: The folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise with_path("create", folder, error) from error
    with _opened_folder(folder) as descriptor:
        if _lock(descriptor) is False:
            raise BlockingIOError(
                f"{folder} is in use by another herfast process: "
                "wait for it to finish or choose another folder"
            )
        with _unlocked_at_end(descriptor):
            yield


def check_not_special(path: Path) -> None:
    """Raise OSError if `path` is a device, a FIFO or a socket.

    Opening one may wait forever.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(f"cannot read {path}: it is not a regular file")


def with_path(action: str, path: Path, error: OSError) -> OSError:
    """Return a copy of `error` with the message "cannot <action> <path>: <reason>"."""
    described = type(error)(f"cannot {action} {path}: {error.strerror or error}")
    described.errno = error.errno
    return described


def _copy_attributes(old: Path, new: Path) -> None:
    """Copy the mode and, where possible, the owner and the extended attributes."""
    status = old.stat()
    for user, group in ((-1, status.st_gid), (status.st_uid, -1)):
        with suppress(OSError):  # only root may give a file away
            os.chown(new, user, group)
    if sys.platform == "linux":  # they include access control lists
        names: list[str] = []
        with suppress(OSError):
            names = os.listxattr(old)
        for name in names:
            with suppress(OSError):
                os.setxattr(new, name, os.getxattr(old, name))
    with suppress(OSError):
        new.chmod(stat.S_IMODE(status.st_mode))


@contextmanager
def _staging_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` that stays locked while its writer is running."""
    prefix = _staging_prefix(path.name)
    for leftover in path.parent.glob(f"{escape(prefix)}????????.tmp"):
        with suppress(OSError), _opened_folder(leftover) as descriptor:
            if _lock(descriptor):  # otherwise its writer is running, or locks are not supported
                shutil.rmtree(leftover, ignore_errors=True)
    staging, lock = _new_folder(path.parent, prefix)
    try:
        with _unlocked_at_end(lock):
            yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)


def _staging_prefix(name: str) -> str:
    """Return how the name of a file's staging folder starts.

    It is the name of the file between two dots. A name that is too long is cut, and other such files may
    share the result. That is harmless, since the folder of a running writer is never removed.
    """
    longest = _MAX_NAME - len("..12345678.tmp")
    encoded = os.fsencode(name)
    if len(encoded) > longest:
        name = encoded[:longest].decode(errors="ignore")  # without a part of a character
    return f".{name}."


def _new_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    """Return a new, locked folder in `parent`, and its open descriptor."""
    while True:
        folder = Path(mkdtemp(prefix=prefix, suffix=".tmp", dir=parent))
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
def _unlocked_at_end(descriptor: int) -> Iterator[None]:
    """Release a lock at the end of the block, also if a forked process shares it.

    Such a process, which has the descriptor as well, does not release it.
    """
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == process:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    """Yield the descriptor of an open folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # opening a FIFO would wait for a writer
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    with _opened_folder(folder) as descriptor:
        os.fsync(descriptor)
