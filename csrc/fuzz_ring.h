/* Part of fuzz_csrc.c: a ring, compared with a simple model. */
#ifndef HF_FUZZ_RING_H
#define HF_FUZZ_RING_H

#include "test_support.h"

enum { MOST_BITS = 300, MOST_WORDS = (MOST_BITS + 63) / 64, MODEL = 512 };

/* Expected contents of a record. */
typedef struct {
    uint64_t state[MOST_WORDS], goal[MOST_WORDS];
    size_t t, steps_to_end;
    uint16_t action;
    uint8_t end;
} entry;

/* Of all records ever added, record i is entry i % MODEL. The capacity of the ring is below MODEL. */
typedef struct {
    hf_ring ring;
    entry *entries;
    size_t added;
} modelled_ring;

/* Choose a size next to a boundary of bytes or words, or sometimes any size. */
static inline size_t draw_size(bitgen_t *rng) {
    static const size_t SIZES[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129};
    const size_t n = sizeof SIZES / sizeof *SIZES, i = hf_draw_below(rng, n + 4);
    return i < n ? SIZES[i] : 1 + hf_draw_below(rng, MOST_BITS);
}

static inline bool same_bits(const uint64_t *a, const uint64_t *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (hf_get(a, i) != hf_get(b, i)) return false;
    return true;
}

static inline entry *entry_at(const modelled_ring *m, size_t age) {
    return &m->entries[(m->added - m->ring.size + age) % MODEL];
}

static inline void add(modelled_ring *m, bitgen_t *rng) {
    hf_ring *ring = &m->ring;
    const size_t most = ring->capacity - 1, how = hf_draw_below(rng, 16);
    const size_t n_steps = how == 0 ? most : how < 4 ? 1 : 1 + hf_draw_below(rng, most < 9 ? most : 9);
    const episodes e = draw_episodes(rng, ring, 1 + hf_draw_below(rng, 4), n_steps);
    add_episodes(ring, e);
    for (size_t i = 0; i < e.n; i++)
        for (size_t t = 0, length = (size_t)e.lengths[i]; t <= length; t++) {
            entry *new = &m->entries[m->added++ % MODEL];
            memcpy(new->state, e.states + (t * e.n + i) * ring->state_words, ring->state_words * 8);
            memcpy(new->goal, e.goals + i * ring->goal_words, ring->goal_words * 8);
            new->t = t, new->steps_to_end = length - t, new->action = t < length ? e.actions[t * e.n + i] : 0;
            new->end = t + 1 == length ? e.ends[i] : 0;
        }
    size_t n_transitions = 0;
    assert(ring->size == (m->added < ring->capacity ? m->added : ring->capacity));
    for (size_t age = 0; age < ring->size; age++) n_transitions += entry_at(m, age)->steps_to_end > 0;
    assert(ring->n_transitions == n_transitions);
    free_episodes(e);
}

static inline void sample(modelled_ring *m, bitgen_t *rng) {
    const hf_ring *ring = &m->ring;
    const hf_strategy strategy = (hf_strategy)hf_draw_below(rng, 4);
    const uint64_t k = hf_draw_below(rng, 6);
    const size_t n_batches = 1 + hf_draw_below(rng, 3), batch_size = 1 + hf_draw_below(rng, 9);
    const minibatches drawn = draw_minibatches(*ring, rng, strategy, k, n_batches, batch_size);
    check_minibatches(drawn, ring, strategy, k);
    for (size_t i = 0; i < batch_size; i++) {
        const hf_pick pick = drawn.picks[i];
        const size_t b = (n_batches - 1) * batch_size + i, steps = pick.goal - pick.record;
        const entry *here = entry_at(m, pick.record), *next = entry_at(m, pick.record + 1);
        const entry *source = entry_at(m, pick.goal);
        const uint64_t *goal = drawn.out.goals + b * ring->goal_words;
        const bool own = strategy != HF_RANDOM || !pick.relabelled; /* the goal is from the same episode */
        if (own) assert(here->t + steps == source->t && steps + source->steps_to_end == here->steps_to_end);
        assert(memcmp(drawn.out.states + b * ring->state_words, here->state, ring->state_words * 8) == 0);
        assert(memcmp(drawn.out.next_states + b * ring->state_words, next->state, ring->state_words * 8) == 0);
        assert(drawn.out.actions[b] == here->action && next->t == here->t + 1);
        const uint64_t *row = ring->records + (size_t)drawn.out.rows[b] * hf_ring_stride(ring);
        assert(row == hf_ring_at(ring, pick.record) && drawn.out.relabelled[b] == pick.relabelled);
        assert(same_bits(goal, pick.relabelled ? source->state : here->goal, ring->goal_bits));
        assert(drawn.out.terminated[b] == same_bits(next->state, goal, ring->goal_bits));
        const bool on_path = own && pick.goal > pick.record && same_bits(source->state, goal, ring->goal_bits);
        assert(drawn.out.steps_to_goal[b] == (on_path ? (int32_t)steps : 0));
    }
    free_minibatches(drawn);
}

