"""Vector types of float32 for Numba.

A wide vector has 32 floats (2 AVX-512, 4 AVX or 8 NEON registers). A narrow one has 8 and is used for sums.
Numba does not vectorise short loops over several table rows, since it cannot rule out that the rows overlap.
Loops over these types are 2 to 8 times faster.

All functions are portable LLVM IR, and arithmetic accepts either width.

In kernels, an array is the address of its first element, so that little code is compiled to pass it on. It
has no shape, and must be C-contiguous. An index counts elements from the first one. It is neither wrapped nor
checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic, models, register_model

from herfast.networks.arrays import LANES, NARROW
from herfast.networks.compiled.compiler import KernelCompiler

F = TypeVar("F", bound=Callable[..., Any])

# No nnan or ninf: NaN and infinity must remain visible when a network diverges.
# No reassoc: sums keep the order of the source code.
FASTMATH = ("contract", "nsz")


def inner(function: F, forceinline: bool = False) -> F:
    """Compile a function for other kernels, or as an entry point.

    It cannot be called from Python and cannot allocate memory. The setting NUMBA_DISABLE_JIT has no effect.
    """
    options = {"nopython": True, "fastmath": set(FASTMATH), "error_model": "numpy", "boundscheck": False}
    options |= {"forceinline": forceinline, "_nrt": False}
    options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled: F = CPUDispatcher(function, {}, options, KernelCompiler)
    return compiled


def inlined(function: F) -> F:
    """Compile a function as `inner` does, and inline it into its callers.

    Functions that take or return vectors are inlined, so that the vectors stay in registers.
    """
    return inner(function, forceinline=True)


_FLOAT, _INDEX = ir.FloatType(), ir.IntType(32)


class _Vector(types.Type):
    """Numba type of a vector of float32."""

    def __init__(self, lanes: int) -> None:
        super().__init__(name=f"float32x{lanes}")
        self.ir = ir.VectorType(_FLOAT, lanes)


register_model(_Vector)(lambda manager, vector: models.PrimitiveModel(manager, vector, vector.ir))


_vectors = {lanes: _Vector(lanes) for lanes in (LANES, 16, NARROW)}
_wide = _vectors[LANES]


def _pointer(builder: Any, args: Any, element: Any) -> Any:
    """Return a pointer of type `element` to element args[1] of the array at args[0]."""
    return builder.bitcast(builder.gep(args[0], [args[1]]), element.as_pointer())


def _folded(builder: Any, a: Any, b: Any, lanes: Any, others: Any) -> Any:
    """Concatenate a and b, then add the lanes with indices `lanes` and `others`."""
    masks = (ir.Constant(ir.VectorType(_INDEX, len(chosen)), list(chosen)) for chosen in (lanes, others))
    return builder.fadd(*(builder.shuffle_vector(a, b, mask) for mask in masks), flags=FASTMATH)


def _half(builder: Any, vector: Any, lanes: int) -> Any:
    """Add the two halves of a vector."""
    return _folded(builder, vector, vector, range(lanes // 2), range(lanes // 2, lanes))


@intrinsic
def offset(typingctx: Any, array: Any, index: Any) -> Any:
    """Return the part of an array from element `index` on."""
    return array(array, types.intp), lambda context, builder, signature, args: builder.gep(args[0], [args[1]])


def _loads(vector: Any) -> Any:
    """Return the intrinsic that loads a vector from a float32 array."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(builder, args, vector.ir), align=4)

    return intrinsic(lambda typingctx, array, index: (vector(array, types.intp), codegen))


