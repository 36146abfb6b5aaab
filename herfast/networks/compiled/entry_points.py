"""Entry points of the kernels: `act`, `fit` and `update_dueling_head`.

An entry point is compiled when an agent first needs it, for its kind of network and update alone, and cached
on disk. Numba is imported only to compile.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from struct import Struct
from threading import RLock
from typing import Any, TextIO, cast

import numpy as np

from herfast.common.console import LossyStream, print_to_stderr
from herfast.networks.compiled import kernel_cache
from herfast.networks.compiled.native_code import Function, address, flattened

# Measured with preset `notebook` on a processor of 2025, an AMD EPYC with AVX-512.
NOTICE = "herfast: compiling kernels (once per kind of agent, 2 seconds on a fast machine)"

_lock = RLock()  # a signal handler may act while the same thread compiles
_notice_printed = False


def _after_fork() -> None:
    """Replace the lock, which another thread of the parent may hold."""
    global _lock
    _lock = RLock()


os.register_at_fork(after_in_child=_after_fork)


class EntryPoint:
    """A kernel that is called from Python.

    Args:
        module: the name of its module in herfast.networks.kernels.
        name: its name in that module.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name
        self._functions: dict[str, Function] = {}

    def bind(self, *arguments: Any) -> Call:
        """Return the kernel with its first arguments: tuples of arrays, numbers and None."""
        return Call(self, arguments)

    def function(self, bound: Sequence[Any], others: Sequence[Any]) -> Function:
        """Load or compile the machine code for arguments of these types."""
        signature = f"{_signature(bound)}, {_signature(others)}"

        def loaded(code: bytes) -> Function:
            return Function(code, self._name)

        with _lock:
            function = self._functions.get(signature) or kernel_cache.load(self._name, signature, loaded)
            if function is None:
                code = self._compiled(bound, others)
                kernel_cache.save(self._name, signature, code)
                function = loaded(code)
            self._functions[signature] = function
            return function

    def _compiled(self, bound: Sequence[Any], others: Sequence[Any]) -> bytes:
        """Compile the kernel and print a notice, once per process."""
        global _notice_printed
        if not _notice_printed:
            _notice_printed = True
            print_to_stderr(NOTICE)
        with redirect_stderr(cast(TextIO, LossyStream(sys.stderr))):  # NumPy 2.0 needs one to import f2py
            from herfast.networks.compiled.compiler import compile_kernel

            module = importlib.import_module(f"herfast.networks.kernels.{self._module}")
            return compile_kernel(getattr(module, self._name), self._name, bound, others)


class Call:
    """An entry point with its first arguments, which are kept alive.

    The machine code is loaded or compiled in the first call.
    """

    def __init__(self, entry_point: EntryPoint, bound: Sequence[Any]) -> None:
        self.entry_point = entry_point
        self._bound = bound
        self._slots = flattened(bound)
        self._address = address(self._slots)
        self._function: Function | None = None
        self._pack: Callable[..., bytes] = Struct("").pack
        self._dtypes: list[tuple[int, np.dtype[Any]]] = []  # position and type of each array

    def __call__(self, *arguments: Any) -> None:
        """Call the kernel, without the GIL, with C-contiguous arrays and integers.

        Raises the errors of `prepare`.
        """
        self.run(self.prepare(arguments))

    def prepare(self, arguments: Sequence[Any]) -> bytes:
        """Return the arguments as `run` needs them, 8 bytes each.

        They must be kept alive until it has ended.

        Raises TypeError if the dtype of an array is not that of the first call.
        """
        if self._function is None:
            arrays = [(i, value) for i, value in enumerate(arguments) if isinstance(value, np.ndarray)]
            self._dtypes = [(i, array.dtype) for i, array in arrays]
            self._pack = Struct(f"{len(arguments)}q").pack
            # Last, since an interrupt may come at any time.
            self._function = self.entry_point.function(self._bound, arguments)
        numbers = list(arguments)
        for i, dtype in self._dtypes:
            array = arguments[i]
            if array.dtype != dtype:
                raise TypeError(f"an array must have dtype {dtype} as in the first call, got {array.dtype}")
            numbers[i] = id(array)
        return self._pack(*numbers)

    def run(self, prepared: bytes) -> None:
        """Call the kernel with prepared arguments."""
        self._function.call(self._address, prepared)  # type: ignore[union-attr]


def _signature(arguments: Sequence[Any]) -> str:
    """Return the types of nested arguments as text.

    Code differs where this differs.
    """
    parts = []
    for value in arguments:
        if isinstance(value, tuple):
            parts.append(f"{type(value).__name__}({_signature(value)})")
        elif isinstance(value, np.ndarray):
            parts.append(value.dtype.str)
        else:
            parts.append(type(value).__name__)
    return " ".join(parts)


act = EntryPoint("acting", "act")
fit = EntryPoint("update", "fit")
update_dueling_head = EntryPoint("backward", "update_dueling_head")