static inline void validate(const modelled_ring *m) {
    hf_ring miscounted = m->ring;
    miscounted.n_transitions++;
    assert(hf_ring_is_valid(&m->ring, never) && !hf_ring_is_valid(&miscounted, never));
    for (size_t age = 0; age < m->ring.size; age++) {
        const entry *want = entry_at(m, age);
        uint64_t *record = hf_ring_at(&m->ring, age), meta = *hf_record_meta(&m->ring, record);
        assert(memcmp(record, want->state, m->ring.state_words * 8) == 0);
        assert(memcmp(hf_record_goal(&m->ring, record), want->goal, m->ring.goal_words * 8) == 0);
        assert(hf_t(meta) == want->t && hf_steps_to_end(meta) == want->steps_to_end && hf_action(meta) == want->action);
        assert(hf_end(meta) == want->end);
    }
}

/* Set a bit past the end of a goal or of a state that is read. It must be found. */
static inline void find_unclean(modelled_ring *m, bitgen_t *rng) {
    const hf_ring *ring = &m->ring;
    const episodes e = draw_episodes(rng, ring, 1 + hf_draw_below(rng, 5), 1 + hf_draw_below(rng, 6));
    const size_t bad = hf_draw_below(rng, e.n), t = hf_draw_below(rng, (size_t)e.lengths[bad] + 1);
    const bool in_goal = hf_draw_below(rng, 2);
    const size_t n_bits = in_goal ? ring->goal_bits : ring->state_bits, n_words = hf_words(n_bits);
    uint64_t *string = in_goal ? e.goals + bad * n_words : e.states + (t * e.n + bad) * n_words;
    if (n_bits % 64) hf_flip(string, n_bits + hf_draw_below(rng, n_words * 64 - n_bits));
    assert(first_unclean(ring, e) == (n_bits % 64 ? bad : e.n));
    free_episodes(e);
}

static inline void replace_ring(modelled_ring *m, bitgen_t *rng) {
    const size_t state_bits = draw_size(rng);
    const size_t goal_bits = hf_draw_below(rng, 2) ? state_bits : 1 + hf_draw_below(rng, state_bits);
    free(m->ring.records), free(m->entries);
    *m = (modelled_ring){new_ring(1 + draw_size(rng), state_bits, goal_bits), allocate(MODEL, sizeof(entry)), 0};
    add(m, rng); /* an empty ring cannot be sampled */
}

/* Put random values into the records and, within its range, the cursor. Every operation must end and may only
 * read and write its own memory. */
static inline void tamper(modelled_ring *m, bitgen_t *rng) {
    hf_ring ring = m->ring;
    const size_t n_words = ring.capacity * hf_ring_stride(&ring);
    if (hf_draw_below(rng, 2))
        hf_draw_words(rng, ring.records, n_words, UINT64_MAX);
    else
        for (int i = 0; i < 4; i++) ring.records[hf_draw_below(rng, n_words)] = rng->next_uint64(rng->state);
    if (hf_draw_below(rng, 2)) {
        ring.size = 1 + hf_draw_below(rng, ring.capacity);
        ring.head = ring.size < ring.capacity ? ring.size : hf_draw_below(rng, ring.capacity);
        ring.n_transitions = 1 + hf_draw_below(rng, ring.size);
    }
    /* Sampling fails without a transition. */
    *hf_record_meta(&ring, hf_ring_at(&ring, hf_draw_below(rng, ring.size))) |= UINT64_C(1) << 32;
    hf_ring_is_valid(&ring, never);
    for (int strategy = HF_FUTURE; strategy <= HF_RANDOM; strategy++)
        free_minibatches(draw_minibatches(ring, rng, (hf_strategy)strategy, 1, 1, 1 + hf_draw_below(rng, 4)));
    const episodes e = draw_episodes(rng, &ring, 2, 1 + hf_draw_below(rng, ring.capacity - 1));
    add_episodes(&ring, e);
    free_episodes(e);
    replace_ring(m, rng);
}

#endif
