"""Files of named arrays and JSON metadata in the safetensors format.

Files are written atomically. The header holds a digest of every tensor and one of the header itself, so
damage is found before anything is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from herfast.common.atomic_file import atomic_write, check_not_special, with_path
from herfast.common.validation import one_line, short_repr

FORMAT_VERSION = 2
MAX_HEADER_BYTES = 2**24  # the header of an agent takes a few thousand bytes
MAX_DIGEST_BYTES = 2**26  # digested at a time, since signals wait for it
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
    digests = {name: _digest(array).hexdigest() for name, array in tensors.items()}
    texts |= {"herfast_format": str(FORMAT_VERSION), "herfast_tensors": json.dumps(digests)}
    texts["herfast_header"] = _header_digest(texts, {name: array.shape for name, array in tensors.items()})
    with atomic_write(Path(path)) as new:
        try:
            save_file(tensors, new, texts)
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise OSError(str(error)) from error
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


class TensorFileError(ValueError):
    """Error of a file that has another format or is damaged."""


class TensorFile:
    """Open file that `write_tensors` wrote; see `open_tensors`.

    Attributes:
        metadata: values by name.
        shapes: shapes of the tensors by name.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self._path = path
        self._file = file
        texts = file.metadata() or {}
        if texts.get("herfast_format") != str(FORMAT_VERSION):
            version = short_repr(texts.get("herfast_format"))
            raise ValueError(f"it has herfast format {version}, this version reads format {FORMAT_VERSION}")
        names = list(file.keys())
        self.shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
        if texts.pop("herfast_header", None) != _header_digest(texts, self.shapes):
            raise ValueError("its header is damaged")
        self._digests: dict[str, str] = json.loads(texts.pop("herfast_tensors"))
        del texts["herfast_format"]
        self.metadata: dict[str, Any] = {key: json.loads(text) for key, text in texts.items()}

    def read(self, name: str) -> NDArray[Any]:
        """Read a tensor and verify its digest.

        Raises:
            OSError: the file cannot be read.
            TensorFileError: the tensor is damaged.
        """
        with _read_errors(self._path):
            tensor: NDArray[Any] = self._file.get_tensor(name)
            if _digest(tensor).hexdigest() != self._digests[name]:
                raise ValueError(f"{name} is damaged")
            return tensor

    def row_reader(self, name: str) -> Callable[[slice, NDArray[Any]], None]:
        """Return a function that reads a tensor in portions.

        It is called as `read(rows, out)` for adjacent slices of rows, in order, and sets `out` to these rows.
        After the last row it verifies the digest. It raises what `read` raises, and ValueError if `out` has
        another dtype or shape.
        """
        tensor = self._file.get_slice(name)
        digest = None

        def read(rows: slice, out: NDArray[Any]) -> None:
            nonlocal digest
            with _read_errors(self._path):
                portion = tensor[rows]
            if portion.dtype != out.dtype or portion.shape != out.shape:
                raise ValueError(
                    f"{name} should be {out.dtype} {out.shape}, is {portion.dtype} {portion.shape}"
                )
            out[:] = portion
            digest = _digest(out, digest)
            with _read_errors(self._path):
                if rows.stop == self.shapes[name][0] and digest.hexdigest() != self._digests[name]:
                    raise ValueError(f"{name} is damaged")

        return read


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[TensorFile]:
    """Open a file that `write_tensors` wrote, and verify the digest of its header.

    Every error message is one sentence that names the file and the reason.

    Args:
        path: File to read.

    Yields:
        The file, from which tensors are read when they are needed.

    Raises:
        OSError: The file does not exist or cannot be read.
        TensorFileError: The file has another format, or its header is damaged.
    """
    path = Path(path)
    check_not_special(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with ExitStack() as stack:
        with _read_errors(path):
            with path.open("rb") as start:
                header = int.from_bytes(start.read(8), "little")
            if header > MAX_HEADER_BYTES:
                raise ValueError(f"its header size is {header:,} bytes, the maximum is {MAX_HEADER_BYTES:,}")
            tensors = TensorFile(path, stack.enter_context(safe_open(path, framework="np")))
        yield tensors


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Turn errors while reading into OSError or TensorFileError that name the file."""
    try:
        yield
    except OSError as error:
        raise with_path("read", path, error) from error
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise TensorFileError(f"{path} is not a readable herfast file: {one_line(str(error))}") from error


def _digest(array: NDArray[Any], digest: Any = None) -> Any:
    """Return a digest of dtype and bytes of an array.

    If `digest` is given, the bytes are added to it.
    """
    if digest is None:
        digest = hashlib.blake2b(array.dtype.str.encode(), digest_size=16)
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for first in range(0, len(data), MAX_DIGEST_BYTES):
        digest.update(data[first : first + MAX_DIGEST_BYTES])
    return digest


def _header_digest(texts: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> str:
    """Return a digest of the metadata and of the tensors' names and shapes."""
    header = json.dumps([texts, shapes], sort_keys=True)
    return hashlib.blake2b(header.encode(), digest_size=16).hexdigest()
