/* Unbiased random integers from NumPy bit generators (bitgen_t).
 *
 * Every draw but that of hf_draw_below_32 takes whole 64-bit outputs, so the outputs of `next_uint64` alone
 * determine their results.
 */
#ifndef HF_DRAW_H
#define HF_DRAW_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <numpy/random/bitgen.h>

__extension__ typedef unsigned __int128 hf_uint128;

/* Draw an integer uniformly from 0..n-1, n >= 1 (Lemire 2019, "Fast random integer generation in an
 * interval", algorithm 5). The result is the high word of (64-bit output) x n. If the low word is below 2^64
 * mod n, the output is rejected and another one is drawn. One output is also taken if n is 1. */
static inline uint64_t hf_draw_below(bitgen_t *rng, uint64_t n) {
    assert(n >= 1);
    hf_uint128 product = (hf_uint128)rng->next_uint64(rng->state) * n;
    if ((uint64_t)product < n) {
        const uint64_t threshold = (UINT64_MAX - n + 1) % n; /* = 2^64 mod n */
        while ((uint64_t)product < threshold) product = (hf_uint128)rng->next_uint64(rng->state) * n;
    }
    return (uint64_t)(product >> 64);
}

/* Draw an integer uniformly from 0..n-1, n >= 1, as NumPy's Generator.integers(n) does: by the same algorithm
 * with 32-bit outputs. No output is taken if n is 1. */
static inline uint32_t hf_draw_below_32(bitgen_t *rng, uint32_t n) {
    assert(n >= 1);
    if (n == 1) return 0;
    uint64_t product = (uint64_t)rng->next_uint32(rng->state) * n;
    if ((uint32_t)product < n) {
        const uint32_t threshold = (UINT32_MAX - n + 1) % n; /* = 2^32 mod n */
        while ((uint32_t)product < threshold) product = (uint64_t)rng->next_uint32(rng->state) * n;
    }
    return (uint32_t)(product >> 32);
}

/* Draw `n_words` outputs in order and mask the last one by `tail_mask`. */
static inline void hf_draw_words(bitgen_t *rng, uint64_t *out, size_t n_words, uint64_t tail_mask) {
    for (size_t w = 0; w < n_words; w++) out[w] = rng->next_uint64(rng->state);
    out[n_words - 1] &= tail_mask;
}

#endif
