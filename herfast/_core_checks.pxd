"""Declarations and argument checks that all extension modules use."""

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<stdbool.h>":
    ctypedef unsigned char c_bool "bool"

cdef extern from "numpy/random/bitgen.h":
    ctypedef struct bitgen_t:
        pass

cdef extern from "bits.h" nogil:
    size_t hf_words(size_t n) noexcept
    bint hf_is_clean(const uint64_t *words, size_t n) noexcept
    size_t hf_only_one(const uint64_t *words, size_t n) noexcept
    uint8_t hf_pack(uint64_t *out_words, const uint8_t *bytes, size_t n) noexcept
    void hf_unpack(uint8_t *out_bytes, const uint64_t *words, size_t n) noexcept


cdef inline bitgen_t *bitgen(object generator) except NULL:
    """Return the C interface of a NumPy bit generator."""
    capsule = getattr(generator, "capsule", None)
    if not PyCapsule_IsValid(capsule, "BitGenerator"):
        raise TypeError(f"bit_generator must be a numpy.random.BitGenerator, got {type(generator).__name__}")
    return <bitgen_t *>PyCapsule_GetPointer(capsule, "BitGenerator")


cdef inline int check_shape(str name, const Py_ssize_t *shape, tuple expected) except -1:
    cdef Py_ssize_t axis
    for axis in range(len(expected)):
        if shape[axis] != <Py_ssize_t>expected[axis]:
            found = tuple([shape[i] for i in range(len(expected))])
            raise ValueError(f"{name} must have shape {expected}, got {found}")
    return 0


cdef inline int check_no_overlap(str name, const uint64_t[:, ::1] a, str other, const uint64_t[:, ::1] b) except -1:
    """Raise ValueError if two arrays [E, W] of one shape, E > 0, share memory."""
    cdef Py_ssize_t size = a.shape[0] * a.shape[1]
    if -size < &a[0, 0] - &b[0, 0] < size:
        raise ValueError(f"{name} and {other} must not share memory")
    return 0


cdef inline int check_n_bits(str name, Py_ssize_t n_bits) except -1:
    if not 1 <= n_bits <= 65_535:
        raise ValueError(f"{name} must be from 1 to 65,535, got {n_bits:,}")
    return 0
