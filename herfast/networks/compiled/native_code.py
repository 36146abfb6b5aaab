"""Machine code in this process: its target, loading and calling."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

OPTIMISATION = 1  # LLVM's level


@cache
def _initialize() -> None:
    """Initialize LLVM, which newer versions of llvmlite do by themselves."""
    with suppress(RuntimeError):
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@cache
def processor() -> tuple[str, str, str]:
    """Return target, processor and its features in LLVM's names."""
    features = llvm.get_host_cpu_features().flatten()
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), features


def target_machine() -> Any:
    """Return LLVM's description of this machine."""
    _initialize()
    triple, name, features = processor()
    relocation = "default"
    if triple.startswith(("x86", "i386", "i686")):
        relocation = "static"  # as Numba
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=name,
        features=features,
        opt=OPTIMISATION,
        reloc=relocation,
        codemodel="jitdefault",
        jit=True,
    )


class Function:
    """A C function of an object file, as `compile_kernel` describes it.

    Args:
        code: the object file.
        name: the name of the function.

    Raises:
        ValueError: the object file is invalid, or has no such function.
    """

    def __init__(self, code: bytes, name: str) -> None:
        machine = target_machine()
        empty = llvm.parse_assembly(f'target triple = "{machine.triple}"')
        self._engine = llvm.create_mcjit_compiler(empty, machine)
        object_file = llvm.ObjectFileRef.from_data(code)
        if not object_file:  # the engine would crash
            raise ValueError(f"the code of {name} is no object file")
        self._engine.add_object_file(object_file)
        self._engine.finalize_object()
        address = self._engine.get_function_address(name)
        if not address:
            raise ValueError(f"no function {name}")
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_char_p)
        self.call: Callable[[int, bytes], None] = prototype(address)


def address(array: np.ndarray[Any, Any]) -> int:
    """Return the address of the first element of an array."""
    number: int = array.__array_interface__["data"][0]
    return number


def flattened(arguments: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return nested tuples of arrays, numbers and None as slots of 8 bytes.

    None has no slot.
    """
    return np.array(list(_slots(arguments)), np.int64)


def _slots(arguments: Sequence[Any]) -> Iterator[int]:
    """Yield the content of each slot: an address, an integer, or the bits of a float."""
    for value in arguments:
        if isinstance(value, tuple):
            yield from _slots(value)
        elif isinstance(value, np.ndarray):
            yield address(value)
        elif isinstance(value, float):
            yield int(np.float64(value).view(np.int64))
        elif value is not None:
            yield int(value)
