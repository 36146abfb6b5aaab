/* Part of fuzz_csrc.c: the environments, each with a simple model of its steps on arrays of bytes. */
#ifndef HF_FUZZ_ENVS_H
#define HF_FUZZ_ENVS_H

#include "test_grid.h"

typedef enum { BITFLIP, GRID_WORLD, LIGHTS_OUT, ENVS } env_kind;

typedef struct {
    env_kind kind;
    size_t n_bits, n_words, n_actions;
    uint64_t *goal;                     /* [n_words], fixed goal of bit flipping, or NULL */
    grid_map map;                       /* of the grid world */
    size_t width, height, most_presses; /* of the board of lights */
    uint64_t *presses;                  /* [n_words], scratch */
} fuzzed_env;

static inline fuzzed_env draw_env(bitgen_t *rng, size_t n_bits) {
    fuzzed_env env = {.kind = (env_kind)hf_draw_below(rng, ENVS), .n_bits = n_bits, .n_actions = n_bits};
    if (env.kind == GRID_WORLD) {
        env.n_bits += n_bits == 1;
        env.n_actions = 4;
        env.map = draw_map(rng, env.n_bits);
    } else if (env.kind == LIGHTS_OUT) {
        env.width = 1 + hf_draw_below(rng, n_bits < 20 ? n_bits : 20);
        env.height = n_bits / env.width;
        env.n_bits = env.n_actions = env.width * env.height;
        if (hf_draw_below(rng, 2)) env.most_presses = 1 + hf_draw_below(rng, env.n_bits);
    }
    env.n_words = hf_words(env.n_bits);
    env.presses = allocate(env.n_words, 8);
    if (env.kind == BITFLIP && hf_draw_below(rng, 2)) {
        env.goal = allocate(env.n_words, 8);
        hf_draw_words(rng, env.goal, env.n_words, hf_tail_mask(env.n_bits));
    }
    return env;
}

static inline void free_env(fuzzed_env env) { free_map(env.map), free(env.goal), free(env.presses); }

static inline void env_reset(const fuzzed_env *env, bitgen_t *rng, size_t n, uint64_t *states, uint64_t *goals) {
    if (env->kind == GRID_WORLD)
        hf_grid_world_reset(rng, n, env->map.grid, states, goals);
    else if (env->kind == LIGHTS_OUT)
        hf_lights_out_reset(rng, n, env->width, env->height, env->most_presses, env->presses, states, goals);
    else if (env->goal)
        hf_bitflip_reset_to(rng, n, env->n_bits, env->goal, states, goals);
    else
        hf_bitflip_reset(rng, n, env->n_bits, states, goals);
}

static inline size_t env_first_bad(const fuzzed_env *env, size_t n_active, const int64_t *active, size_t n,
                                   const uint64_t *states, const uint64_t *goals, const uint16_t *actions) {
    if (env->kind == GRID_WORLD)
        return hf_grid_world_first_bad(n_active, active, n, env->n_bits, states, goals, actions);
    return hf_bitflip_first_bad(n_active, active, n, env->n_bits, states, goals, actions);
}

static inline void env_step(const fuzzed_env *env, size_t n_active, const int64_t *active, const uint64_t *states,
                            const uint64_t *goals, const uint16_t *actions, uint64_t *out, bool *terminated) {
    if (env->kind == GRID_WORLD)
        hf_grid_world_step(n_active, active, env->map.grid, states, goals, actions, out, terminated);
    else if (env->kind == LIGHTS_OUT)
        hf_lights_out_step(n_active, active, env->width, env->height, states, goals, actions, out, terminated);
    else
        hf_bitflip_step(n_active, active, env->n_words, states, goals, actions, out, terminated);
}

/* Return the index of the 1 in n bytes of which one is 1 and the others are 0. */
static inline size_t only_byte(const uint8_t *bytes, size_t n) {
    size_t found = n;
    for (size_t i = 0; i < n; i++) {
        assert(bytes[i] == 0 || found == n);
        if (bytes[i]) found = i;
    }
    assert(found < n);
    return found;
}

static inline void model_step(const fuzzed_env *env, uint8_t *state, size_t action) {
    if (env->kind == GRID_WORLD) {
        const size_t cell = only_byte(state, env->n_bits);
        const size_t place = move_on_map(&env->map, env->map.places[cell], action);
        for (size_t i = 0; i < env->n_bits; i++) state[i] = env->map.places[i] == place;
    } else if (env->kind == LIGHTS_OUT) {
        const long width = (long)env->width, row = (long)action / width, column = (long)action % width;
        for (size_t i = 0; i < env->n_bits; i++)
            if (labs((long)i / width - row) + labs((long)i % width - column) <= 1) state[i] ^= 1;
    } else {
        state[action] ^= 1;
    }
}

static inline void check_start(const fuzzed_env *env, const uint8_t *state, const uint8_t *goal) {
    assert(memcmp(state, goal, env->n_bits) != 0);
    if (env->kind == GRID_WORLD) {
        const size_t *component = env->map.component;
        assert(component[only_byte(state, env->n_bits)] == component[only_byte(goal, env->n_bits)]);
    } else if (env->most_presses == 1) {
        uint8_t *next = allocate(env->n_bits, 1);
        size_t n_ways = 0;
        for (size_t action = 0; action < env->n_actions; action++) {
            memcpy(next, state, env->n_bits);
            model_step(env, next, action);
            n_ways += memcmp(next, goal, env->n_bits) == 0;
        }
        assert(n_ways > 0);
        free(next);
    } else if (env->goal) {
        for (size_t i = 0; i < env->n_bits; i++) assert(goal[i] == hf_get(env->goal, i));
    }
}

#endif