# array[index : index + 32], array[index : index + 16] and array[index : index + 8]
load, load_16, load_narrow = map(_loads, _vectors.values())


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Set array[index : index + lanes] = value."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(builder, args, value.ir), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def store_integers(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Set array[index : index + 32], int32, to a wide vector of whole numbers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = ir.VectorType(_INDEX, LANES)
        builder.store(builder.fptosi(args[2], integers), _pointer(builder, args, integers), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def splat(typingctx: Any, x: Any) -> Any:
    """Return a wide vector with the scalar x in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        undefined, zero = ir.Constant(_wide.ir, ir.Undefined), ir.Constant(_INDEX, 0)
        first = builder.insert_element(undefined, args[0], zero)
        return builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(_INDEX, LANES), [zero] * LANES)
        )

    return _wide(types.float32), codegen


@intrinsic
def halved(typingctx: Any, x: Any) -> Any:
    """Return the sum of the two halves of a vector."""
    lanes = x.ir.count
    return _vectors[lanes // 2](x), lambda context, builder, signature, args: _half(builder, args[0], lanes)


@inlined
def narrowed(x: Any) -> Any:
    """Return the sum of the four quarters of a wide vector, a narrow vector."""
    return halved(halved(x))


def _arithmetic(instruction: str) -> Any:
    """Return the intrinsic of an LLVM instruction on two vectors of one width."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args, flags=FASTMATH)

    return intrinsic(lambda typingctx, a, b: (a(a, b), codegen))


add, sub, mul, divide = map(_arithmetic, ("fadd", "fsub", "fmul", "fdiv"))


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, one instruction on processors that have it."""
    return a(a, b, c), lambda context, builder, signature, args: builder.fadd(
        builder.fmul(args[0], args[1], flags=FASTMATH), args[2], flags=FASTMATH
    )


@intrinsic
def square_root(typingctx: Any, x: Any) -> Any:
    """Return the correctly rounded square roots of the lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name = f"llvm.sqrt.v{x.ir.count}f32"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(x.ir, [x.ir]), name)
        return builder.call(function, args)

    return x(x), codegen


@intrinsic
def where_greater(typingctx: Any, x: Any, y: Any, value: Any, other: Any) -> Any:
    """Return value if x > y, else other. NaN is not greater."""
    return x(x, x, x, x), lambda context, builder, signature, args: builder.select(
        builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3]
    )


@intrinsic
def relu(typingctx: Any, x: Any) -> Any:
    """Return 0 if x < 0, else x, so that NaN stays NaN.

    Other than `x <= 0`, this is one instruction of most processors. It keeps -0.
    """
    zero = ir.Constant(x.ir, [ir.Constant(_FLOAT, 0.0)] * x.ir.count)
    return x(x), lambda context, builder, signature, args: builder.select(
        builder.fcmp_ordered("<", args[0], zero), zero, args[0]
    )


@intrinsic
def where_positive(typingctx: Any, x: Any, value: Any) -> Any:
    """Return 0 if x <= 0, else value: the gradient of relu, if x is relu's result."""
    zero = ir.Constant(x.ir, [ir.Constant(_FLOAT, 0.0)] * x.ir.count)
    return x(x, value), lambda context, builder, signature, args: builder.select(
        builder.fcmp_ordered("<=", args[0], zero), zero, args[1]
    )


@intrinsic
def store_sums(typingctx: Any, array: Any, index: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Set array[index : index + 4] to the lane sums of the vectors a, b, c, d.

    They have 8 or 16 lanes.
    """
    # each half of the result has lanes of a first, then lanes of b
    even, odd = (
        (0, 2, 8, 10, 4, 6, 12, 14),
        (1, 3, 9, 11, 5, 7, 13, 15),
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors = args[2:]
        if a.ir.count > NARROW:
            vectors = [_half(builder, vector, a.ir.count) for vector in vectors]
        ab, cd = (_folded(builder, vectors[i], vectors[i + 1], even, odd) for i in (0, 2))
        sums = _folded(builder, ab, cd, even, odd)
        pointer = _pointer(builder, args, ir.VectorType(_FLOAT, 4))
        builder.store(_folded(builder, sums, sums, range(4), range(4, 8)), pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, a, a, a, a), codegen


@intrinsic
def lowest_bit(typingctx: Any, word: Any) -> Any:
    """Return the index of the lowest set bit of a nonzero uint64."""

    return types.int64(types.uint64), lambda context, builder, signature, args: builder.cttz(
        args[0], cgutils.true_bit
    )


@intrinsic
def atomic_load(typingctx: Any, array: Any, index: Any) -> Any:
    """Return array[index], int64, as other threads have stored it."""
    return types.int64(array, types.intp), lambda context, builder, signature, args: builder.load_atomic(
        builder.gep(args[0], [args[1]]), "acquire", 8
    )


@intrinsic
def atomic_store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Set array[index], int64, after all that this thread has stored before."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], builder.gep(args[0], [args[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), codegen


@intrinsic
def atomic_add(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Add to array[index], int64, and return what it was before."""
    return types.int64(
        array, types.intp, types.int64
    ), lambda context, builder, signature, args: builder.atomic_rmw(
        "add", builder.gep(args[0], [args[1]]), args[2], "acq_rel"
    )


@intrinsic
def yield_processor(typingctx: Any) -> Any:
    """Let another thread run that waits for this processor."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_INDEX, []), "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen
