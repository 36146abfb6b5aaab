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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

FORMAT_VERSION = 2
MOST_HEADER = 2**24  # bytes; that of an agent takes some thousands

Tensors = dict[str, NDArray[Any]]


def write(path: str | os.PathLike[str], tensors: Tensors, metadata: dict[str, Any]) -> None:
    """Write `tensors` and `metadata` (values that JSON knows) to `path`, replacing it only once all is on the disk.

    It is written in a folder `.<name>.tmp` beside it; what a killed writer left there is removed. Raises OSError where
    that cannot be done; the old file stays as it was.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    tensors = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    texts |= {"herfast_format": str(FORMAT_VERSION), "herfast_tensors": json.dumps(_digests(tensors))}
    texts["herfast_header"] = _header_digest(texts, {name: array.shape for name, array in tensors.items()})
    staging = path.with_name(f".{path.name}.tmp")
    try:
        with _only_writer(path.parent) as folder:
            try:
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir()
                new = staging / path.name
                new.touch()
                mode = new.stat().st_mode  # as the user's umask has it, where safetensors lets nobody else read
                save_file(tensors, new, texts)
                new.chmod(mode)
                _sync(new)
                new.replace(path)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
            os.fsync(folder)
    except SafetensorError as error:
        raise OSError(f"cannot write {path}: {error}") from error
    except OSError as error:
        raise type(error)(f"cannot write {path}: {error.strerror or error}") from error


def read(path: str | os.PathLike[str]) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and metadata of a file that `write` made.

    Raises FileNotFoundError, or ValueError in one sentence that names the file and the reason. No tensor is read before
    the header is known to be as it was written.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    try:
        if header > MOST_HEADER:
            raise ValueError(f"its header should take {header:,} bytes, {MOST_HEADER:,} are the most")
        with safe_open(path, framework="np") as file:
            texts, names = file.metadata() or {}, list(file.keys())
            if texts.get("herfast_format") != str(FORMAT_VERSION):
                found = texts.get("herfast_format", "none")
                raise ValueError(f"it has herfast format {found}, this version reads format {FORMAT_VERSION}")
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            if texts.pop("herfast_header", None) != _header_digest(texts, shapes):
                raise ValueError("its header was damaged")
            tensors = {name: file.get_tensor(name) for name in names}
        digests, _ = json.loads(texts.pop("herfast_tensors")), texts.pop("herfast_format")
        damaged = [name for name, digest in _digests(tensors).items() if digest != digests[name]]
        if damaged:
            raise ValueError(f"{damaged[0]} was damaged")
        return tensors, {key: json.loads(text) for key, text in texts.items()}
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable herfast file: {error}") from error


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
def _only_writer(folder: Path) -> Iterator[int]:
    """The folder's descriptor, while no other thread or process writes there; a killed one's lock is gone with it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a fork may have a copy of the descriptor
        os.close(descriptor)


def _sync(path: Path) -> None:
    """Wait until a file's contents are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
