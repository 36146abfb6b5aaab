"""Files of named arrays and JSON metadata in the safetensors format.

Files are written atomically. The header holds a digest of every tensor and one of the header itself, so a
damaged file is rejected as a whole.
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

from herfast.common.atomic_file import atomic_write, with_path
from herfast.common.validation import one_line, short_repr

FORMAT_VERSION = 2
MAX_HEADER_BYTES = 2**24  # the header of an agent takes a few thousand bytes
Tensors = dict[str, NDArray[Any]]


def write_tensors(path: str | os.PathLike[str], tensors: Tensors, metadata: dict[str, Any]) -> None:
    """Write tensors and metadata to a file atomically.

    Args:
        path: File to write, in an existing folder.
        tensors: Arrays by name.
        metadata: Values by name that JSON can represent.

    Raises:
        OSError: The file cannot be written. The old file is unchanged.
        TypeError: JSON cannot represent a value. The old file is unchanged.
    """
    tensors = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    texts |= {"herfast_format": str(FORMAT_VERSION), "herfast_tensors": json.dumps(_digests(tensors))}
    texts["herfast_header"] = _header_digest(texts, {name: array.shape for name, array in tensors.items()})
    with atomic_write(Path(path)) as new:
        try:
            save_file(tensors, new, texts)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read_tensors(path: str | os.PathLike[str]) -> tuple[Tensors, dict[str, Any]]:
    """Read a file that `write_tensors` wrote.

    The digest of the header is verified before any tensor is read. Every error message is one sentence that
    names the file and the reason.

    Args:
        path: File to read.

    Returns:
        Tensors and metadata by name.

    Raises:
        OSError: The file does not exist or cannot be read.
        ValueError: The file has another format or is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with path.open("rb") as start:
            header = int.from_bytes(start.read(8), "little")
        if header > MAX_HEADER_BYTES:
            raise ValueError(f"its header size is {header:,} bytes, the maximum is {MAX_HEADER_BYTES:,}")
        with safe_open(path, framework="np") as file:
            texts = file.metadata() or {}
            names = list(file.keys())
            if texts.get("herfast_format") != str(FORMAT_VERSION):
                version = short_repr(texts.get("herfast_format"))
                raise ValueError(
                    f"it has herfast format {version}, this version reads format {FORMAT_VERSION}"
                )
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            if texts.pop("herfast_header", None) != _header_digest(texts, shapes):
                raise ValueError("its header is damaged")
            tensors = {name: file.get_tensor(name) for name in names}
        digests = json.loads(texts.pop("herfast_tensors"))
        del texts["herfast_format"]
        damaged = [name for name, digest in _digests(tensors).items() if digest != digests[name]]
        if damaged:
            raise ValueError(f"{damaged[0]} is damaged")
        return tensors, {key: json.loads(text) for key, text in texts.items()}
    except OSError as error:
        raise with_path("read", path, error) from error
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable herfast file: {one_line(str(error))}") from error


def _digests(tensors: Tensors) -> dict[str, str]:
    """Return a digest of the dtype and bytes of each tensor."""
    digests = {}
    for name, array in tensors.items():
        digest = hashlib.blake2b(array.dtype.str.encode(), digest_size=16)
        digest.update(array.reshape(-1).view(np.uint8).data)
        digests[name] = digest.hexdigest()
    return digests


def _header_digest(texts: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> str:
    """Return a digest of the metadata and of the tensors' names and shapes."""
    header = json.dumps([texts, shapes], sort_keys=True)
    return hashlib.blake2b(header.encode(), digest_size=16).hexdigest()
