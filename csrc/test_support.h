/* Shared code of test_csrc.c and fuzz_csrc.c: a bit generator, exact allocation, random episodes, and checks
 * of minibatches. Assertions are always enabled, also with NDEBUG.
 */
#ifndef HF_TEST_SUPPORT_H
#define HF_TEST_SUPPORT_H

#undef NDEBUG
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitflip.h"
#include "bits.h"
#include "draw.h"
#include "exploration.h"
#include "grid_world.h"
#include "hindsight.h"
#include "lights_out.h"
#include "replay.h"

static inline uint64_t splitmix64(void *state) { /* Steele, Lea, Flood 2014 */
    uint64_t z = (*(uint64_t *)state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint32_t splitmix32(void *state) { return (uint32_t)splitmix64(state); }
static inline double splitmix_double(void *state) { return (double)(splitmix64(state) >> 11) * 0x1p-53; }

static inline bool never(void) { return false; }
static inline bool always(void) { return true; }

/* Allocate exactly n * size bytes, so that the sanitizer detects every access past their end. */
static inline void *allocate(size_t n, size_t size) {
    void *memory = calloc(n, size);
    assert(memory != NULL);
    return memory;
}

static inline hf_ring new_ring(size_t capacity, size_t state_bits, size_t goal_bits) {
    const size_t state_words = hf_words(state_bits), goal_words = hf_words(goal_bits);
    uint64_t *records = allocate(capacity * (state_words + goal_words + 1), 8);
    return (hf_ring){records, capacity, state_bits, goal_bits, state_words, goal_words, 0, 0, 0};
}

/* Input of hf_ring_add. Entries past the end of an episode are all ones: a test fails if they are read. */
typedef struct {
    size_t n;
    uint64_t *states, *goals; /* [n_steps + 1, n, Ws], [n, Wg] */
    uint16_t *actions;        /* [n_steps, n] */
    int32_t *lengths;         /* [n] */
    uint8_t *ends;            /* [n] */
} episodes;

/* Draw n episodes of 1 to n_steps steps. About half of the goals are states of their own episode. */
static inline episodes draw_episodes(bitgen_t *rng, const hf_ring *ring, size_t n, size_t n_steps) {
    const size_t words = ring->state_words, size = (n_steps + 1) * n * words;
    uint64_t *states = allocate(size, 8), *goals = allocate(n * ring->goal_words, 8);
    const episodes e = {n, states, goals, allocate(n_steps * n, 2), allocate(n, 4), allocate(n, 1)};
    memset(states, 0xff, size * 8);
    memset(e.actions, 0xff, n_steps * n * 2);
    for (size_t i = 0; i < n; i++) {
        const size_t length = hf_draw_below(rng, 4) ? 1 + hf_draw_below(rng, n_steps) : n_steps;
        uint64_t *goal = goals + i * ring->goal_words;
        for (size_t t = 0; t <= length; t++)
            hf_draw_words(rng, states + (t * n + i) * words, words, hf_tail_mask(ring->state_bits));
        for (size_t t = 0; t < length; t++) e.actions[t * n + i] = (uint16_t)hf_draw_below(rng, ring->state_bits);
        hf_draw_words(rng, goal, ring->goal_words, hf_tail_mask(ring->goal_bits));
        const size_t reached = hf_draw_below(rng, 2 * (length + 1));
        if (reached <= length) hf_copy_prefix(goal, states + (reached * n + i) * words, ring->goal_bits);
        e.lengths[i] = (int32_t)length;
        e.ends[i] = (uint8_t)hf_draw_below(rng, HF_MAX_END + 1);
    }
    return e;
}

static inline void free_episodes(episodes e) {
    free(e.states), free(e.goals), free(e.actions), free(e.lengths), free(e.ends);
}

static inline size_t first_unclean(const hf_ring *ring, episodes e) {
    return hf_first_unclean(e.n, ring->state_bits, ring->goal_bits, e.states, e.goals, e.lengths);
}

static inline void add_episodes(hf_ring *ring, episodes e) {
    assert(first_unclean(ring, e) == e.n);
    assert(hf_ring_add(ring, e.n, e.states, e.actions, e.goals, e.lengths, e.ends, never) == e.n);
}

/* Output of hf_sample. The picks are those of the last minibatch. */
typedef struct {
    size_t n_batches, batch_size;
    hf_pick *picks;
    hf_minibatch out;
} minibatches;

static inline minibatches draw_minibatches(hf_ring ring, bitgen_t *rng, hf_strategy strategy, uint64_t k,
                                           size_t n_batches, size_t batch_size) {
    const size_t n = n_batches * batch_size;
    uint64_t *states = allocate(n * ring.state_words, 8), *next = allocate(n * ring.state_words, 8);
    uint64_t *goals = allocate(n * ring.goal_words, 8);
    const hf_minibatch out = {states,         next,           goals,          allocate(n, 2), allocate(n, 4),
                              allocate(n, 1), allocate(n, 4), allocate(n, 8), allocate(n, 1)};
    const minibatches m = {n_batches, batch_size, allocate(batch_size, sizeof *m.picks), out};
    const hf_sample_result result =
        hf_sample(ring, rng, strategy, k, n_batches, batch_size, m.picks, &m.out, never);
    assert(result == HF_SAMPLED);
    for (size_t b = 0; b < n; b++) assert(out.steps_to_goal[b] >= 0);
    return m;
}

static inline void free_minibatches(minibatches m) {
    free(m.picks), free(m.out.states), free(m.out.next_states), free(m.out.goals), free(m.out.actions);
    free(m.out.rewards), free(m.out.terminated), free(m.out.steps_to_goal);
    free(m.out.rows), free(m.out.relabelled);
}

/* Check the minibatches of a valid ring. */
static inline void check_minibatches(minibatches m, const hf_ring *ring, hf_strategy strategy, uint64_t k) {
    for (size_t b = 0; b < m.n_batches * m.batch_size; b++) {
        const uint64_t *state = m.out.states + b * ring->state_words, *next = m.out.next_states + b * ring->state_words;
        const uint64_t *goal = m.out.goals + b * ring->goal_words;
        assert(hf_is_clean(state, ring->state_bits) && hf_is_clean(next, ring->state_bits));
        assert(hf_is_clean(goal, ring->goal_bits) && m.out.actions[b] < ring->state_bits);
        assert(m.out.terminated[b] == hf_prefix_equal(next, goal, ring->goal_bits));
        assert(m.out.rewards[b] == (m.out.terminated[b] ? 0.0f : -1.0f));
        assert(m.out.steps_to_goal[b] != 1 || m.out.terminated[b]);
        const uint64_t *record = ring->records + (size_t)m.out.rows[b] * hf_ring_stride(ring);
        assert(hf_equal(record, state, ring->state_words) && (k > 0 || !m.out.relabelled[b]));
    }
    for (size_t b = 0; b < m.batch_size; b++) {
        const hf_pick pick = m.picks[b];
        const uint64_t meta = *hf_record_meta(ring, hf_ring_at(ring, pick.record));
        const size_t age = pick.record, last = age + hf_steps_to_end(meta);
        assert(last > age && last < ring->size && pick.goal < ring->size && (k > 0 || !pick.relabelled));
        if (!pick.relabelled || strategy == HF_FINAL) assert(pick.goal == last);
        if (strategy != HF_RANDOM) assert(pick.goal <= last && pick.goal >= hf_first_of_episode(age, meta));
        if (strategy == HF_FUTURE) assert(pick.goal > age);
    }
}

#endif
