"""The only door to csrc/: shapes, sizes and ranges are checked here, once a call; the kernels below cannot fail.

Arrays are C-contiguous and of exactly the dtypes written here. Every function takes its outputs from the caller, and
releases the GIL while it works; one that draws holds its bit generator's lock meanwhile. Two threads may therefore
share a generator, but not a ring.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t

cdef extern from "<stdbool.h>":
    ctypedef unsigned char c_bool "bool"

cdef extern from "numpy/random/bitgen.h":
    ctypedef struct bitgen_t:
        pass

cdef extern from "bits.h" nogil:
    size_t hf_words(size_t n) noexcept
    bint hf_is_clean(const uint64_t *words, size_t n) noexcept
    uint8_t hf_pack(uint64_t *out_words, const uint8_t *bytes, size_t n) noexcept
    void hf_unpack(uint8_t *out_bytes, const uint64_t *words, size_t n) noexcept

cdef extern from "bitflip.h" nogil:
    void hf_bitflip_reset(bitgen_t *rng, size_t n_games, size_t n_bits, uint64_t *out_states,
                          uint64_t *out_goals) noexcept
    size_t hf_bitflip_first_bad(size_t n_active, const int64_t *active, size_t n_games, size_t n_bits,
                                const uint64_t *states, const uint64_t *goals, const uint16_t *actions) noexcept
    void hf_bitflip_step(size_t n_active, const int64_t *active, size_t n_words, const uint64_t *states,
                         const uint64_t *goals, const uint16_t *actions, uint64_t *out_states,
                         c_bool *out_terminated) noexcept

cdef extern from "replay.h" nogil:
    ctypedef struct hf_ring:
        uint64_t *records
        size_t capacity, state_bits, goal_bits, state_words, goal_words, head, size, n_transitions
    void hf_ring_add(hf_ring *ring, size_t n_episodes, const uint64_t *states, const uint16_t *actions,
                     const uint64_t *goals, const int32_t *lengths) noexcept
    size_t hf_first_unclean(size_t n_episodes, size_t state_bits, size_t goal_bits, const uint64_t *states,
                            const uint64_t *goals, const int32_t *lengths) noexcept
    bint hf_ring_is_valid(const hf_ring *ring) noexcept

cdef extern from "hindsight.h" nogil:
    ctypedef enum hf_strategy:
        HF_FUTURE, HF_FINAL, HF_EPISODE, HF_RANDOM
    ctypedef struct hf_pick:
        pass
    ctypedef struct hf_minibatch:
        uint64_t *states
        uint64_t *next_states
        uint64_t *goals
        uint16_t *actions
        float *rewards
        c_bool *terminated
        int32_t *steps_to_goal
    void hf_sample(hf_ring ring, bitgen_t *rng, hf_strategy strategy, uint64_t k, size_t n_batches, size_t batch_size,
                   hf_pick *picks, const hf_minibatch *out) noexcept

# Steps that are over within about 4 us keep the GIL: to hand it to another thread and wait for it costs more, and made
# two agents in two threads 1.86 times as fast as one instead of 1.91.
cdef enum:
    FEW_WORDS = 1024

cdef dict STRATEGIES = {"future": HF_FUTURE, "final": HF_FINAL, "episode": HF_EPISODE, "random": HF_RANDOM}


cdef bitgen_t *bitgen(object bit_generator) except NULL:
    capsule = getattr(bit_generator, "capsule", None)
    if not PyCapsule_IsValid(capsule, "BitGenerator"):
        raise TypeError(f"bit_generator must be a numpy.random.BitGenerator, got {type(bit_generator).__name__}")
    return <bitgen_t *>PyCapsule_GetPointer(capsule, "BitGenerator")


cdef int check_shape(str name, const Py_ssize_t *shape, tuple want) except -1:
    cdef Py_ssize_t axis
    for axis in range(len(want)):
        if shape[axis] != <Py_ssize_t>want[axis]:
            raise ValueError(f"{name} must have shape {want}, got {tuple([shape[i] for i in range(len(want))])}")
    return 0


cdef int check_apart(str name, const uint64_t[:, ::1] one, str other_name, const uint64_t[:, ::1] other) except -1:
    """Two arrays [E, W] of one shape, E > 0, share no memory."""
    cdef Py_ssize_t size = one.shape[0] * one.shape[1], distance = &one[0, 0] - &other[0, 0]
    if -size < distance < size:
        raise ValueError(f"{name} and {other_name} must be two arrays, got the same memory for both")
    return 0


cdef int check_n_bits(str name, Py_ssize_t n_bits) except -1:
    if not 1 <= n_bits <= 65_535:
        raise ValueError(f"{name} must be from 1 to 65,535, got {n_bits:,}")
    return 0


def pack_bits(const uint8_t[:, ::1] bits not None, uint64_t[:, ::1] out_words not None):
    """Pack bits [m, n], bytes of 0 and 1, into out_words [m, W]. Returns the union of all bytes: above 1, one was bad."""
    cdef Py_ssize_t row, n_bits = bits.shape[1]
    cdef uint8_t seen = 0
    check_shape("out_words", out_words.shape, (bits.shape[0], hf_words(n_bits)))
    if n_bits:
        with nogil:
            for row in range(bits.shape[0]):
                seen |= hf_pack(&out_words[row, 0], &bits[row, 0], n_bits)
    return seen


def unpack_bits(const uint64_t[:, ::1] words not None, uint8_t[:, ::1] out_bits not None):
    """Unpack words [m, W] into out_bits [m, n], bytes of 0 and 1. Raises ValueError for a bit at or past n."""
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
        raise ValueError(f"words[{row}] has a 1 at or past bit {n_bits}, so it is not a string of {n_bits} bits")


def bitflip_reset(bit_generator, Py_ssize_t n_bits, uint64_t[:, ::1] out_states not None,
                  uint64_t[:, ::1] out_goals not None):
    """Draw starts and goals [E, W] of E games; the order of draws is csrc/bitflip.h's."""
    cdef bitgen_t *rng = bitgen(bit_generator)
    cdef Py_ssize_t n_games = out_states.shape[0]
    check_n_bits("n_bits", n_bits)
    check_shape("out_states", out_states.shape, (n_games, hf_words(n_bits)))
    check_shape("out_goals", out_goals.shape, (n_games, hf_words(n_bits)))
    if n_games:
        check_apart("out_states", out_states, "out_goals", out_goals)
        with bit_generator.lock, nogil:
            hf_bitflip_reset(rng, n_games, n_bits, &out_states[0, 0], &out_goals[0, 0])


