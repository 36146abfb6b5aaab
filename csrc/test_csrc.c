/* Stand-alone checks of the headers, to be run under the address and undefined-behaviour sanitizers. Their outputs are
 * compared with NumPy twins in tests/; here the point is that no size reads or writes astray and no assert fires.
 */
#undef NDEBUG
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitflip.h"
#include "bits.h"
#include "draw.h"
#include "hindsight.h"
#include "replay.h"

static const size_t SIZES[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000};
enum { N_SIZES = sizeof SIZES / sizeof *SIZES };

static uint64_t splitmix64(void *state) { /* Steele, Lea, Flood 2014 */
    uint64_t z = (*(uint64_t *)state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t scripted(void *state) { return *(*(const uint64_t **)state)++; }

/* Exactly as many bytes as asked for, so that the sanitizer sees every step beyond them. */
static void *allocate(size_t n, size_t size) {
    void *memory = calloc(n, size);
    assert(memory != NULL);
    return memory;
}

static void test_bits(bitgen_t *rng, size_t n) {
    const size_t n_words = hf_words(n);
    uint8_t *bytes = allocate(n, 1), *back = allocate(n, 1);
    uint64_t *words = allocate(n_words, 8), *other = allocate(n_words, 8);
    assert(n_words * 64 >= n && n_words * 64 < n + 64);
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)hf_draw_below(rng, 2);
    assert(hf_pack(words, bytes, n) <= 1 && hf_is_clean(words, n));
    for (size_t i = 0; i < n; i++) assert(hf_get(words, i) == bytes[i]);
    hf_unpack(back, words, n);
    assert(memcmp(bytes, back, n) == 0);
    hf_copy(other, words, n_words);
    assert(hf_equal(words, other, n_words));
    for (size_t i = 0; i < n; i++) {
        hf_flip(other, i);
        assert(hf_is_clean(other, n) && !hf_equal(words, other, n_words) && hf_get(other, i) != bytes[i]);
        for (size_t prefix = 1; prefix <= n; prefix += n > 200 ? 61 : 1) {
            uint64_t *head = allocate(hf_words(prefix), 8);
            hf_copy_prefix(head, other, prefix);
            assert(hf_is_clean(head, prefix) && hf_prefix_equal(other, head, prefix));
            assert(hf_prefix_equal(words, head, prefix) == (i >= prefix));
            free(head);
        }
        hf_flip(other, i);
    }
    bytes[n - 1] = 4;
    assert(hf_pack(words, bytes, n) >= 4);
    free(bytes), free(back), free(words), free(other);
}

static void test_draws(bitgen_t *rng) {
    const uint64_t bounds[] = {1, 2, 3, 5, 1000, UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_MAX};
    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++)
        for (int i = 0; i < 2000; i++) assert(hf_draw_below(rng, bounds[b]) < bounds[b]);
    /* Of odd bounds n, the outputs whose low product words are the largest to be refused and the smallest to be taken. */
    for (uint64_t n = 3; n < 2000; n += 2) {
        const uint64_t threshold = (UINT64_MAX % n + 1) % n;
        uint64_t inverse = n; /* of n modulo 2^64, by Newton's iteration: 3 bits are right, then 6, 12, 24, 48, 96 */
        for (int i = 0; i < 5; i++) inverse *= 2 - n * inverse;
        const uint64_t outputs[] = {(threshold - 1) * inverse, threshold * inverse}, *next = outputs;
        bitgen_t script = {.state = &next, .next_uint64 = scripted};
        assert(hf_draw_below(&script, n) == (uint64_t)(((hf_uint128)outputs[1] * n) >> 64));
        assert(next == outputs + 2);
    }
}

static void test_bitflip(bitgen_t *rng, size_t n) {
    enum { GAMES = 37 };
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
    hf_flip(goals + n_words, actions[1]); /* game 1 is won by its next step */
    hf_copy(before, states, GAMES * n_words);
    assert(hf_bitflip_first_bad(n_active, active, GAMES, n, actions) == n_active);
    hf_bitflip_step(n_active, active, n_words, states, goals, actions, states, terminated);
    for (size_t game = 0; game < GAMES; game++) {
        if (game % 3) hf_flip(before + game * n_words, actions[game]);
        assert(terminated[game] == (game % 3 && hf_equal(before + game * n_words, goals + game * n_words, n_words)));
    }
    assert(terminated[1] && hf_equal(before, states, GAMES * n_words));
    actions[active[5]] = (uint16_t)n;
    assert(hf_bitflip_first_bad(n_active, active, GAMES, n, actions) == 5);
    active[3] = -1;
    assert(hf_bitflip_first_bad(n_active, active, GAMES, n, actions) == 3);
    free(states), free(goals), free(before);
}

