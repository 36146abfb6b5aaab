/* Part of test_csrc.c: the environments. */
#ifndef HF_TEST_ENVS_H
#define HF_TEST_ENVS_H

#include "test_grid.h"

enum { GAMES = 37 };

static inline void test_bitflip(bitgen_t *rng, size_t n) {
    const size_t n_words = hf_words(n);
    uint64_t *states = allocate(GAMES * n_words, 8), *goals = allocate(GAMES * n_words, 8);
    uint64_t *before = allocate(GAMES * n_words, 8);
    uint16_t actions[GAMES];
    int64_t active[GAMES];
    bool terminated[GAMES] = {false};
    size_t n_active = 0;
    hf_bitflip_reset(rng, GAMES, n, states, goals);
    for (size_t game = 0; game < GAMES; game++) {
        assert(hf_is_clean(states + game * n_words, n) && hf_is_clean(goals + game * n_words, n));
        assert(!hf_equal(states + game * n_words, goals + game * n_words, n_words));
        actions[game] = (uint16_t)hf_draw_below(rng, n);
        if (game % 3) active[n_active++] = (int64_t)game;
    }
    hf_copy(goals + n_words, states + n_words, n_words);
    hf_flip(goals + n_words, actions[1]); /* the next step of episode 1 reaches its goal */
    hf_copy(before, states, GAMES * n_words);
    assert(hf_bitflip_first_bad(n_active, active, GAMES, n, states, goals, actions) == n_active);
    hf_bitflip_step(n_active, active, n_words, states, goals, actions, states, terminated);
    for (size_t game = 0; game < GAMES; game++) {
        if (game % 3) hf_flip(before + game * n_words, actions[game]);
        assert(terminated[game] == (game % 3 && hf_equal(before + game * n_words, goals + game * n_words, n_words)));
    }
    assert(terminated[1] && hf_equal(before, states, GAMES * n_words));
    if (n % 64) hf_flip(goals + (size_t)active[6] * n_words, n);
    assert(hf_bitflip_first_bad(n_active, active, GAMES, n, states, goals, actions) == (n % 64 ? 6 : n_active));
    actions[active[5]] = (uint16_t)n;
    assert(hf_bitflip_first_bad(n_active, active, GAMES, n, states, goals, actions) == 5);
    if (n % 64) hf_flip(states + (size_t)active[4] * n_words, n);
    assert(hf_bitflip_first_bad(n_active, active, GAMES, n, states, goals, actions) == (n % 64 ? 4 : 5));
    active[3] = -1;
    assert(hf_bitflip_first_bad(n_active, active, GAMES, n, states, goals, actions) == 3);
    free(states), free(goals), free(before);
}

static inline void test_fixed_goal(bitgen_t *rng, size_t n) {
    const size_t n_words = hf_words(n);
    uint64_t *states = allocate(GAMES * n_words, 8), *goals = allocate(GAMES * n_words, 8);
    uint64_t *goal = allocate(n_words, 8);
    hf_draw_words(rng, goal, n_words, hf_tail_mask(n));
    hf_bitflip_reset_to(rng, GAMES, n, goal, states, goals);
    for (size_t game = 0; game < GAMES; game++) {
        assert(hf_is_clean(states + game * n_words, n) && hf_equal(goals + game * n_words, goal, n_words));
        assert(!hf_equal(states + game * n_words, goal, n_words));
    }
    free(states), free(goals), free(goal);
}

/* Move every agent in all four directions. */
static inline void test_grid_world(bitgen_t *rng, size_t n) {
    const size_t n_words = hf_words(n);
    const grid_map m = draw_map(rng, n);
    uint64_t *states = allocate(n * n_words, 8), *goals = allocate(n * n_words, 8);
    uint64_t *next = allocate(n * n_words, 8);
    uint16_t *actions = allocate(n, 2);
    int64_t *active = allocate(n, 8);
    bool *terminated = allocate(n, 1);
    hf_grid_world_reset(rng, n, m.grid, states, goals);
    for (size_t cell = 0; cell < n; cell++) {
        const size_t start = hf_only_one(states + cell * n_words, n), goal = hf_only_one(goals + cell * n_words, n);
        assert(start < n && goal < n && start != goal && m.component[start] == m.component[goal]);
        active[cell] = (int64_t)(n - 1 - cell);
    }
    memset(states, 0, n * n_words * 8);
    for (size_t cell = 0; cell < n; cell++) hf_flip(states + cell * n_words, cell);
    for (size_t action = 0; action < 4; action++) {
        for (size_t cell = 0; cell < n; cell++) actions[cell] = (uint16_t)action;
        assert(hf_grid_world_first_bad(n, active, n, n, states, goals, actions) == n);
        hf_grid_world_step(n, active, m.grid, states, goals, actions, next, terminated);
        for (size_t cell = 0; cell < n; cell++) {
            const size_t moved = hf_only_one(next + cell * n_words, n);
            assert(m.places[moved] == move_on_map(&m, m.places[cell], action));
            assert(terminated[cell] == (hf_only_one(goals + cell * n_words, n) == moved));
        }
    }
    hf_flip(goals, (hf_only_one(goals, n) + 1) % n);
    assert(hf_grid_world_first_bad(n, active, n, n, states, goals, actions) == n - 1);
    hf_flip(states + n_words, 0);
    assert(hf_grid_world_first_bad(n, active, n, n, states, goals, actions) == n - 2);
    actions[n - 1] = 4;
    assert(hf_grid_world_first_bad(n, active, n, n, states, goals, actions) == 0);
    free(states), free(goals), free(next), free(actions), free(active), free(terminated), free_map(m);
}

/* Press every cell of a board twice. */
static inline void test_lights_out(bitgen_t *rng, size_t width, size_t height) {
    const size_t n = width * height, n_words = hf_words(n);
    uint64_t *state = allocate(n_words, 8), *goal = allocate(n_words, 8), *next = allocate(n_words, 8);
    uint64_t *presses = allocate(n_words, 8);
    bool terminated = true;
    for (size_t most = 0; most <= n; most = most < 4 ? most + 1 : most + n / 3 + 1) {
        hf_lights_out_reset(rng, 1, width, height, most, presses, state, goal);
        assert(hf_is_clean(state, n) && hf_is_clean(goal, n) && !hf_equal(state, goal, n_words));
        size_t n_pressed = 0;
        for (size_t cell = 0; cell < n; cell++) n_pressed += hf_get(presses, cell);
        assert(n_pressed >= 1 && (most == 0 || n_pressed <= most));
    }
    for (uint16_t cell = 0; cell < n; cell++) {
        const uint16_t actions[] = {cell};
        const int64_t active[] = {0};
        hf_copy(next, state, n_words);
        hf_lights_out_press(next, width, height, cell);
        assert(hf_is_clean(next, n) && hf_get(next, cell) != hf_get(state, cell));
        hf_lights_out_step(1, active, width, height, next, state, actions, next, &terminated);
        assert(terminated && hf_equal(next, state, n_words));
    }
    free(state), free(goal), free(next), free(presses);
}

#endif
