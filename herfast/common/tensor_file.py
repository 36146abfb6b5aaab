"""Files of named arrays and JSON metadata, in the safetensors format, written atomically.

A file's header holds, beside the metadata, a digest of every tensor and one of the header itself, so a damaged file is
rejected as a whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from herfast.common.atomic_file import staging_folder, sync
from herfast.common.validation import check_file, one_line, short_repr

FORMAT_VERSION = 2
MAX_HEADER_BYTES = 2**24  # bytes; that of an agent takes some thousands
Tensors = dict[str, NDArray[Any]]


def write_tensors(path: str | os.PathLike[str], tensors: Tensors, metadata: dict[str, Any]) -> None:
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
        with staging_folder(path) as staging:
            new = staging / path.name
            new.touch()
            mode = new.stat().st_mode  # as the user's umask has it, where safetensors lets nobody else read
            save_file(tensors, new, texts)
            new.chmod(mode)
            sync(new)
            new.replace(path)
        sync(path.parent)
    except SafetensorError as error:
        raise OSError(f"cannot write {path}: {error}") from error
    except OSError as error:
        raise _with_path("write", path, error) from error


def read_tensors(path: str | os.PathLike[str]) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and metadata of a file that `write_tensors` made.

    Raises OSError where there is none or it may not be read, or ValueError; in one sentence that names the file and the
    reason. No tensor is read before the header is known to be as it was written.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with path.open("rb") as start:
            header = int.from_bytes(start.read(8), "little")
        if header > MAX_HEADER_BYTES:
            raise ValueError(f"its header should take {header:,} bytes, {MAX_HEADER_BYTES:,} are the most")
        with safe_open(path, framework="np") as file:
            texts, names = file.metadata() or {}, list(file.keys())
            if texts.get("herfast_format") != str(FORMAT_VERSION):
                version = short_repr(texts.get("herfast_format"))
                raise ValueError(f"it has herfast format {version}, this version reads format {FORMAT_VERSION}")
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
        raise _with_path("read", path, error) from error
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


def _with_path(what: str, path: Path, error: OSError) -> OSError:
    """`error` again, in a sentence that names the file."""
    described = type(error)(f"cannot {what} {path}: {error.strerror or error}")
    described.errno = error.errno
    return described
