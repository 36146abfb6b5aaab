/* Part of test_csrc.c and fuzz_csrc.c: the index of episodes, compared with a model, and copies of rows. */
#ifndef HF_TEST_EPISODES_H
#define HF_TEST_EPISODES_H

#include "test_support.h"

#include "episode_index.h"
#include "gather.h"

/* For each slot of each environment: the number of its episode, and its step. Episode 0 is none. */
typedef struct {
    hf_index index;
    size_t *episodes, *steps; /* [n_slots, n_envs] */
    size_t *current, *step;   /* [n_envs], of the running episodes */
    bool *finished;           /* [n_episodes] */
    size_t next_slot, n_episodes;
} modelled_index;

enum { MOST_EPISODES = 4096 };

static inline modelled_index new_index(size_t n_slots, size_t n_envs) {
    const size_t n = n_slots * n_envs;
    modelled_index m = {
        .index = {n_slots, n_envs, allocate(n, 8), allocate(n, 8), allocate(n_envs, 8), allocate(n_envs, 8)},
        .episodes = allocate(n, sizeof(size_t)), .steps = allocate(n, sizeof(size_t)),
        .current = allocate(n_envs, sizeof(size_t)), .step = allocate(n_envs, sizeof(size_t)),
        .finished = allocate(MOST_EPISODES, 1)};
    for (size_t env = 0; env < n_envs; env++) m.current[env] = ++m.n_episodes;
    return m;
}

static inline void free_index(modelled_index *m) {
    free(m->index.starts), free(m->index.lengths), free(m->index.running), free(m->index.counts);
    free(m->episodes), free(m->steps), free(m->current), free(m->step), free(m->finished);
}

/* Remove all slots of an episode. */
static inline void forget(modelled_index *m, size_t episode) {
    for (size_t row = 0; row < m->index.n_slots * m->index.n_envs; row++)
        if (m->episodes[row] == episode) m->episodes[row] = 0;
}

/* Store a transition of each environment. Each episode ends with probability 1 / mean_length. */
static inline void add_transitions(modelled_index *m, bitgen_t *rng, size_t mean_length) {
    const size_t n_envs = m->index.n_envs, slot = m->next_slot;
    hf_begin_slot(&m->index, slot);
    m->next_slot = (slot + 1) % m->index.n_slots;
    for (size_t env = 0; env < n_envs; env++) {
        const size_t row = slot * n_envs + env, old = m->episodes[row];
        if (old && old != m->current[env]) forget(m, old);
        m->episodes[row] = m->current[env], m->steps[row] = m->step[env]++;
        if (hf_draw_below(rng, mean_length)) continue;
        hf_end_episode(&m->index, env, m->next_slot);
        const size_t kept = m->step[env] % m->index.n_slots; /* of an episode that is longer than the ring */
        for (size_t r = env; r < m->index.n_slots * n_envs; r += n_envs)
            if (m->episodes[r] == m->current[env]) {
                if (m->steps[r] + kept < m->step[env]) m->episodes[r] = 0;
                m->steps[r] -= m->step[env] - kept;
            }
        m->finished[m->current[env]] = true, m->current[env] = ++m->n_episodes, m->step[env] = 0;
    }
}

static inline bool can_be_chosen(const modelled_index *m, size_t row) { return m->finished[m->episodes[row]]; }

