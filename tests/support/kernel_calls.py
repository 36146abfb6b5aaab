"""Calls of single kernels from tests."""

from herfast.networks.compiled.compiler import compile_kernel, numba_type
from herfast.networks.compiled.entry_points import Call
from herfast.networks.compiled.native_code import Function, address, flattened

_functions = {}


def compiled(kernel, *arguments):
    """Return a function that calls a kernel with arrays, numbers, and tuples of them.

    The kernel is compiled as an entry point. The arrays must be C-contiguous. A result is ignored.
    """
    key = (kernel, tuple(map(numba_type, arguments)))
    if key not in _functions:
        _functions[key] = Function(compile_kernel(kernel, "kernel", arguments, []), "kernel")
    slots = flattened(arguments)
    return lambda: _functions[key].call(address(slots), b"")


def call(kernel, *arguments):
    """Call a kernel, see `compiled`."""
    compiled(kernel, *arguments)()


def after_each_call(monkeypatch, entry_point, action):
    """Run `action` after each call of an entry point, with its arguments."""
    original = Call.__call__

    def call_then_act(self, *arguments):
        original(self, *arguments)
        if self.entry_point is entry_point:
            action(arguments)

    monkeypatch.setattr(Call, "__call__", call_then_act)
