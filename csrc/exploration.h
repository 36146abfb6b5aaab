/* Epsilon-greedy exploration for many episodes at once.
 *
 * The order of draws is a contract: first one number in [0, 1) per active episode, in order, then one action per
 * episode whose number is below epsilon, in order. The draws are those of NumPy's Generator.random and
 * Generator.integers.
 */
#ifndef HF_EXPLORATION_H
#define HF_EXPLORATION_H

#include "draw.h"

/* Replace the actions of some episodes by random ones, uniform in 0..n_actions-1.
 * IN: active [n_active], indices of episodes, each below E. OUT: actions [E]. SCRATCH: explorers [n_active]. */
static inline void hf_explore(bitgen_t *rng, double epsilon, uint32_t n_actions, size_t n_active,
                              const int64_t *active, int64_t *explorers, uint16_t *out_actions) {
    size_t n_explorers = 0;
    assert(1 <= n_actions && n_actions <= 65536);
    for (size_t a = 0; a < n_active; a++)
        if (rng->next_double(rng->state) < epsilon) explorers[n_explorers++] = active[a];
    for (size_t i = 0; i < n_explorers; i++) out_actions[explorers[i]] = (uint16_t)hf_draw_below_32(rng, n_actions);
}

#endif