cdef Py_ssize_t play_if_good(Py_ssize_t n_bits, Py_ssize_t n_games, const uint64_t[:, ::1] states,
                             const uint64_t[:, ::1] goals, const uint16_t[::1] actions, const int64_t[::1] active,
                             uint64_t[:, ::1] out_states, c_bool[::1] out_terminated) noexcept nogil:
    """Play if all is good in `active` and its actions; returns where it is not, or the length of `active`."""
    cdef Py_ssize_t n_active = active.shape[0]
    cdef Py_ssize_t bad = hf_bitflip_first_bad(n_active, &active[0], n_games, n_bits, &states[0, 0],
                                                &goals[0, 0], &actions[0])
    if bad == n_active:
        hf_bitflip_step(n_active, &active[0], out_states.shape[1], &states[0, 0], &goals[0, 0], &actions[0],
                        &out_states[0, 0], &out_terminated[0])
    return bad


def bitflip_step(Py_ssize_t n_bits, const uint64_t[:, ::1] states not None, const uint64_t[:, ::1] goals not None,
                 const uint16_t[::1] actions not None, const int64_t[::1] active not None,
                 uint64_t[:, ::1] out_states not None, c_bool[::1] out_terminated not None):
    """Play one step of the games in `active`; states, goals, out_states [E, W], actions, out_terminated [E]."""
    cdef Py_ssize_t n_games = states.shape[0], n_active = active.shape[0], bad
    check_n_bits("n_bits", n_bits)
    cdef Py_ssize_t n_words = hf_words(n_bits)
    check_shape("states", states.shape, (n_games, n_words))
    check_shape("goals", goals.shape, (n_games, n_words))
    check_shape("out_states", out_states.shape, (n_games, n_words))
    check_shape("actions", actions.shape, (n_games,))
    check_shape("out_terminated", out_terminated.shape, (n_games,))
    if n_games:
        check_apart("out_states", out_states, "goals", goals)
    if n_active == 0:
        return
    if n_games == 0:
        raise ValueError(f"active[0] must be the index of a game, got {active[0]}, but there are no games")
    if n_active * n_words < FEW_WORDS:
        bad = play_if_good(n_bits, n_games, states, goals, actions, active, out_states, out_terminated)
    else:
        with nogil:
            bad = play_if_good(n_bits, n_games, states, goals, actions, active, out_states, out_terminated)
    if bad < n_active:
        if not 0 <= active[bad] < n_games:
            raise ValueError(f"active[{bad}] must be from 0 to {n_games - 1}, got {active[bad]}")
        if actions[active[bad]] >= n_bits:
            raise ValueError(f"actions[{active[bad]}] must be from 0 to {n_bits - 1}, got {actions[active[bad]]}")
        unclean = "goals" if hf_is_clean(&states[active[bad], 0], n_bits) else "states"
        raise ValueError(f"{unclean}[{active[bad]}] must be a string of {n_bits} bits, got a 1 at or past bit {n_bits}")


