/* Episodes of several environments in one ring of slots, and transitions with hindsight goals from them.
 *
 * A slot holds one transition of each environment, and all environments write to the same slot. Row s * E + e
 * is the transition of environment e in slot s. An episode takes consecutive slots, modulo their number.
 *
 * Transitions of finished episodes can be chosen. When the first slot of an episode is overwritten, the whole
 * episode is dropped. So the transitions of an environment that can be chosen are in the `counts` slots before
 * its running episode, and a draw takes O(log E) for any number of slots.
 *
 * The order of draws is a contract:
 *   1. For each transition, in order, draw a number below the count of all transitions. They are numbered by
 *      environment, and in each environment from the oldest.
 *   2. For each of the last n_goals transitions, in order, draw the transition that leads to its goal. For
 *      transition t of an episode of length L, 0 <= t < L, its index in the episode is
 *      future: t + a number below L - t
 *      final: L - 1, no draw
 *      episode: a number below L
 *      random: instead, draw any transition as in step 1
 */
#ifndef HF_EPISODE_INDEX_H
#define HF_EPISODE_INDEX_H

#include "draw.h"
#include "hindsight.h"

typedef struct {
    size_t n_slots, n_envs;
    uint64_t *starts;  /* [n_slots, n_envs], first slot of the episode in a slot */
    uint64_t *lengths; /* [n_slots, n_envs], its length, 0 unless the episode is finished and whole */
    uint64_t *running; /* [n_envs], first slot of the running episode, or the next slot */
    uint64_t *counts;  /* [n_envs], number of transitions that can be chosen */
} hf_index;

/* Return a slot below n_slots, given one that is at most one lap ahead. Corrupt numbers give another slot. */
static inline size_t hf_wrap(const hf_index *index, uint64_t slot) {
    if (slot >= index->n_slots) slot -= index->n_slots;
    if (__builtin_expect(slot >= index->n_slots, 0)) slot %= index->n_slots;
    return slot;
}

/* Return the row of an environment that is `steps` slots after a slot. */
static inline size_t hf_row_after(const hf_index *index, size_t env, uint64_t slot, uint64_t steps) {
    return hf_wrap(index, slot + steps) * index->n_envs + env;
}

/* Return the number of slots from one slot to a later one. */
static inline uint64_t hf_slots_between(const hf_index *index, uint64_t from, uint64_t to) {
    return hf_wrap(index, to + index->n_slots - from);
}

/* Set the lengths of the slots of an episode. */
static inline void hf_set_lengths(const hf_index *index, size_t env, uint64_t start, uint64_t length,
                                  uint64_t value) {
    for (uint64_t i = 0; i < length && i < index->n_slots; i++)
        index->lengths[hf_row_after(index, env, start, i)] = value;
}

/* Begin to write a slot: drop the episodes that start in it, and assign it to the running ones. */
static inline void hf_begin_slot(const hf_index *index, size_t slot) {
    for (size_t env = 0; env < index->n_envs; env++) {
        const size_t row = slot * index->n_envs + env;
        const uint64_t length = index->lengths[row];
        hf_set_lengths(index, env, slot, length, 0);
        index->counts[env] -= length;
        index->starts[row] = index->running[env];
    }
}

/* End the running episode of an environment, given the next slot. Of an episode longer than the ring, the
 * remainder of its length modulo n_slots is kept, as in Stable-Baselines3. */
static inline void hf_end_episode(const hf_index *index, size_t env, size_t next_slot) {
    const uint64_t length = hf_slots_between(index, index->running[env], next_slot);
    hf_set_lengths(index, env, index->running[env], length, length);
    index->counts[env] += length;
    index->running[env] = next_slot;
}

/* Write the sums of counts[0..e] for each environment e to `ends` [n_envs]; return the last one. */
static inline uint64_t hf_sum_counts(const hf_index *index, uint64_t *ends) {
    uint64_t total = 0;
    for (size_t env = 0; env < index->n_envs; env++) ends[env] = total += index->counts[env];
    return total;
}

/* Draw a row as in step 1, given the sums of hf_sum_counts. */
static inline size_t hf_draw_row(const hf_index *index, bitgen_t *rng, const uint64_t *ends) {
    const uint64_t number = hf_draw_below(rng, ends[index->n_envs - 1]);
    size_t env = 0, high = index->n_envs - 1; /* the first environment with number < ends[env] */
    while (env < high) {
        const size_t middle = (env + high) / 2;
        if (number < ends[middle])
            high = middle;
        else
            env = middle + 1;
    }
    const uint64_t from_end = ends[env] - number; /* from 1 to counts[env] */
    return hf_row_after(index, env, index->running[env], index->n_slots - from_end);
}

/* Draw the row that leads to a goal for a row, as in step 2. */
static inline size_t hf_draw_goal_row(const hf_index *index, bitgen_t *rng, hf_strategy strategy, const uint64_t *ends,
                                      size_t row) {
    const size_t env = row % index->n_envs, slot = row / index->n_envs;
    const uint64_t start = index->starts[row], length = index->lengths[row];
    const uint64_t t = hf_slots_between(index, start, slot);
    switch (strategy) {
    case HF_FUTURE:
        return hf_row_after(index, env, start, t + hf_draw_below(rng, t < length ? length - t : 1));
    case HF_EPISODE:
        return hf_row_after(index, env, start, hf_draw_below(rng, length > 0 ? length : 1));
    case HF_RANDOM:
        return hf_draw_row(index, rng, ends);
    case HF_FINAL:
        break;
    }
    return hf_row_after(index, env, start, length - 1);
}

/* Draw n transitions, and goals for the last n_goals of them. `ends` must not end with 0.
 * OUT: rows [n]; goal_rows [n_goals]. */
static inline void hf_choose(const hf_index *index, bitgen_t *rng, hf_strategy strategy, const uint64_t *ends, size_t n,
                             int64_t *rows, size_t n_goals, int64_t *goal_rows) {
    for (size_t i = 0; i < n; i++) {
        const size_t row = hf_draw_row(index, rng, ends);
        __builtin_prefetch(&index->starts[row], 0, 2);
        __builtin_prefetch(&index->lengths[row], 0, 2);
        rows[i] = (int64_t)row;
    }
    for (size_t i = 0; i < n_goals; i++)
        goal_rows[i] = (int64_t)hf_draw_goal_row(index, rng, strategy, ends, (size_t)rows[n - n_goals + i]);
}

#endif