/* Choose transitions and goals, and check each with the model. */
static inline void choose_some(const modelled_index *m, bitgen_t *rng, hf_strategy strategy) {
    enum { N = 40, GOALS = 33 };
    const hf_index *index = &m->index;
    uint64_t *ends = allocate(index->n_envs, 8), total = 0;
    int64_t *rows = allocate(N, 8), *goal_rows = allocate(GOALS, 8);
    for (size_t row = 0; row < index->n_slots * index->n_envs; row++) total += can_be_chosen(m, row);
    assert(hf_sum_counts(index, ends) == total);
    if (total) hf_choose(index, rng, strategy, ends, N, rows, GOALS, goal_rows);
    for (size_t i = 0; total && i < N; i++) {
        const size_t row = (size_t)rows[i];
        assert(row < index->n_slots * index->n_envs && can_be_chosen(m, row));
        if (i < N - GOALS) continue;
        const size_t goal = (size_t)goal_rows[i - (N - GOALS)], length = index->lengths[row];
        assert(goal < index->n_slots * index->n_envs && can_be_chosen(m, goal));
        if (strategy != HF_RANDOM) assert(m->episodes[goal] == m->episodes[row]);
        if (strategy == HF_FUTURE) assert(m->steps[goal] >= m->steps[row]);
        if (strategy == HF_FINAL) assert(m->steps[goal] + 1 == length);
    }
    free(ends), free(rows), free(goal_rows);
}

/* Values that other code wrote must give rows of the ring. */
static inline void choose_from_random_words(bitgen_t *rng, size_t n_slots, size_t n_envs) {
    modelled_index m = new_index(n_slots, n_envs);
    uint64_t *arrays[] = {m.index.starts, m.index.lengths, m.index.running, m.index.counts};
    int64_t rows[9], goal_rows[9];
    uint64_t *ends = allocate(n_envs, 8);
    for (size_t a = 0; a < 4; a++) hf_draw_words(rng, arrays[a], a < 2 ? n_slots * n_envs : n_envs, UINT64_MAX);
    if (hf_sum_counts(&m.index, ends) == 0) ends[n_envs - 1] = 1;
    for (int strategy = HF_FUTURE; strategy <= HF_RANDOM; strategy++) {
        hf_choose(&m.index, rng, (hf_strategy)strategy, ends, 9, rows, 9, goal_rows);
        for (size_t i = 0; i < 9; i++)
            assert((size_t)rows[i] < n_slots * n_envs && (size_t)goal_rows[i] < n_slots * n_envs);
    }
    hf_begin_slot(&m.index, hf_draw_below(rng, n_slots));
    for (size_t env = 0; env < n_envs; env++) hf_end_episode(&m.index, env, hf_draw_below(rng, n_slots));
    free(ends), free_index(&m);
}

static inline void test_index(bitgen_t *rng, size_t n_slots, size_t n_envs, size_t mean_length) {
    modelled_index m = new_index(n_slots, n_envs);
    for (int step = 0; step < 150; step++) {
        add_transitions(&m, rng, mean_length);
        for (size_t row = 0; row < n_slots * n_envs; row++)
            assert((m.index.lengths[row] > 0) == can_be_chosen(&m, row));
        for (int strategy = HF_FUTURE; strategy <= HF_RANDOM; strategy++) choose_some(&m, rng, (hf_strategy)strategy);
    }
    free_index(&m);
    choose_from_random_words(rng, n_slots, n_envs);
}

static inline void test_gather(bitgen_t *rng, size_t n, size_t n_rows, size_t row_bytes) {
    char *source = allocate(n_rows, row_bytes), *other = allocate(n_rows, 1);
    char *out = allocate(n, row_bytes), *other_out = allocate(n, 1);
    int64_t *rows = allocate(n, 8);
    for (size_t i = 0; i < n_rows * row_bytes; i++) source[i] = (char)hf_draw_below(rng, 256);
    for (size_t i = 0; i < n_rows; i++) other[i] = (char)i;
    for (size_t i = 0; i < n; i++) rows[i] = (int64_t)hf_draw_below(rng, n_rows);
    const hf_column columns[] = {{source, out, row_bytes}, {other, other_out, 1}};
    hf_gather(2, columns, n, rows);
    for (size_t i = 0; i < n; i++) {
        assert(memcmp(out + i * row_bytes, source + (size_t)rows[i] * row_bytes, row_bytes) == 0);
        assert(other_out[i] == (char)rows[i]);
    }
    free(source), free(other), free(out), free(other_out), free(rows);
}

#endif