/* Of a ring that was tampered with, rubbish is sampled, but nothing is read or written astray. */
static void check_sample(hf_ring ring, bitgen_t *rng, hf_strategy strategy, uint64_t k, bool tampered) {
    enum { U = 3, B = 70 };
    uint64_t *states = allocate(U * B * ring.state_words, 8), *next = allocate(U * B * ring.state_words, 8);
    uint64_t *goals = allocate(U * B * ring.goal_words, 8);
    hf_pick *picks = allocate(B, sizeof *picks);
    uint16_t *actions = allocate(U * B, 2);
    float *rewards = allocate(U * B, sizeof *rewards);
    bool *terminated = allocate(U * B, sizeof *terminated);
    int32_t *steps = allocate(U * B, 4);
    const hf_minibatch out = {states, next, goals, actions, rewards, terminated, steps};
    hf_sample(ring, rng, strategy, k, U, B, picks, &out);
    for (size_t b = 0; b < U * B; b++) {
        const uint64_t *state = states + b * ring.state_words, *goal = goals + b * ring.goal_words;
        assert(steps[b] >= 0);
        if (tampered) continue;
        assert(hf_is_clean(state, ring.state_bits) && hf_is_clean(goal, ring.goal_bits));
        assert(terminated[b] == hf_prefix_equal(next + b * ring.state_words, goal, ring.goal_bits));
        assert(rewards[b] == (terminated[b] ? 0.0f : -1.0f) && actions[b] < ring.state_bits);
        assert(steps[b] != 1 || terminated[b]);
    }
    for (size_t b = 0; b < B && !tampered; b++) { /* the picks of the last minibatch */
        const uint64_t meta = *hf_record_meta(&ring, hf_ring_at(&ring, picks[b].record));
        const size_t age = picks[b].record, last = age + hf_steps_to_end(meta);
        assert(last > age && last < ring.size && picks[b].goal < ring.size && (k > 0 || !picks[b].relabelled));
        if (!picks[b].relabelled || strategy == HF_FINAL) assert(picks[b].goal == last);
        if (strategy != HF_RANDOM) assert(picks[b].goal <= last && picks[b].goal >= hf_first_of_episode(age, meta));
        if (strategy == HF_FUTURE) assert(picks[b].goal > age);
    }
    free(states), free(next), free(goals), free(picks), free(actions), free(rewards), free(terminated), free(steps);
}

/* Lockstep additions of episodes of 1 to T steps, until a ring too small for them has gone around several times. */
static void test_ring(bitgen_t *rng, size_t state_bits, size_t goal_bits, size_t capacity) {
    enum { T = 6, E = 3 };
    const size_t state_words = hf_words(state_bits), goal_words = hf_words(goal_bits);
    uint64_t *records = allocate(capacity * (state_words + goal_words + 1), 8);
    uint64_t *states = allocate((T + 1) * E * state_words, 8), *goals = allocate(E * goal_words, 8);
    uint16_t *actions = allocate(T * E, 2);
    int32_t lengths[E];
    hf_ring ring = {records, capacity, state_bits, goal_bits, state_words, goal_words, 0, 0, 0};
    for (int round = 0; round < 12; round++) {
        for (size_t i = 0; i < (T + 1) * E; i++)
            hf_draw_words(rng, states + i * state_words, state_words, hf_tail_mask(state_bits));
        for (size_t i = 0; i < T * E; i++) actions[i] = (uint16_t)hf_draw_below(rng, state_bits);
        for (size_t e = 0; e < E; e++) {
            hf_draw_words(rng, goals + e * goal_words, goal_words, hf_tail_mask(goal_bits));
            lengths[e] = (int32_t)hf_draw_below(rng, T) + 1;
        }
        assert(hf_first_unclean(E, state_bits, goal_bits, states, goals, lengths) == E);
        hf_ring_add(&ring, E, states, actions, goals, lengths);
        assert(hf_ring_is_valid(&ring) && ring.n_transitions > 0);
        const uint64_t *newest = hf_ring_at(&ring, ring.size - 1);
        assert(hf_equal(newest, states + ((size_t)lengths[E - 1] * E + E - 1) * state_words, state_words));
        for (int strategy = HF_FUTURE; strategy <= HF_RANDOM; strategy++)
            for (uint64_t k = 0; k < 5; k += 2) check_sample(ring, rng, (hf_strategy)strategy, k, false);
    }
    hf_draw_words(rng, records, capacity * hf_ring_stride(&ring), UINT64_MAX);
    for (int strategy = HF_FUTURE; strategy <= HF_RANDOM; strategy++)
        check_sample(ring, rng, (hf_strategy)strategy, 1, true);
    if (goal_bits % 64) {
        goals[goal_words - 1] = UINT64_MAX;
        assert(hf_first_unclean(E, state_bits, goal_bits, states, goals, lengths) == 0);
    }
    free(records), free(states), free(goals), free(actions);
}

int main(void) {
    uint64_t seed = 1;
    bitgen_t rng = {.state = &seed, .next_uint64 = splitmix64};
    test_draws(&rng);
    for (size_t s = 0; s < N_SIZES; s++) {
        const size_t n = SIZES[s];
        test_bits(&rng, n);
        test_bitflip(&rng, n);
        test_ring(&rng, n, n, 7);
        test_ring(&rng, n, n / 2 + 1, 23);
        test_ring(&rng, n, 1, 1000);
    }
    puts("csrc: all checks passed");
    return 0;
}
