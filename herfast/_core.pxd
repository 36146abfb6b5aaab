"""Declarations of the C functions in csrc/ for _core.pyx."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from herfast._core_checks cimport (
    bitgen, bitgen_t, c_bool, check_n_bits, check_shape, hf_is_clean, hf_pack, hf_unpack, hf_words)

cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept  # leaves the exception of a signal handler set

cdef extern from "exploration.h" nogil:
    void hf_explore(bitgen_t *rng, double epsilon, uint32_t n_actions, size_t n_active, const int64_t *active,
                    int64_t *explorers, uint16_t *out_actions) noexcept

cdef extern from "replay.h" nogil:
    enum: HF_MAX_END
    ctypedef c_bool (*hf_poll)() noexcept nogil
    ctypedef struct hf_ring:
        uint64_t *records
        size_t capacity, state_bits, goal_bits, state_words, goal_words, head, size, n_transitions
    size_t hf_ring_add(hf_ring *ring, size_t n_episodes, const uint64_t *states, const uint16_t *actions,
                       const uint64_t *goals, const int32_t *lengths, const uint8_t *ends, hf_poll poll) noexcept
    size_t hf_first_unclean(size_t n_episodes, size_t state_bits, size_t goal_bits, const uint64_t *states,
                            const uint64_t *goals, const int32_t *lengths) noexcept
    bint hf_ring_is_valid(const hf_ring *ring, hf_poll poll) noexcept

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
        int64_t *rows
        c_bool *relabelled
    ctypedef enum hf_sample_result:
        HF_SAMPLED, HF_NO_TRANSITION, HF_INTERRUPTED
    hf_sample_result hf_sample(hf_ring ring, bitgen_t *rng, hf_strategy strategy, uint64_t k, size_t n_batches,
                               size_t batch_size, hf_pick *picks, const hf_minibatch *out, hf_poll poll) noexcept
