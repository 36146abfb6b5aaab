"""Declarations of the C functions in csrc/ for _core_sb3.pyx."""

from libc.stdint cimport int64_t, uint64_t
from numpy cimport (
    NPY_INT64, NPY_OBJECT, NPY_VOID, PyArray_DATA, PyArray_DESCR, PyArray_DIMS, PyArray_IS_C_CONTIGUOUS,
    PyArray_ISWRITEABLE, PyArray_NBYTES, PyArray_NDIM, PyArray_TYPE, import_array, ndarray, npy_intp)

from herfast._core_checks cimport bitgen, bitgen_t

cdef extern from "hindsight.h" nogil:
    ctypedef enum hf_strategy:
        HF_FUTURE, HF_FINAL, HF_EPISODE, HF_RANDOM

cdef extern from "episode_index.h" nogil:
    ctypedef struct hf_index:
        size_t n_slots, n_envs
        uint64_t *starts
        uint64_t *lengths
        uint64_t *running
        uint64_t *counts
    void hf_begin_slot(const hf_index *index, size_t slot) noexcept
    void hf_end_episode(const hf_index *index, size_t env, size_t next_slot) noexcept
    uint64_t hf_sum_counts(const hf_index *index, uint64_t *ends) noexcept
    void hf_choose(const hf_index *index, bitgen_t *rng, hf_strategy strategy, const uint64_t *ends, size_t n,
                   int64_t *rows, size_t n_goals, int64_t *goal_rows) noexcept

cdef extern from "gather.h" nogil:
    ctypedef struct hf_column:
        const char *source
        char *out
        size_t row_bytes
    void hf_gather(size_t n_columns, const hf_column *columns, size_t n, const int64_t *rows) noexcept
