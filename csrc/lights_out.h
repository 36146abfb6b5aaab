/* Lights-out environment: a board of lights, many episodes at once.
 *
 * Cell row * width + column is a bit of the state, and pressing it is an action. It flips this cell and its up to
 * four neighbours. An episode terminates when its state equals its goal. hf_bitflip_first_bad validates steps.
 *
 * The order of draws is a contract. Reset draws episode after episode: first the words of the start state
 * from word 0, then presses. The goal is the board after them. While it equals the start state, reset draws
 * other presses. Presses are drawn in one of two ways:
 *   any number: words from word 0, in which the bits of the pressed cells are 1
 *   at most m: 1 + a number below m is their number k; then Floyd's algorithm (Bentley and Floyd 1987) for k
 *     different cells: for last = n - k, ..., n - 1, a number below last + 1 is the next cell; if this cell
 *     has been pressed, the next cell is `last` instead
 * Steps draw nothing.
 */
#ifndef HF_LIGHTS_OUT_H
#define HF_LIGHTS_OUT_H

#include <string.h>

#include "bits.h"
#include "draw.h"

static inline void hf_lights_out_press(uint64_t *board, size_t width, size_t height, size_t cell) {
    const size_t row = cell / width, column = cell % width;
    hf_flip(board, cell);
    if (row > 0) hf_flip(board, cell - width);
    if (row + 1 < height) hf_flip(board, cell + width);
    if (column > 0) hf_flip(board, cell - 1);
    if (column + 1 < width) hf_flip(board, cell + 1);
}

/* Draw the cells to press out of n: any number of them if most is 0, otherwise 1 to `most` <= n. OUT: presses [W]. */
static inline void hf_draw_presses(bitgen_t *rng, size_t n, size_t most, uint64_t *out_presses) {
    const size_t n_words = hf_words(n);
    if (most == 0) {
        hf_draw_words(rng, out_presses, n_words, hf_tail_mask(n));
        return;
    }
    memset(out_presses, 0, n_words * sizeof *out_presses);
    for (size_t last = n - 1 - hf_draw_below(rng, most); last < n; last++) {
        const size_t cell = hf_draw_below(rng, last + 1);
        hf_flip(out_presses, hf_get(out_presses, cell) ? last : cell);
    }
}

/* Start n_games episodes on boards of width * height >= 1 cells. The goal is the start state after any number of
 * presses if most_presses is 0, otherwise after at most most_presses.
 * OUT: states, goals [n_games, W]. SCRATCH: presses [W]. */
static inline void hf_lights_out_reset(bitgen_t *rng, size_t n_games, size_t width, size_t height,
                                       size_t most_presses, uint64_t *presses, uint64_t *out_states,
                                       uint64_t *out_goals) {
    const size_t n = width * height, n_words = hf_words(n);
    for (size_t game = 0; game < n_games; game++) {
        uint64_t *state = out_states + game * n_words, *goal = out_goals + game * n_words;
        hf_draw_words(rng, state, n_words, hf_tail_mask(n));
        do {
            hf_draw_presses(rng, n, most_presses, presses);
            hf_copy(goal, state, n_words);
            for (size_t cell = 0; cell < n; cell++)
                if (hf_get(presses, cell)) hf_lights_out_press(goal, width, height, cell);
        } while (hf_equal(state, goal, n_words));
    }
}

/* Step the episodes listed in `active`. Rows of other episodes are neither read nor written.
 * IN: active [n_active], indices of episodes; states, goals [E, W]; actions [E], below width * height.
 * OUT: states [E, W], which may be the array `states` itself; terminated [E]. */
static inline void hf_lights_out_step(size_t n_active, const int64_t *active, size_t width, size_t height,
                                      const uint64_t *states, const uint64_t *goals, const uint16_t *actions,
                                      uint64_t *out_states, bool *out_terminated) {
    const size_t n_words = hf_words(width * height);
    for (size_t a = 0; a < n_active; a++) {
        const size_t game = (size_t)active[a];
        uint64_t *next = out_states + game * n_words;
        hf_copy(next, states + game * n_words, n_words);
        hf_lights_out_press(next, width, height, actions[game]);
        out_terminated[game] = hf_equal(next, goals + game * n_words, n_words);
    }
}

#endif
