"""Cython bindings to csrc/: bits, exploration, the replay buffer.

Shapes and ranges are validated here, once per call. The C functions assume valid input. Long ones handle
signals and end early if a handler raises an exception, which is then propagated.
Arrays are C-contiguous and have exactly the dtypes in the signatures. The caller allocates all outputs.
Functions release the GIL and, if they draw random numbers, hold the lock of their bit generator. Two threads
may therefore share a bit generator, but not a ring.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.exc cimport PyErr_Occurred

cdef dict STRATEGIES = {"future": HF_FUTURE, "final": HF_FINAL, "episode": HF_EPISODE, "random": HF_RANDOM}


cdef c_bool is_interrupted() noexcept nogil:
    """Run handlers of pending signals; return true if one of them raised an exception.

    The exception stays set. `raise_pending` propagates it.
    """
    with gil:
        return PyErr_CheckSignals() != 0


cdef int raise_pending() except -1:
    return -1


def pack_bits(const uint8_t[:, ::1] bits not None, uint64_t[:, ::1] out_words not None):
    """Pack bits [m, n] into out_words [m, W]; return the bitwise OR of all bytes."""
    cdef Py_ssize_t row, n_bits = bits.shape[1]
    cdef uint8_t seen = 0
    check_shape("out_words", out_words.shape, (bits.shape[0], hf_words(n_bits)))
    if n_bits:
        with nogil:
            for row in range(bits.shape[0]):
                seen |= hf_pack(&out_words[row, 0], &bits[row, 0], n_bits)
    return seen  # above 1 if a byte is neither 0 nor 1


def unpack_bits(const uint64_t[:, ::1] words not None, uint8_t[:, ::1] out_bits not None):
    """Unpack words [m, W] into out_bits [m, n]; raise ValueError if a later bit is 1."""
    cdef Py_ssize_t row, n_bits = out_bits.shape[1]
    cdef bint clean = True
    check_shape("words", words.shape, (out_bits.shape[0], hf_words(n_bits)))
    if n_bits:
        with nogil:
            for row in range(words.shape[0]):
                if not hf_is_clean(&words[row, 0], n_bits):
                    clean = False
                    break
                hf_unpack(&out_bits[row, 0], &words[row, 0], n_bits)
    if not clean:
        raise ValueError(f"words[{row}] has a 1 at or past bit {n_bits}: not a string of {n_bits} bits")


def explore(bit_generator, double epsilon, Py_ssize_t n_actions, const int64_t[::1] active not None,
            uint16_t[::1] out_actions not None):
    """Draw random actions for some of the episodes in `active`, as csrc/exploration.h states."""
    cdef bitgen_t *rng = bitgen(bit_generator)
    cdef Py_ssize_t n_active = active.shape[0], i
    if not 1 <= n_actions <= 65_536:
        raise ValueError(f"n_actions must be from 1 to 65,536, got {n_actions:,}")
    for i in range(n_active):
        if not 0 <= active[i] < out_actions.shape[0]:
            raise ValueError(f"active[{i}] must be from 0 to {out_actions.shape[0] - 1}, got {active[i]}")
    if n_active == 0:
        return
    cdef bytearray scratch = bytearray(8 * n_active)
    cdef int64_t *explorers = <int64_t *>PyByteArray_AS_STRING(scratch)
    with bit_generator.lock, nogil:
        hf_explore(rng, epsilon, n_actions, n_active, &active[0], explorers, &out_actions[0])


cdef hf_ring open_ring(const uint64_t[:, ::1] records, const int64_t[::1] cursor, Py_ssize_t n_state_bits,
                       Py_ssize_t n_goal_bits) except *:
    """Return the ring in `records` [capacity, Ws+Wg+1] and `cursor` [3]."""
    cdef Py_ssize_t capacity = records.shape[0]
    check_n_bits("n_state_bits", n_state_bits)
    check_n_bits("n_goal_bits", n_goal_bits)
    if n_goal_bits > n_state_bits:
        raise ValueError(f"n_goal_bits must be at most n_state_bits = {n_state_bits}, got {n_goal_bits}")
    if capacity < 2:
        raise ValueError(f"records must have at least 2 rows, got {capacity}")
    check_shape("records", records.shape, (capacity, hf_words(n_state_bits) + hf_words(n_goal_bits) + 1))
    check_shape("cursor", cursor.shape, (3,))
    cdef hf_ring ring = hf_ring(
        records=<uint64_t *>&records[0, 0], capacity=capacity, state_bits=n_state_bits, goal_bits=n_goal_bits,
        state_words=hf_words(n_state_bits), goal_words=hf_words(n_goal_bits),
        head=cursor[0], size=cursor[1], n_transitions=cursor[2])
    # Negative numbers become huge as unsigned ones, so the same comparisons find them.
    if (ring.head >= ring.capacity or ring.size > ring.capacity or ring.n_transitions > ring.size
            or (ring.size < ring.capacity and ring.head != ring.size)):
        raise ValueError(f"cursor {list(cursor)} is not valid for a ring of {capacity} records")
    return ring


def ring_add(
        uint64_t[:, ::1] records not None, int64_t[::1] cursor not None, Py_ssize_t n_state_bits,
        Py_ssize_t n_goal_bits, const uint64_t[:, :, ::1] states not None,
        const uint16_t[:, ::1] actions not None, const uint64_t[:, ::1] goals not None,
        const int32_t[::1] lengths not None, const uint8_t[::1] ends=None):
    """Append E episodes, arrays as in Trajectories, or none if one is invalid.

    `ends` [E], by default zeros, is stated in csrc/replay.h.
    After an interrupt, the ring holds the episodes that were appended before it.
    """
    cdef hf_ring ring = open_ring(records, cursor, n_state_bits, n_goal_bits)
    cdef Py_ssize_t n_steps = actions.shape[0], n_episodes = actions.shape[1], e
    cdef size_t unclean, added = 0
    cdef const uint8_t *first_end = NULL
    check_shape("states", states.shape, (n_steps + 1, n_episodes, ring.state_words))
    check_shape("goals", goals.shape, (n_episodes, ring.goal_words))
    check_shape("lengths", lengths.shape, (n_episodes,))
    if ends is not None:
        check_shape("ends", ends.shape, (n_episodes,))
    if n_steps > 65_535:
        raise ValueError(f"episodes must have at most 65,535 steps, got {n_steps:,}")
    for e in range(n_episodes):
        if not 1 <= lengths[e] <= n_steps:
            raise ValueError(f"lengths[{e}] must be from 1 to {n_steps}, got {lengths[e]}")
        if <size_t>lengths[e] >= ring.capacity:
            raise ValueError(f"an episode of {lengths[e]} steps needs {lengths[e] + 1} records, "
                             f"the ring has {ring.capacity}; raise capacity")
        if ends is not None and ends[e] > HF_MAX_END:
            raise ValueError(f"ends[{e}] must be from 0 to {HF_MAX_END}, got {ends[e]}")
    if n_episodes == 0:
        return
    if ends is not None:
        first_end = &ends[0]
    with nogil:
        unclean = hf_first_unclean(n_episodes, n_state_bits, n_goal_bits, &states[0, 0, 0], &goals[0, 0],
                                   &lengths[0])
        if unclean == <size_t>n_episodes:
            added = hf_ring_add(&ring, n_episodes, &states[0, 0, 0], &actions[0, 0], &goals[0, 0], &lengths[0],
                                first_end, is_interrupted)
    if unclean < <size_t>n_episodes:
        raise ValueError(f"episode {unclean} has a 1 at or past bit {n_state_bits} of a state "
                         f"or bit {n_goal_bits} of its goal")
    cursor[0] = ring.head
    cursor[1] = ring.size
    cursor[2] = ring.n_transitions
    if added < <size_t>n_episodes:
        raise_pending()


def ring_is_valid(const uint64_t[:, ::1] records not None, const int64_t[::1] cursor not None,
                  Py_ssize_t n_state_bits, Py_ssize_t n_goal_bits):
    """Return whether the ring keeps the invariants in csrc/replay.h. O(size)."""
    cdef hf_ring ring = open_ring(records, cursor, n_state_bits, n_goal_bits)
    cdef bint valid
    with nogil:
        valid = hf_ring_is_valid(&ring, is_interrupted)
    if PyErr_Occurred():
        raise_pending()
    return valid


def ring_sample(
        const uint64_t[:, ::1] records not None, const int64_t[::1] cursor not None, Py_ssize_t n_state_bits,
        Py_ssize_t n_goal_bits, str strategy not None, int64_t k, bit_generator,
        uint64_t[:, :, ::1] out_states not None, uint64_t[:, :, ::1] out_next_states not None,
        uint64_t[:, :, ::1] out_goals not None, uint16_t[:, ::1] out_actions not None,
        float[:, ::1] out_rewards not None, c_bool[:, ::1] out_terminated not None,
        int32_t[:, ::1] out_steps_to_goal not None, int64_t[:, ::1] out_rows=None,
        c_bool[:, ::1] out_relabelled=None):
    """Sample U minibatches of B transitions in the order of csrc/hindsight.h.

    Shapes: out_states, out_next_states [U, B, Ws]; out_goals [U, B, Wg]; all other outputs [U, B].
    out_rows and out_relabelled may be None.
    """
    cdef hf_ring ring = open_ring(records, cursor, n_state_bits, n_goal_bits)
    cdef bitgen_t *rng = bitgen(bit_generator)
    cdef Py_ssize_t n_batches = out_actions.shape[0], batch_size = out_actions.shape[1]
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(map(repr, STRATEGIES))}, got {strategy!r}")
    cdef hf_strategy chosen = STRATEGIES[strategy]
    if k < 0:
        raise ValueError(f"k must be 0 or more, got {k}")
    check_shape("out_states", out_states.shape, (n_batches, batch_size, ring.state_words))
    check_shape("out_next_states", out_next_states.shape, (n_batches, batch_size, ring.state_words))
    check_shape("out_goals", out_goals.shape, (n_batches, batch_size, ring.goal_words))
    check_shape("out_rewards", out_rewards.shape, (n_batches, batch_size))
    check_shape("out_terminated", out_terminated.shape, (n_batches, batch_size))
    check_shape("out_steps_to_goal", out_steps_to_goal.shape, (n_batches, batch_size))
    if out_rows is not None:
        check_shape("out_rows", out_rows.shape, (n_batches, batch_size))
    if out_relabelled is not None:
        check_shape("out_relabelled", out_relabelled.shape, (n_batches, batch_size))
    if ring.n_transitions == 0:
        raise ValueError("the replay buffer is empty: add trajectories before sampling")
    if n_batches == 0 or batch_size == 0:
        return
    cdef hf_minibatch out = hf_minibatch(
        states=&out_states[0, 0, 0], next_states=&out_next_states[0, 0, 0], goals=&out_goals[0, 0, 0],
        actions=&out_actions[0, 0], rewards=&out_rewards[0, 0], terminated=&out_terminated[0, 0],
        steps_to_goal=&out_steps_to_goal[0, 0], rows=NULL, relabelled=NULL)
    if out_rows is not None:
        out.rows = &out_rows[0, 0]
    if out_relabelled is not None:
        out.relabelled = &out_relabelled[0, 0]
    cdef hf_pick *picks = <hf_pick *>PyMem_Malloc(batch_size * sizeof(hf_pick))
    if picks == NULL:
        raise MemoryError(f"batch_size must fit into memory, got {batch_size:,}")
    cdef hf_sample_result result
    try:
        with bit_generator.lock:
            with nogil:
                result = hf_sample(ring, rng, chosen, k, n_batches, batch_size, picks, &out, is_interrupted)
            if result == HF_INTERRUPTED:
                raise_pending()  # before the lock is released, which must not be called with an exception set
    finally:
        PyMem_Free(picks)
    if result == HF_NO_TRANSITION:
        raise ValueError(f"the records hold no transition, but the cursor counts {ring.n_transitions:,}: "
                         "they were overwritten by other code; call clear()")