cdef hf_ring open_ring(const uint64_t[:, ::1] records, const int64_t[::1] cursor, Py_ssize_t n_state_bits,
                       Py_ssize_t n_goal_bits) except *:
    """The ring in `records` [capacity, Ws+Wg+1] and `cursor` [3] = {head, size, n_transitions}."""
    cdef hf_ring ring
    check_n_bits("n_state_bits", n_state_bits)
    check_n_bits("n_goal_bits", n_goal_bits)
    if n_goal_bits > n_state_bits:
        raise ValueError(f"n_goal_bits must be at most n_state_bits = {n_state_bits}, got {n_goal_bits}")
    ring.state_bits, ring.goal_bits = n_state_bits, n_goal_bits
    ring.state_words, ring.goal_words = hf_words(n_state_bits), hf_words(n_goal_bits)
    ring.capacity = records.shape[0]
    if ring.capacity < 2:
        raise ValueError(f"records must hold 2 rows or more, got {ring.capacity}")
    check_shape("records", records.shape, (ring.capacity, ring.state_words + ring.goal_words + 1))
    check_shape("cursor", cursor.shape, (3,))
    ring.records = <uint64_t *>&records[0, 0]
    ring.head, ring.size, ring.n_transitions = cursor[0], cursor[1], cursor[2]
    # Negative numbers are huge once unsigned, so that one comparison finds them too.
    if (ring.head >= ring.capacity or ring.size > ring.capacity or ring.n_transitions > ring.size
            or (ring.size < ring.capacity and ring.head != ring.size)):
        raise ValueError(f"cursor {[cursor[0], cursor[1], cursor[2]]} is none of a ring of {ring.capacity} records")
    return ring


def ring_add(uint64_t[:, ::1] records not None, int64_t[::1] cursor not None, Py_ssize_t n_state_bits,
             Py_ssize_t n_goal_bits, const uint64_t[:, :, ::1] states not None, const uint16_t[:, ::1] actions not None,
             const uint64_t[:, ::1] goals not None, const int32_t[::1] lengths not None):
    """Append E episodes: states [T+1, E, Ws], actions [T, E], goals [E, Wg], lengths [E]. All or nothing."""
    cdef hf_ring ring = open_ring(records, cursor, n_state_bits, n_goal_bits)
    cdef Py_ssize_t n_steps = actions.shape[0], n_episodes = actions.shape[1], e
    cdef size_t unclean
    check_shape("states", states.shape, (n_steps + 1, n_episodes, ring.state_words))
    check_shape("goals", goals.shape, (n_episodes, ring.goal_words))
    check_shape("lengths", lengths.shape, (n_episodes,))
    if n_steps > 65_535:
        raise ValueError(f"episodes may have at most 65,535 steps, got room for {n_steps:,}")
    for e in range(n_episodes):
        if not 1 <= lengths[e] <= n_steps:
            raise ValueError(f"lengths[{e}] must be from 1 to {n_steps}, got {lengths[e]}")
        if <size_t>lengths[e] >= ring.capacity:
            raise ValueError(f"an episode of {lengths[e]} steps needs {lengths[e] + 1} records, "
                             f"the ring has {ring.capacity}; raise capacity")
    if n_episodes == 0:
        return
    with nogil:
        unclean = hf_first_unclean(n_episodes, n_state_bits, n_goal_bits, &states[0, 0, 0], &goals[0, 0], &lengths[0])
        if unclean == <size_t>n_episodes:
            hf_ring_add(&ring, n_episodes, &states[0, 0, 0], &actions[0, 0], &goals[0, 0], &lengths[0])
    if unclean < <size_t>n_episodes:
        raise ValueError(f"episode {unclean} has a 1 at or past bit {n_state_bits} of a state "
                         f"or bit {n_goal_bits} of its goal")
    cursor[0], cursor[1], cursor[2] = ring.head, ring.size, ring.n_transitions


