/* Bit-flipping environment (Andrychowicz et al. 2017, section 3.1), many episodes at once.
 *
 * Action i flips bit i. An episode terminates when its state equals its goal.
 *
 * The order of draws is a contract. Reset draws episode after episode: first the words of the start state
 * from word 0, then the words of the goal. While the goal equals the start state, it draws the words of
 * another goal. With a fixed goal, it draws the words of the start state, and again while the start state
 * equals the goal. Steps draw nothing.
 */
#ifndef HF_BITFLIP_H
#define HF_BITFLIP_H

#include "bits.h"
#include "draw.h"

/* Start n_games episodes of n_bits >= 1 bits. OUT: states, goals [n_games, W]. */
static inline void hf_bitflip_reset(bitgen_t *rng, size_t n_games, size_t n_bits, uint64_t *out_states,
                                    uint64_t *out_goals) {
    const size_t n_words = hf_words(n_bits);
    const uint64_t mask = hf_tail_mask(n_bits);
    for (size_t game = 0; game < n_games; game++) {
        uint64_t *state = out_states + game * n_words, *goal = out_goals + game * n_words;
        hf_draw_words(rng, state, n_words, mask);
        do {
            hf_draw_words(rng, goal, n_words, mask);
        } while (hf_equal(state, goal, n_words));
    }
}

/* Start n_games episodes of n_bits >= 1 bits with the same goal.
 * IN: goal [W], apart from the outputs. OUT: states, goals [n_games, W]. */
static inline void hf_bitflip_reset_to(bitgen_t *rng, size_t n_games, size_t n_bits, const uint64_t *goal,
                                       uint64_t *out_states, uint64_t *out_goals) {
    const size_t n_words = hf_words(n_bits);
    const uint64_t mask = hf_tail_mask(n_bits);
    for (size_t game = 0; game < n_games; game++) {
        uint64_t *state = out_states + game * n_words;
        do {
            hf_draw_words(rng, state, n_words, mask);
        } while (hf_equal(state, goal, n_words));
        hf_copy(out_goals + game * n_words, goal, n_words);
    }
}

/* Step the episodes listed in `active`. Rows of other episodes are neither read nor written.
 * IN: active [n_active], indices of episodes; states, goals [E, W]; actions [E], below the number of bits.
 * OUT: states [E, W], which may be the array `states` itself; terminated [E]. */
static inline void hf_bitflip_step(size_t n_active, const int64_t *active, size_t n_words, const uint64_t *states,
                                   const uint64_t *goals, const uint16_t *actions, uint64_t *out_states,
                                   bool *out_terminated) {
    for (size_t a = 0; a < n_active; a++) {
        const size_t game = (size_t)active[a];
        uint64_t *next = out_states + game * n_words;
        hf_copy(next, states + game * n_words, n_words);
        hf_flip(next, actions[game]);
        out_terminated[game] = hf_equal(next, goals + game * n_words, n_words);
    }
}

/* Return the first invalid position in `active`, or n_active if there is none. A position is invalid if its
 * index is out of range, its action is not below n_bits, or its state or goal has a bit past the end. */
static inline size_t hf_bitflip_first_bad(size_t n_active, const int64_t *active, size_t n_games, size_t n_bits,
                                          const uint64_t *states, const uint64_t *goals, const uint16_t *actions) {
    const size_t n_words = hf_words(n_bits);
    const uint64_t past_end = ~hf_tail_mask(n_bits);
    for (size_t a = 0; a < n_active; a++) {
        const size_t game = (size_t)active[a], last = game * n_words + n_words - 1;
        if (game >= n_games || actions[game] >= n_bits || ((states[last] | goals[last]) & past_end)) return a;
    }
    return n_active;
}

#endif
