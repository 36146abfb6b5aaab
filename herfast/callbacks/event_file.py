"""Records of TensorBoard's event files.

A record is the length of its data, a checksum of the length, the data, and a checksum of the data.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeAlias

Checksum: TypeAlias = Callable[[bytes], int]  # masked CRC-32C

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")


def append_record(file: IO[bytes], data: bytes, checksum: Checksum) -> None:
    """Append one record."""
    length = _LENGTH.pack(len(data))
    file.write(length + _CHECKSUM.pack(checksum(length)) + data + _CHECKSUM.pack(checksum(data)))


def last_record(path: Path) -> tuple[int, bytes]:
    """Return the number of records of a file and the data of the last one.

    Other data is skipped. A file whose last record is incomplete counts as one without records. Checksums are
    not verified.

    Raises:
        OSError: The file cannot be read.
    """
    n_records = 0
    start = 0
    end = 0
    size = path.stat().st_size
    with path.open("rb") as file:
        while end < size:
            header = file.read(_LENGTH.size + _CHECKSUM.size)
            start = file.tell()
            n_bytes = int.from_bytes(header[: _LENGTH.size], "little")
            end = start + n_bytes + _CHECKSUM.size
            if end > size:
                return 0, b""
            n_records += 1
            file.seek(end)
        file.seek(start)
        return n_records, file.read(max(end - start - _CHECKSUM.size, 0))