def ring_is_valid(const uint64_t[:, ::1] records not None, const int64_t[::1] cursor not None, Py_ssize_t n_state_bits,
                  Py_ssize_t n_goal_bits):
    """Are these records whole episodes, but for the oldest, and does the cursor count them? O(size)."""
    cdef hf_ring ring = open_ring(records, cursor, n_state_bits, n_goal_bits)
    cdef bint valid
    with nogil:
        valid = hf_ring_is_valid(&ring)
    return valid


def ring_sample(const uint64_t[:, ::1] records not None, const int64_t[::1] cursor not None, Py_ssize_t n_state_bits,
                Py_ssize_t n_goal_bits, str strategy not None, int64_t k, bit_generator,
                uint64_t[:, :, ::1] out_states not None, uint64_t[:, :, ::1] out_next_states not None,
                uint64_t[:, :, ::1] out_goals not None, uint16_t[:, ::1] out_actions not None,
                float[:, ::1] out_rewards not None, c_bool[:, ::1] out_terminated not None,
                int32_t[:, ::1] out_steps_to_goal not None):
    """Draw U minibatches of B: out_states, .._next_states [U, B, Ws], out_goals [U, B, Wg], the others [U, B]; the
    order of draws is csrc/hindsight.h's."""
    cdef hf_ring ring = open_ring(records, cursor, n_state_bits, n_goal_bits)
    cdef bitgen_t *rng = bitgen(bit_generator)
    cdef Py_ssize_t n_batches = out_actions.shape[0], batch_size = out_actions.shape[1]
    cdef hf_minibatch out
    cdef hf_pick *picks
    cdef hf_strategy chosen
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(map(repr, STRATEGIES))}, got {strategy!r}")
    chosen = STRATEGIES[strategy]
    if k < 0:
        raise ValueError(f"k must be 0 or more, got {k}")
    check_shape("out_states", out_states.shape, (n_batches, batch_size, ring.state_words))
    check_shape("out_next_states", out_next_states.shape, (n_batches, batch_size, ring.state_words))
    check_shape("out_goals", out_goals.shape, (n_batches, batch_size, ring.goal_words))
    check_shape("out_rewards", out_rewards.shape, (n_batches, batch_size))
    check_shape("out_terminated", out_terminated.shape, (n_batches, batch_size))
    check_shape("out_steps_to_goal", out_steps_to_goal.shape, (n_batches, batch_size))
    if ring.n_transitions == 0:
        raise ValueError("there is nothing to sample: the replay is empty; add trajectories first")
    if n_batches == 0 or batch_size == 0:
        return
    out.states, out.next_states, out.goals = &out_states[0, 0, 0], &out_next_states[0, 0, 0], &out_goals[0, 0, 0]
    out.actions, out.rewards, out.terminated = &out_actions[0, 0], &out_rewards[0, 0], &out_terminated[0, 0]
    out.steps_to_goal = &out_steps_to_goal[0, 0]
    picks = <hf_pick *>PyMem_Malloc(batch_size * sizeof(hf_pick))
    if picks == NULL:
        raise MemoryError(f"no memory for a minibatch of {batch_size:,}")
    try:
        with bit_generator.lock, nogil:
            hf_sample(ring, rng, chosen, k, n_batches, batch_size, picks, &out)
    finally:
        PyMem_Free(picks)
