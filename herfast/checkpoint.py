"""Files of named arrays and JSON: safetensors, written so that a reader sees the old one or the new, never a half.

A file's header holds, beside the metadata, a digest of every tensor and one of the header itself: what was damaged is
refused and not half believed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from herfast.checks import check_file, one_line, shown

FORMAT_VERSION = 2
MOST_HEADER = 2**24  # bytes; that of an agent takes some thousands

Tensors = dict[str, NDArray[Any]]


def write(path: str | os.PathLike[str], tensors: Tensors, metadata: dict[str, Any]) -> None:
    """Write `tensors` and `metadata` (values that JSON knows) to `path`, replacing it only once all is on the disk.

    It is written in a folder `.<name>.<random>.tmp` beside it; those of writers that were killed are removed. Raises
    OSError where that cannot be done; the old file stays as it was.
    """
    path = Path(path)
    if path.is_symlink():
        path = Path(os.path.realpath(path))  # what a link points to is written, and the link stays
    check_file(path)
    tensors = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    texts |= {"herfast_format": str(FORMAT_VERSION), "herfast_tensors": json.dumps(_digests(tensors))}
    texts["herfast_header"] = _header_digest(texts, {name: array.shape for name, array in tensors.items()})
    try:
        with _staging(path) as staging:
            new = staging / path.name
            new.touch()
            mode = new.stat().st_mode  # as the user's umask has it, where safetensors lets nobody else read
            save_file(tensors, new, texts)
            new.chmod(mode)
            _sync(new)
            new.replace(path)
        _sync(path.parent)
    except SafetensorError as error:
        raise OSError(f"cannot write {path}: {error}") from error
    except OSError as error:
        raise _sentence("write", path, error) from error


def read(path: str | os.PathLike[str]) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and metadata of a file that `write` made.

    Raises OSError where there is none or it may not be read, or ValueError; in one sentence that names the file and the
    reason. No tensor is read before the header is known to be as it was written.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with path.open("rb") as start:
            header = int.from_bytes(start.read(8), "little")
        if header > MOST_HEADER:
            raise ValueError(f"its header should take {header:,} bytes, {MOST_HEADER:,} are the most")
        with safe_open(path, framework="np") as file:
            texts, names = file.metadata() or {}, list(file.keys())
            if texts.get("herfast_format") != str(FORMAT_VERSION):
                found = texts.get("herfast_format")
                raise ValueError(f"it has herfast format {shown(found)}, this version reads format {FORMAT_VERSION}")
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            if texts.pop("herfast_header", None) != _header_digest(texts, shapes):
                raise ValueError("its header was damaged")
            tensors = {name: file.get_tensor(name) for name in names}
        digests, _ = json.loads(texts.pop("herfast_tensors")), texts.pop("herfast_format")
        damaged = [name for name, digest in _digests(tensors).items() if digest != digests[name]]
        if damaged:
            raise ValueError(f"{damaged[0]} was damaged")
        return tensors, {key: json.loads(text) for key, text in texts.items()}
    except OSError as error:
        raise _sentence("read", path, error) from error
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable herfast file: {one_line(str(error))}") from error


def _digests(tensors: Tensors) -> dict[str, str]:
    """Of each tensor's dtype and bytes."""
    digests = {name: hashlib.blake2b(array.dtype.str.encode(), digest_size=16) for name, array in tensors.items()}
    for name, digest in digests.items():
        digest.update(tensors[name].reshape(-1).view(np.uint8).data)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _header_digest(texts: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> str:
    """Of all other metadata, and of the names and shapes of the tensors."""
    header = json.dumps([texts, shapes], sort_keys=True)
    return hashlib.blake2b(header.encode(), digest_size=16).hexdigest()


@contextmanager
def _staging(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, locked for as long as its writer lives."""
    for leftover in path.parent.glob(f".{escape(path.name)}.????????.tmp"):
        with suppress(OSError), _opened(leftover) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its writer lives
            shutil.rmtree(leftover, ignore_errors=True)
    while True:
        staging = Path(mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        with suppress(FileNotFoundError), _opened(staging) as descriptor:
            if _is_ours(descriptor):
                try:
                    yield staging
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
                return


def _is_ours(descriptor: int) -> bool:
    """Lock a new folder; False if another writer, in that moment, took it for a leftover."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, where no leftover is removed either
        return True
    return os.fstat(descriptor).st_nlink > 0


def _sentence(what: str, path: Path, error: OSError) -> OSError:
    """`error` again, in a sentence that names the file."""
    again = type(error)(f"cannot {what} {path}: {error.strerror or error}")
    again.errno = error.errno
    return again


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    """Wait until a file's contents, or a folder's names, are on the disk."""
    with _opened(path) as descriptor:
        os.fsync(descriptor)
