"""Declarations of the C functions in csrc/ for _core_envs.pyx."""

from libc.stdint cimport int64_t, uint16_t, uint64_t

from herfast._core_checks cimport (
    bitgen, bitgen_t, c_bool, check_n_bits, check_no_overlap, check_shape, hf_is_clean, hf_only_one, hf_words)

cdef extern from "bitflip.h" nogil:
    void hf_bitflip_reset(bitgen_t *rng, size_t n_episodes, size_t n_bits, uint64_t *out_states,
                          uint64_t *out_goals) noexcept
    void hf_bitflip_reset_to(bitgen_t *rng, size_t n_episodes, size_t n_bits, const uint64_t *goal,
                             uint64_t *out_states, uint64_t *out_goals) noexcept
    size_t hf_bitflip_first_bad(size_t n_active, const int64_t *active, size_t n_episodes, size_t n_bits,
                                const uint64_t *states, const uint64_t *goals,
                                const uint16_t *actions) noexcept
    void hf_bitflip_step(size_t n_active, const int64_t *active, size_t n_words, const uint64_t *states,
                         const uint64_t *goals, const uint16_t *actions, uint64_t *out_states,
                         c_bool *out_terminated) noexcept

cdef extern from "grid_world.h" nogil:
    cdef enum:
        HF_GRID_ACTIONS
    ctypedef struct hf_grid:
        size_t n_cells, n_starts
        const uint16_t *next
        const uint16_t *starts
    void hf_grid_world_reset(bitgen_t *rng, size_t n_episodes, hf_grid grid, uint64_t *out_states,
                             uint64_t *out_goals) noexcept
    size_t hf_grid_world_first_bad(size_t n_active, const int64_t *active, size_t n_episodes, size_t n_cells,
                                   const uint64_t *states, const uint64_t *goals,
                                   const uint16_t *actions) noexcept
    void hf_grid_world_step(size_t n_active, const int64_t *active, hf_grid grid, const uint64_t *states,
                            const uint64_t *goals, const uint16_t *actions, uint64_t *out_states,
                            c_bool *out_terminated) noexcept

cdef extern from "lights_out.h" nogil:
    void hf_lights_out_reset(bitgen_t *rng, size_t n_episodes, size_t width, size_t height,
                             size_t most_presses, uint64_t *presses, uint64_t *out_states,
                             uint64_t *out_goals) noexcept
    void hf_lights_out_step(size_t n_active, const int64_t *active, size_t width, size_t height,
                            const uint64_t *states, const uint64_t *goals, const uint16_t *actions,
                            uint64_t *out_states, c_bool *out_terminated) noexcept
