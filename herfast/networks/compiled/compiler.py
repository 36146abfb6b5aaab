"""Compilation of kernels to machine code.

Numba translates each function to LLVM IR. It would also optimise each, compile it to machine code, and make
it callable from Python. Here this is done once for an entry point with all functions that it calls, which
takes half the time. LLVM optimises at level 1, which takes less time than level 3 and gives code as fast.

This uses parts of Numba that are not documented but equal in all versions since 0.61: the methods of
CPUCodeLibrary that are overridden, the flag `no_compile`, `_dynfunc.make_function` and the calling
convention.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import _dynfunc
from numba.core import typed_passes, untyped_passes
from numba.core import types as numba_types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass
from numba.np.numpy_support import from_dtype

from herfast.networks.compiled.native_code import OPTIMISATION, target_machine

types: Any = numba_types
_SLOT = ir.IntType(64)
# Functions that object files may need, besides those that LLVM adds, such as memset.
_SYMBOLS = {"pow", "sqrt", "sched_yield"}


class _KernelLibrary(JITCodeLibrary):
    """The LLVM IR of one function, neither optimised nor compiled to machine code."""

    def add_ir_module(self, ir_module: Any) -> None:
        """Add a module.

        Only functions decorated by `inlined` are inlined, which halves the time that LLVM takes.
        """
        for function in ir_module.functions:
            if not function.is_declaration and "alwaysinline" not in function.attributes:
                function.attributes.add("noinline")
        super().add_ir_module(ir_module)

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        self._finalized = True

    def called(self) -> dict[Any, None]:
        """Return this library and those of all functions that are called."""
        found = {self: None}
        for library in self._linking_libraries:
            if isinstance(library, _KernelLibrary):
                found |= library.called()
            else:
                found[library] = None  # a function of Numba
        return found


@register_pass(mutates_CFG=True, analysis_only=False)
class _KernelLowering(LoweringPass):
    """Translate a typed function to LLVM IR, and let other functions call it."""

    _name = "herfast_kernel_lowering"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = _KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags = state.flags.copy()
        state.flags.no_compile = True
        typed_passes.NativeLowering().run_pass(state)
        lowered = state["cr"]
        description = lowered.fndesc
        name = description.qualname.split(".")[-1]
        # Numba finds the function by this object, which has no code.
        key = _dynfunc.make_function(description.lookup_module(), name, "", 0, lowered.env, (state.library,))
        state.targetctx.insert_user_function(key, description, [state.library])
        state["cr"] = lowered._replace(cfunc=key)
        return True


_PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.RewriteSemanticConstants,
    untyped_passes.DeadBranchPrune,
    untyped_passes.GenericRewrites,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    typed_passes.AnnotateTypes,
    _KernelLowering,
    typed_passes.NoPythonBackend,
)


class KernelCompiler(CompilerBase):
    """Numba's compiler with the passes that kernels need."""

    def define_pipelines(self) -> list[PassManager]:
        passes = PassManager("herfast_kernels")
        for step in _PASSES:
            passes.add_pass(step, "")
        passes.finalize()
        return [passes]


def numba_type(value: Any) -> Any:
    """Return the Numba type of an argument of a kernel.

    An array is an address. None has a type of its own, and code for which an argument must not be None is not
    compiled where it is.
    """
    if value is None:
        return types.none
    if isinstance(value, tuple):
        return types.BaseTuple.from_types([numba_type(item) for item in value], type(value))
    if isinstance(value, np.ndarray):
        dtype = np.uint8 if value.dtype == np.bool_ else value.dtype  # Numba's bool has one bit
        return types.CPointer(from_dtype(np.dtype(dtype)))
    return {bool: types.boolean, int: types.int64, float: types.float64}[type(value)]


def compile_kernel(function: Any, name: str, bound: Sequence[Any], others: Sequence[Any]) -> bytes:
    """Compile an entry point to an object file.

    Args:
        function: the entry point, as returned by `inner`.
        name: the name of the symbol. It is a C function of two addresses, without result. They are those of
            the slots of 8 bytes that `flattened` returns, and of the other arguments, 8 bytes each.
        bound: examples of the arguments in the slots.
        others: examples of the other arguments: integers, or arrays, which are passed as Python objects.
    """
    with global_compiler_lock, _no_garbage_collection():
        signature = tuple(map(numba_type, [*bound, *others]))
        function.compile(signature)
        result = function.overloads[signature]
        machine = target_machine()
        module = llvm.parse_assembly(str(_exported(result, name, len(bound))))
        for library in result.library.called():
            module.link_in(library._get_module_for_linking(), preserve=True)
        for part in module.functions:
            if not part.is_declaration and part.name != name:
                part.linkage = llvm.Linkage.internal
        module.verify()
        options = llvm.create_pipeline_tuning_options(speed_level=OPTIMISATION)
        options.loop_unrolling = False  # unrolled loops read more from the stack, and take longer to compile
        passes = llvm.create_pass_builder(machine, options)
        passes.getModulePassManager().run(module, passes)
        unknown = {part.name for part in module.functions if part.is_declaration} - _SYMBOLS
        if any(not part.startswith("llvm.") for part in unknown):
            raise RuntimeError(f"kernels must call no functions of Numba, got {sorted(unknown)}")
        code: bytes = machine.emit_object(module)
        return code


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Disable garbage collection, which takes 7 % of the time of a compilation."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _exported(result: Any, name: str, n_bound: int) -> Any:
    """Return a module with a C function that calls a compiled kernel."""
    context = result.target_context
    kernel = result.fndesc
    module = context.create_module(name)
    callee = ir.Function(
        module, context.call_conv.get_function_type(kernel.restype, kernel.argtypes), kernel.llvm_func_name
    )
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_SLOT.as_pointer()] * 2), name)
    builder = ir.IRBuilder(function.append_basic_block())
    bound, others = (_Slots(context, builder, address) for address in function.args)
    arguments = [bound.next(argument) for argument in kernel.argtypes[:n_bound]]
    for argument in kernel.argtypes[n_bound:]:
        value = others.next(types.int64)
        if isinstance(argument, types.CPointer):
            # A NumPy array has the fields of a Python object, then the address of its data.
            place = builder.add(value, ir.Constant(_SLOT, object.__basicsize__))
            value = builder.load(builder.inttoptr(place, _SLOT.as_pointer()))
        arguments.append(others.converted(value, argument))
    context.call_conv.call_function(builder, callee, kernel.restype, kernel.argtypes, arguments)
    builder.ret_void()
    return module


class _Slots:
    """Code that reads arguments from slots of 8 bytes."""

    def __init__(self, context: Any, builder: Any, address: Any) -> None:
        self._context = context
        self._builder = builder
        self._address = address
        self._n_read = 0

    def next(self, argument: Any) -> Any:
        """Return the next argument.

        It has as many slots as numbers and addresses.
        """
        if isinstance(argument, types.BaseTuple):
            values = [self.next(item) for item in argument]
            return self._context.make_tuple(self._builder, argument, values)
        if argument == types.none:
            return self._context.get_dummy_value()
        slot = self._builder.gep(self._address, [ir.Constant(_SLOT, self._n_read)])
        self._n_read += 1
        return self.converted(self._builder.load(slot), argument)

    def converted(self, value: Any, argument: Any) -> Any:
        """Return the content of a slot as a number or an address."""
        if isinstance(argument, types.CPointer):
            return self._builder.inttoptr(value, self._context.get_value_type(argument))
        if argument == types.float64:
            return self._builder.bitcast(value, ir.DoubleType())
        if argument == types.boolean:
            return self._builder.trunc(value, ir.IntType(1))
        return value
