/* Part of fuzz_csrc.c: a group of episodes of one environment, compared with a simple model. */
#ifndef HF_FUZZ_GAMES_H
#define HF_FUZZ_GAMES_H

#include "fuzz_envs.h"

enum { MOST_GAMES = 40 };

typedef struct {
    fuzzed_env env;
    size_t n, n_bits, n_words;
    uint64_t *states, *goals;          /* [n, n_words] */
    uint8_t *state_bytes, *goal_bytes; /* [n, n_bits], the model */
} games;

/* Input of env_step. Actions of episodes that are not active are invalid. */
typedef struct {
    size_t n_active;
    int64_t *active;
    uint16_t *actions;
} turn;

static inline void reset_games(games *g, bitgen_t *rng, size_t from, size_t n) {
    env_reset(&g->env, rng, n, g->states + from * g->n_words, g->goals + from * g->n_words);
    for (size_t game = from; game < from + n; game++) {
        uint8_t *state = g->state_bytes + game * g->n_bits, *goal = g->goal_bytes + game * g->n_bits;
        hf_unpack(state, g->states + game * g->n_words, g->n_bits);
        hf_unpack(goal, g->goals + game * g->n_words, g->n_bits);
        check_start(&g->env, state, goal);
    }
}

static inline void check_games(const games *g) {
    uint8_t *bytes = allocate(g->n_bits, 1);
    for (size_t game = 0; game < g->n; game++) {
        hf_unpack(bytes, g->states + game * g->n_words, g->n_bits);
        assert(memcmp(bytes, g->state_bytes + game * g->n_bits, g->n_bits) == 0);
        hf_unpack(bytes, g->goals + game * g->n_words, g->n_bits);
        assert(memcmp(bytes, g->goal_bytes + game * g->n_bits, g->n_bits) == 0);
    }
    free(bytes);
}

static inline void free_games(games *g) {
    free_env(g->env), free(g->states), free(g->goals), free(g->state_bytes), free(g->goal_bytes);
}

static inline void replace_games(games *g, bitgen_t *rng, size_t size) {
    const size_t n = 1 + hf_draw_below(rng, hf_draw_below(rng, 4) ? 5 : MOST_GAMES);
    const fuzzed_env env = draw_env(rng, size);
    free_games(g);
    *g = (games){env, n, env.n_bits, env.n_words, allocate(n * env.n_words, 8), allocate(n * env.n_words, 8),
                 allocate(n, env.n_bits), allocate(n, env.n_bits)};
    reset_games(g, rng, 0, n);
}

/* Reset some consecutive episodes and check that the others are unchanged. */
static inline void reset_some(games *g, bitgen_t *rng) {
    const size_t from = hf_draw_below(rng, g->n);
    reset_games(g, rng, from, 1 + hf_draw_below(rng, g->n - from));
    check_games(g);
}

/* Mostly flip a bit that differs from the goal, so that long strings reach their goals too. */
static inline uint16_t draw_action(const games *g, bitgen_t *rng, size_t game) {
    if (g->env.kind != BITFLIP) return (uint16_t)hf_draw_below(rng, g->env.n_actions);
    const uint8_t *state = g->state_bytes + game * g->n_bits, *goal = g->goal_bytes + game * g->n_bits;
    size_t bit = 0;
    while (bit < g->n_bits && state[bit] == goal[bit]) bit++;
    return (uint16_t)(bit < g->n_bits && hf_draw_below(rng, 4) ? bit : hf_draw_below(rng, g->n_bits));
}

/* Choose about half of the episodes, at least one, in order from a random start. */
static inline turn draw_turn(const games *g, bitgen_t *rng) {
    const size_t from = hf_draw_below(rng, g->n);
    const uint64_t plays = (rng->next_uint64(rng->state) & hf_tail_mask(g->n)) | UINT64_C(1) << from;
    const size_t n_active = (size_t)__builtin_popcountll(plays);
    const turn t = {n_active, allocate(n_active, 8), allocate(g->n, 2)};
    for (size_t i = 0, a = 0; i < g->n; i++) {
        const size_t game = (from + i) % g->n;
        t.actions[game] = UINT16_MAX;
        if (!hf_get(&plays, game)) continue;
        t.active[a++] = (int64_t)game;
        t.actions[game] = draw_action(g, rng, game);
    }
    return t;
}

