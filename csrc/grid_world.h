/* Grid world: one agent on the free cells of a map, many episodes at once.
 *
 * State and goal have one bit per free cell, in reading order. Exactly one of them is 1: the position. Actions 0
 * to 3 move up, right, down and left. A move into a wall leaves the state as it is. An episode terminates when
 * its state equals its goal.
 *
 * The order of draws is a contract. Reset draws episode after episode: first a number below n_starts, the row of
 * the start in the table `starts`, then a number below the count of the other cells of its component. This is
 * the row of the goal, counted from the first row of the component without the row of the start. Steps draw
 * nothing.
 */
#ifndef HF_GRID_WORLD_H
#define HF_GRID_WORLD_H

#include <string.h>

#include "bits.h"
#include "draw.h"

enum { HF_GRID_ACTIONS = 4 };

/* Tables of a map. A component is a set of two or more connected cells. A row of `starts` is a cell of a
 * component, the first row of this component, and the row after its last one. Rows of a component are
 * consecutive. */
typedef struct {
    size_t n_cells, n_starts;
    const uint16_t *next;   /* [n_cells, 4], cell that each action leads to */
    const uint16_t *starts; /* [n_starts, 3] */
} hf_grid;

/* Start n_games episodes. OUT: states, goals [n_games, W]. */
static inline void hf_grid_world_reset(bitgen_t *rng, size_t n_games, hf_grid grid, uint64_t *out_states,
                                       uint64_t *out_goals) {
    const size_t n_words = hf_words(grid.n_cells);
    memset(out_states, 0, n_games * n_words * sizeof *out_states);
    memset(out_goals, 0, n_games * n_words * sizeof *out_goals);
    for (size_t game = 0; game < n_games; game++) {
        const size_t start = hf_draw_below(rng, grid.n_starts);
        const size_t first = grid.starts[3 * start + 1], end = grid.starts[3 * start + 2];
        size_t goal = first + hf_draw_below(rng, end - first - 1);
        goal += goal >= start;
        assert(goal < end && end <= grid.n_starts);
        hf_flip(out_states + game * n_words, grid.starts[3 * start]);
        hf_flip(out_goals + game * n_words, grid.starts[3 * goal]);
    }
}

/* Step the episodes listed in `active`. Rows of other episodes are neither read nor written.
 * IN: active [n_active], indices of episodes; states, goals [E, W]; actions [E], below 4.
 * OUT: states [E, W], which may be the array `states` itself; terminated [E]. */
static inline void hf_grid_world_step(size_t n_active, const int64_t *active, hf_grid grid, const uint64_t *states,
                                      const uint64_t *goals, const uint16_t *actions, uint64_t *out_states,
                                      bool *out_terminated) {
    const size_t n_words = hf_words(grid.n_cells);
    for (size_t a = 0; a < n_active; a++) {
        const size_t game = (size_t)active[a], cell = hf_only_one(states + game * n_words, grid.n_cells);
        const size_t next_cell = grid.next[HF_GRID_ACTIONS * cell + actions[game]];
        uint64_t *next = out_states + game * n_words;
        assert(next_cell < grid.n_cells);
        hf_copy(next, states + game * n_words, n_words);
        hf_flip(next, cell);
        hf_flip(next, next_cell);
        out_terminated[game] = hf_equal(next, goals + game * n_words, n_words);
    }
}

/* Return the first invalid position in `active`, or n_active if there is none. A position is invalid if its
 * index is out of range, its action is not below 4, or its state or goal does not have exactly one 1. */
static inline size_t hf_grid_world_first_bad(size_t n_active, const int64_t *active, size_t n_games, size_t n_cells,
                                             const uint64_t *states, const uint64_t *goals,
                                             const uint16_t *actions) {
    const size_t n_words = hf_words(n_cells);
    for (size_t a = 0; a < n_active; a++) {
        const size_t game = (size_t)active[a];
        if (game >= n_games || actions[game] >= HF_GRID_ACTIONS) return a;
        if (hf_only_one(states + game * n_words, n_cells) == n_cells) return a;
        if (hf_only_one(goals + game * n_words, n_cells) == n_cells) return a;
    }
    return n_active;
}

#endif
