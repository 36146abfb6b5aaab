"""Cython bindings to csrc/ for the replay buffer of Stable-Baselines3.

The conventions are those of _core.pyx. Arrays are NumPy objects here, since typed memoryviews would take half
of the time of a call. The index of episodes is that of csrc/episode_index.h: int64 arrays `starts` and
`lengths` [n_slots, E], `running` and `counts` [E]. Row s * E + e is environment e in slot s.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.string cimport memcmp, memmove

import_array()

cdef dict STRATEGIES = {"future": HF_FUTURE, "final": HF_FINAL, "episode": HF_EPISODE, "random": HF_RANDOM}


cdef int64_t *integers(str name, ndarray array, int n_axes, Py_ssize_t first, Py_ssize_t second,
                       bint writable) except NULL:
    """Return the address of an int64 array of shape (first,) or (first, second)."""
    cdef bint fits = PyArray_NDIM(array) == n_axes and PyArray_TYPE(array) == NPY_INT64
    fits = fits and PyArray_IS_C_CONTIGUOUS(array) and PyArray_DIMS(array)[0] == first
    if not fits or (n_axes == 2 and PyArray_DIMS(array)[1] != second):
        shape = (first, second)[:n_axes]
        raise ValueError(f"{name} must be a C-contiguous int64 array of shape {shape}, got {array.dtype} "
                         f"of shape {(<object>array).shape}")
    if writable and not PyArray_ISWRITEABLE(array):
        raise ValueError(f"{name} must be writable, got a read-only array")
    return <int64_t *>PyArray_DATA(array)


cdef hf_index open_index(ndarray starts, ndarray lengths, ndarray running, ndarray counts,
                         bint writable) except *:
    if PyArray_NDIM(lengths) != 2 or PyArray_NBYTES(lengths) == 0:
        raise ValueError(f"lengths must have two axes and not be empty, got shape {(<object>lengths).shape}")
    cdef Py_ssize_t n_slots = PyArray_DIMS(lengths)[0], n_envs = PyArray_DIMS(lengths)[1]
    return hf_index(n_slots=n_slots, n_envs=n_envs,
                    starts=<uint64_t *>integers("starts", starts, 2, n_slots, n_envs, writable),
                    lengths=<uint64_t *>integers("lengths", lengths, 2, n_slots, n_envs, writable),
                    running=<uint64_t *>integers("running", running, 1, n_envs, 0, writable),
                    counts=<uint64_t *>integers("counts", counts, 1, n_envs, 0, writable))


cdef int check_position(str name, Py_ssize_t value, Py_ssize_t end) except -1:
    if not 0 <= value < end:
        raise ValueError(f"{name} must be from 0 to {end - 1}, got {value}")
    return 0


def begin_slot(ndarray starts not None, ndarray lengths not None, ndarray running not None,
               ndarray counts not None, Py_ssize_t slot):
    """Drop the episodes that begin in a slot, and assign it to the running ones."""
    cdef hf_index index = open_index(starts, lengths, running, counts, True)
    check_position("slot", slot, index.n_slots)
    hf_begin_slot(&index, slot)


def end_episode(ndarray starts not None, ndarray lengths not None, ndarray running not None,
                ndarray counts not None, Py_ssize_t env, Py_ssize_t next_slot):
    """End the running episode of an environment, given the slot that is written next."""
    cdef hf_index index = open_index(starts, lengths, running, counts, True)
    check_position("env", env, index.n_envs)
    check_position("next_slot", next_slot, index.n_slots)
    hf_end_episode(&index, env, next_slot)


def choose(ndarray starts not None, ndarray lengths not None, ndarray running not None,
           ndarray counts not None, str strategy not None, bit_generator, ndarray out_rows not None,
           ndarray out_goal_rows not None):
    """Draw rows of transitions [n], and for the last n_goals of them rows that lead to their goals.

    The order of draws is that of csrc/episode_index.h.
    """
    cdef hf_index index = open_index(starts, lengths, running, counts, False)
    cdef bitgen_t *rng = bitgen(bit_generator)
    cdef Py_ssize_t n = (<object>out_rows).size, n_goals = (<object>out_goal_rows).size
    cdef int64_t *rows = integers("out_rows", out_rows, 1, n, 0, True)
    cdef int64_t *goal_rows = integers("out_goal_rows", out_goal_rows, 1, n_goals, 0, True)
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(map(repr, STRATEGIES))}, got {strategy!r}")
    cdef hf_strategy chosen = STRATEGIES[strategy]
    if n_goals > n:
        raise ValueError(f"out_goal_rows must be at most as long as out_rows = {n}, got {n_goals}")
    cdef bytearray scratch = bytearray(8 * index.n_envs)
    cdef uint64_t *ends = <uint64_t *>PyByteArray_AS_STRING(scratch)
    if hf_sum_counts(&index, ends) == 0:
        raise RuntimeError("no episode is finished, so none can be sampled: raise learning_starts above the "
                           "length of an episode times the number of environments")
    with bit_generator.lock, nogil:
        hf_choose(&index, rng, chosen, ends, n, rows, n_goals, goal_rows)


cdef bint is_plain(ndarray array):
    """Return whether an array can be copied as bytes."""
    cdef int type_number = PyArray_TYPE(array)
    return PyArray_IS_C_CONTIGUOUS(array) and type_number != NPY_OBJECT and type_number != NPY_VOID


cdef bint is_row(ndarray array, ndarray value):
    """Return whether a value has the type and shape of array[slot]."""
    cdef int n_axes = PyArray_NDIM(value)
    cdef bint fits = PyArray_DESCR(array) == PyArray_DESCR(value) and PyArray_NDIM(array) == n_axes + 1
    return fits and memcmp(PyArray_DIMS(array) + 1, PyArray_DIMS(value), n_axes * sizeof(npy_intp)) == 0


def store(list arrays not None, Py_ssize_t slot, list values not None):
    """Write each value [E, ...] to a slot of its array [n_slots, E, ...].

    NumPy converts values of another type, and repeats those of a smaller shape.
    """
    cdef Py_ssize_t i, n_bytes
    cdef ndarray array, value
    if len(values) != len(arrays):
        raise ValueError(f"values must have {len(arrays)} arrays, got {len(values)}")
    for i in range(len(arrays)):
        array = arrays[i]
        value = values[i]
        if array is None or value is None or PyArray_NDIM(array) == 0:
            raise ValueError(f"array {i} must have an axis of slots, and value {i} must be an array")
        check_position("slot", slot, PyArray_DIMS(array)[0])
        if is_row(array, value) and is_plain(array) and is_plain(value) and PyArray_ISWRITEABLE(array):
            n_bytes = PyArray_NBYTES(value)
            memmove(<char *>PyArray_DATA(array) + slot * n_bytes, PyArray_DATA(value), n_bytes)
        else:
            array[slot] = value


cdef hf_column open_column(Py_ssize_t i, ndarray source, ndarray out, Py_ssize_t n,
                           Py_ssize_t highest) except *:
    """Check a source [n_slots, E, ...] and its output [n, ...], given the highest row that is read."""
    if source is None or out is None:
        raise TypeError(f"source {i} and output {i} must be arrays, got None")
    cdef int n_axes = PyArray_NDIM(out)
    cdef npy_intp *shape = PyArray_DIMS(source)
    cdef npy_intp *out_shape = PyArray_DIMS(out)
    cdef bint fits = PyArray_NDIM(source) == n_axes + 1 and n_axes >= 1 and out_shape[0] == n
    fits = fits and memcmp(out_shape + 1, shape + 2, (n_axes - 1) * sizeof(npy_intp)) == 0
    fits = fits and (PyArray_DESCR(source) == PyArray_DESCR(out) or source.dtype == out.dtype)
    if not (fits and is_plain(source) and is_plain(out) and PyArray_ISWRITEABLE(out)):
        raise ValueError(f"output {i} must be writable and have {n} rows of the shape and type of source {i}")
    if highest >= shape[0] * shape[1]:
        raise ValueError(f"rows must be below {shape[0] * shape[1]}, got {highest}")
    return hf_column(source=<const char *>PyArray_DATA(source), out=<char *>PyArray_DATA(out),
                     row_bytes=PyArray_NBYTES(out) // n)


def gather(list sources not None, ndarray rows not None, list outs not None):
    """Copy rows of each source [n_slots, E, ...] to its output [n, ...] of the same type, without the GIL."""
    cdef Py_ssize_t n_columns = len(sources), n = (<object>rows).size, highest = 0, i
    cdef int64_t *row = integers("rows", rows, 1, n, 0, False)
    if len(outs) != n_columns:
        raise ValueError(f"outs must have {n_columns} arrays, got {len(outs)}")
    for i in range(n):
        if row[i] < 0:
            raise ValueError(f"rows[{i}] must be 0 or more, got {row[i]}")
        highest = max(highest, row[i])
    if n == 0:
        return
    cdef bytearray scratch = bytearray(n_columns * sizeof(hf_column))
    cdef hf_column *columns = <hf_column *>PyByteArray_AS_STRING(scratch)
    for i in range(n_columns):
        columns[i] = open_column(i, sources[i], outs[i], n, highest)
    with nogil:
        hf_gather(n_columns, columns, n, row)