static inline void free_turn(turn t) { free(t.active), free(t.actions); }

static inline size_t first_bad(const games *g, turn t) {
    return env_first_bad(&g->env, t.n_active, t.active, g->n, g->states, g->goals, t.actions);
}

/* Step, in place or into another array. The outputs of episodes that are not active must not change. */
static inline void step(games *g, bitgen_t *rng) {
    const turn t = draw_turn(g, rng);
    const bool in_place = hf_draw_below(rng, 2);
    uint64_t *out = in_place ? g->states : allocate(g->n * g->n_words, 8);
    uint8_t *played = allocate(g->n, 1);
    bool *terminated = allocate(g->n, 1);
    memset(terminated, in_place, g->n);
    if (!in_place) memset(out, 0xa5, g->n * g->n_words * 8);
    assert(first_bad(g, t) == t.n_active);
    env_step(&g->env, t.n_active, t.active, g->states, g->goals, t.actions, out, terminated);
    for (size_t a = 0; a < t.n_active; a++) played[t.active[a]] = 1;
    for (size_t game = 0; game < g->n; game++) {
        uint8_t *state = g->state_bytes + game * g->n_bits, *goal = g->goal_bytes + game * g->n_bits;
        uint64_t *row = g->states + game * g->n_words, *out_row = out + game * g->n_words;
        if (played[game]) {
            model_step(&g->env, state, t.actions[game]);
            memcpy(row, out_row, in_place ? 0 : g->n_words * 8);
        }
        assert(terminated[game] == (played[game] ? memcmp(state, goal, g->n_bits) == 0 : in_place));
        for (size_t w = 0; w < g->n_words && !in_place && !played[game]; w++)
            assert(out_row[w] == UINT64_C(0xa5a5a5a5a5a5a5a5));
    }
    check_games(g);
    if (!in_place) free(out);
    free(played), free(terminated), free_turn(t);
}

/* Flip a bit of the state or goal of an active episode, which makes it invalid. It must be found. */
static inline void find_bad_bits(games *g, bitgen_t *rng, turn t) {
    const size_t a = hf_draw_below(rng, t.n_active), game = (size_t)t.active[a], n_past = 64 * g->n_words - g->n_bits;
    uint64_t *words = (hf_draw_below(rng, 2) ? g->states : g->goals) + game * g->n_words;
    size_t bit = g->n_bits + hf_draw_below(rng, n_past + (n_past == 0));
    if (g->env.kind == GRID_WORLD) bit = hf_draw_below(rng, 64 * g->n_words); /* no other bit may be flipped */
    if (bit >= 64 * g->n_words) return;
    hf_flip(words, bit);
    assert(first_bad(g, t) == a);
    hf_flip(words, bit);
}

/* Make up to three indices or actions invalid. The first one must be found. */
static inline void find_bad(games *g, bitgen_t *rng) {
    const turn t = draw_turn(g, rng);
    const int64_t indices[] = {-1, (int64_t)g->n, INT64_MIN, INT64_MAX};
    size_t first = t.n_active;
    find_bad_bits(g, rng, t);
    for (uint64_t i = hf_draw_below(rng, 4); i > 0; i--) {
        const size_t a = hf_draw_below(rng, t.n_active), game = (size_t)t.active[a];
        if (game < g->n && hf_draw_below(rng, 2))
            t.actions[game] = hf_draw_below(rng, 2) ? UINT16_MAX : (uint16_t)g->env.n_actions;
        else
            t.active[a] = indices[hf_draw_below(rng, 4)];
        if (a < first) first = a;
    }
    assert(first_bad(g, t) == first);
    free_turn(t);
}

#endif
