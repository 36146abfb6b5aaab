"""Vectors of float32 for Numba: wide ones of 32 (2 AVX-512, 4 AVX or 8 NEON registers), and narrow ones of 8 for sums.

Numba does not vectorise short loops over several table rows, since it cannot rule out that they overlap; with these
types the loops say what they mean, 2 to 8 times faster. All functions are portable LLVM IR; arithmetic takes either
width. Arrays must be C-contiguous; an index counts elements from the array's first one, neither wrapped nor checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model
from numpy.typing import NDArray

LANES, NARROW = 32, 8
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., Any])


# Never nnan or ninf: a diverged network must stay visible. Never reassoc: sums are added up in the order that the code
# says, so that kernels just compiled give the same bits as those from the cache, which were optimised once more.
FASTMATH = ("contract", "nsz")


def inner(function: F, **options: Any) -> F:
    """Compile a function that only other kernels call: linked into them, without wrappers, allocating nothing."""
    options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
    compiled: F = njit(fastmath=set(FASTMATH), error_model="numpy", **options)(function)
    return compiled


def inlined(function: F) -> F:
    """The same for one that takes or returns vectors: copied into its callers, so that they stay in registers."""
    return inner(function, forceinline=True)


_FLOAT, _INDEX = ir.FloatType(), ir.IntType(32)


class _Vector(types.Type):
    def __init__(self, lanes: int) -> None:
        super().__init__(name=f"float32x{lanes}")
        self.ir = ir.VectorType(_FLOAT, lanes)


register_model(_Vector)(lambda manager, vector: models.PrimitiveModel(manager, vector, vector.ir))


_wide, _narrow = _Vector(LANES), _Vector(NARROW)


def _pointer(context: Any, builder: Any, signature: Any, args: Any, element: Any) -> Any:
    """The address of element args[1] of the array args[0], as a pointer to `element`."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), element.as_pointer())


def _folded(builder: Any, a: Any, b: Any, lanes: Any, others: Any) -> Any:
    """Lanes of a and b laid end to end, by number, plus other ones of them."""
    masks = (ir.Constant(ir.VectorType(_INDEX, len(chosen)), list(chosen)) for chosen in (lanes, others))
    return builder.fadd(*(builder.shuffle_vector(a, b, mask) for mask in masks), flags=FASTMATH)


@intrinsic
def get(typingctx: Any, array: Any, index: Any) -> Any:
    """array[index], a scalar."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature, args, context.get_data_type(array.dtype))
        return context.unpack_value(builder, array.dtype, pointer)

    return array.dtype(array, types.intp), codegen


def _loads(vector: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, args, vector.ir), align=4)

    return intrinsic(lambda typingctx, array, index: (vector(array, types.intp), codegen))


load, load_narrow = _loads(_wide), _loads(_narrow)  # array[index : index + 32], or + 8, of a float32 array


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index : index + lanes] = value."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, signature, args, value.ir), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def splat(typingctx: Any, x: Any) -> Any:
    """The scalar x in every lane of a wide vector."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        undefined, zero = ir.Constant(_wide.ir, ir.Undefined), ir.Constant(_INDEX, 0)
        first = builder.insert_element(undefined, args[0], zero)
        return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INDEX, LANES), [zero] * LANES))

    return _wide(types.float32), codegen


@intrinsic
def narrowed(typingctx: Any, x: Any) -> Any:
    """The sum of the four quarters of a wide vector, a narrow one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        half = _folded(builder, args[0], args[0], range(16), range(16, 32))
        return _folded(builder, half, half, range(8), range(8, 16))

    return _narrow(x), codegen


def _arithmetic(instruction: str) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args, flags=FASTMATH)

    return intrinsic(lambda typingctx, a, b: (a(a, b), codegen))


add, sub, mul = _arithmetic("fadd"), _arithmetic("fsub"), _arithmetic("fmul")  # of two vectors of one width


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, contracted to one instruction where the processor has it."""
    return a(a, b, c), lambda context, builder, signature, args: builder.fadd(
        builder.fmul(args[0], args[1], flags=FASTMATH), args[2], flags=FASTMATH
    )


@intrinsic
def where_positive(typingctx: Any, x: Any, value: Any) -> Any:
    """0 if x <= 0 else value: of x itself this is relu, where NaN stays NaN, else relu's gradient."""
    zero = ir.Constant(x.ir, [ir.Constant(_FLOAT, 0.0)] * x.ir.count)
    return x(x, value), lambda context, builder, signature, args: builder.select(
        builder.fcmp_ordered("<=", args[0], zero), zero, args[1]
    )


@intrinsic
def store_sums(typingctx: Any, array: Any, index: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """array[index : index + 4] = the sums over the lanes of a, b, c, d, which are narrow."""
    even, odd = (0, 2, 8, 10, 4, 6, 12, 14), (1, 3, 9, 11, 5, 7, 13, 15)  # in each half first a's lanes, then b's

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        ab, cd = (_folded(builder, args[i], args[i + 1], even, odd) for i in (2, 4))
        sums = _folded(builder, ab, cd, even, odd)
        pointer = _pointer(context, builder, signature, args, ir.VectorType(_FLOAT, 4))
        builder.store(_folded(builder, sums, sums, range(4), range(4, 8)), pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, a, a, a, a), codegen


@intrinsic
def lowest_bit(typingctx: Any, word: Any) -> Any:
    """The index of the lowest set bit of a uint64 other than 0."""

    return types.int64(types.uint64), lambda context, builder, signature, args: builder.cttz(args[0], cgutils.true_bit)
