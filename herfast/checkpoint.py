"""Files of named arrays and JSON: safetensors, written so that a reader sees the old one or the new, never a half."""

from __future__ import annotations

import json
import os
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

FORMAT_VERSION = 1

Tensors = dict[str, NDArray[Any]]


def write(path: str | os.PathLike[str], tensors: Tensors, metadata: dict[str, Any]) -> None:
    """Write `tensors` and `metadata` (values that JSON knows) to `path`, replacing it only once all is on the disk.

    Raises OSError where the folder cannot be written; the old file stays as it was.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    texts = {"herfast_format": str(FORMAT_VERSION), **{key: json.dumps(value) for key, value in metadata.items()}}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    for leftover in path.parent.glob(f".{escape(path.name)}.[0-9]*.tmp"):  # of a writer that was killed
        leftover.unlink(missing_ok=True)
    try:
        try:
            save_file({name: np.asarray(array, order="C") for name, array in tensors.items()}, temporary, texts)
        except SafetensorError as error:
            raise OSError(f"cannot write {path}: {error}") from error
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def read(path: str | os.PathLike[str]) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and metadata of a file that `write` made.

    Raises FileNotFoundError, or ValueError naming the file and the reason where it is not such a file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(path, framework="np") as file:
            texts = file.metadata() or {}
            if texts.get("herfast_format") != str(FORMAT_VERSION):
                found = texts.get("herfast_format", "none")
                raise ValueError(f"{path} has herfast format {found}, this version reads format {FORMAT_VERSION}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        return tensors, {key: json.loads(text) for key, text in texts.items() if key != "herfast_format"}
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a readable herfast file: {error}") from error


def _sync(path: Path) -> None:
    """Wait until a file's contents, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
