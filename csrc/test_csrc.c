/* Stand-alone tests of the headers, to be run under the address and undefined-behaviour sanitizers.
 *
 * The tests in tests/ compare the outputs of the headers with references in Python. These tests check that no
 * size causes an invalid read or write, and that no assertion fails.
 */
#include "test_envs.h"
#include "test_episodes.h"

static const size_t SIZES[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000};
enum { N_SIZES = sizeof SIZES / sizeof *SIZES };

static uint64_t scripted(void *state) { return *(*(const uint64_t **)state)++; }

/* `words` are all 0, before and after. */
static void test_only_one(size_t n, uint64_t *words) {
    assert(hf_only_one(words, n) == n);
    for (size_t i = 0; i < n; i++) {
        hf_flip(words, i);
        assert(hf_only_one(words, n) == i);
        for (size_t j = 0; j < 64 * hf_words(n); j += n > 200 ? 61 : 1) { /* also past the end */
            if (j == i) continue;
            hf_flip(words, j);
            assert(hf_only_one(words, n) == n);
            hf_flip(words, j);
        }
        hf_flip(words, i);
    }
    if (n % 64) hf_flip(words, n);
    assert(hf_only_one(words, n) == n);
    if (n % 64) hf_flip(words, n);
}

static void test_bits(bitgen_t *rng, size_t n) {
    const size_t n_words = hf_words(n);
    uint8_t *bytes = allocate(n, 1), *back = allocate(n, 1);
    uint64_t *words = allocate(n_words, 8), *other = allocate(n_words, 8);
    assert(n_words * 64 >= n && n_words * 64 < n + 64);
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)hf_draw_below(rng, 2);
    assert(hf_pack(words, bytes, n) <= 1 && hf_is_clean(words, n));
    for (size_t i = 0; i < n; i++) assert(hf_get(words, i) == bytes[i]);
    test_only_one(n, other);
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
    /* For odd n: the outputs whose low product words are the largest rejected and the smallest accepted. */
    for (uint64_t n = 3; n < 2000; n += 2) {
        const uint64_t threshold = (UINT64_MAX % n + 1) % n;
        uint64_t inverse = n; /* of n modulo 2^64, by Newton's iteration: 3 correct bits, then 6, 12, 24, 48, 96 */
        for (int i = 0; i < 5; i++) inverse *= 2 - n * inverse;
        const uint64_t outputs[] = {(threshold - 1) * inverse, threshold * inverse}, *next = outputs;
        bitgen_t script = {.state = &next, .next_uint64 = scripted};
        assert(hf_draw_below(&script, n) == (uint64_t)(((hf_uint128)outputs[1] * n) >> 64));
        assert(next == outputs + 2);
    }
}

static void test_exploration(bitgen_t *rng, size_t n) {
    int64_t *active = allocate(n, 8), *explorers = allocate(n, 8);
    uint16_t *actions = allocate(2 * n, 2);
    for (size_t i = 0; i < n; i++) active[i] = (int64_t)(2 * i);
    for (int step = 0; step < 3; step++) { /* epsilon 0, 1/2 and 1 */
        const uint32_t n_actions = step == 2 ? 65535 : (uint32_t)n;
        size_t n_drawn = 0;
        memset(actions, 0xff, 2 * n * 2);
        hf_explore(rng, step / 2.0, n_actions, n, active, explorers, actions);
        for (size_t i = 0; i < 2 * n; i++) {
            n_drawn += actions[i] != 0xffff;
            assert(actions[i] == 0xffff || (i % 2 == 0 && actions[i] < n_actions));
        }
        assert(step == 1 ? n_drawn <= n : n_drawn == (step == 0 ? 0 : n));
    }
    hf_explore(rng, 1.0, 65536, n, active, explorers, actions);
    free(active), free(explorers), free(actions);
}

/* Append episodes of 1 to T steps until a small ring has been overwritten several times. Then sample from a
 * ring of random words, which must not cause an invalid read or write. */
static void test_ring(bitgen_t *rng, size_t state_bits, size_t goal_bits, size_t capacity) {
    enum { T = 6, E = 3, U = 3, B = 70 };
    hf_ring ring = new_ring(capacity, state_bits, goal_bits);
    for (int round = 0; round < 12; round++) {
        const episodes e = draw_episodes(rng, &ring, E, T);
        add_episodes(&ring, e);
        assert(hf_ring_is_valid(&ring, never) && ring.n_transitions > 0);
        const uint64_t *newest = hf_ring_at(&ring, ring.size - 1);
        const uint64_t *last = e.states + ((size_t)e.lengths[E - 1] * E + E - 1) * ring.state_words;
        assert(hf_equal(newest, last, ring.state_words));
        uint64_t *final_meta = hf_record_meta(&ring, hf_ring_at(&ring, ring.size - 2));
        assert(hf_end(*final_meta) == e.ends[E - 1]);
        *final_meta += UINT64_C(4) << 48; /* an end that does not exist */
        assert(!hf_ring_is_valid(&ring, never));
        *final_meta -= UINT64_C(4) << 48;
        *hf_record_meta(&ring, hf_ring_at(&ring, ring.size - 1)) += UINT64_C(1) << 48; /* no transition ends here */
        assert(!hf_ring_is_valid(&ring, never));
        *hf_record_meta(&ring, hf_ring_at(&ring, ring.size - 1)) -= UINT64_C(1) << 48;
        for (int strategy = HF_FUTURE; strategy <= HF_RANDOM; strategy++)
            for (uint64_t k = 0; k < 5; k += 2) {
                const minibatches m = draw_minibatches(ring, rng, (hf_strategy)strategy, k, U, B);
                check_minibatches(m, &ring, (hf_strategy)strategy, k);
                free_minibatches(m);
            }
        e.goals[ring.goal_words - 1] = UINT64_MAX;
        assert(first_unclean(&ring, e) == (goal_bits % 64 ? 0 : E));
        free_episodes(e);
    }
    hf_draw_words(rng, ring.records, capacity * hf_ring_stride(&ring), UINT64_MAX);
    for (int strategy = HF_FUTURE; strategy <= HF_RANDOM; strategy++)
        free_minibatches(draw_minibatches(ring, rng, (hf_strategy)strategy, 1, U, B));
    free(ring.records);
}

/* Interrupt every loop over records, and sample from a ring whose cursor counts transitions that it lost. */
static void test_failures(bitgen_t *rng) {
    enum { BITS = 65535, E = 300, T = 2, B = 2000 };
    hf_ring ring = new_ring(4 * E, BITS, BITS);
    const episodes e = draw_episodes(rng, &ring, E, T);
    const size_t added = hf_ring_add(&ring, E, e.states, e.actions, e.goals, e.lengths, e.ends, always);
    assert(0 < added && added < E && hf_ring_is_valid(&ring, never)); /* holds whole episodes */
    add_episodes(&ring, e);
    assert(hf_ring_is_valid(&ring, never) && !hf_ring_is_valid(&ring, always));
    const minibatches m = draw_minibatches(ring, rng, HF_FUTURE, 1, 1, B);
    assert(hf_sample(ring, rng, HF_FUTURE, 1, 1, B, m.picks, &m.out, always) == HF_INTERRUPTED);
    memset(ring.records, 0, ring.capacity * hf_ring_stride(&ring) * 8);
    assert(hf_sample(ring, rng, HF_FUTURE, 1, 1, B, m.picks, &m.out, never) == HF_NO_TRANSITION);
    free_minibatches(m), free_episodes(e), free(ring.records);
}

int main(void) {
    uint64_t seed = 1;
    bitgen_t rng = {
        .state = &seed, .next_uint64 = splitmix64, .next_uint32 = splitmix32, .next_double = splitmix_double};
    test_draws(&rng);
    test_failures(&rng);
    for (size_t s = 0; s < N_SIZES; s++) {
        const size_t n = SIZES[s];
        test_bits(&rng, n);
        test_bitflip(&rng, n);
        test_fixed_goal(&rng, n);
        test_grid_world(&rng, n + (n == 1));
        test_lights_out(&rng, n, 1);
        test_lights_out(&rng, 1 + n / 7, 7);
        test_exploration(&rng, n);
        test_ring(&rng, n, n, 7);
        test_ring(&rng, n, n / 2 + 1, 23);
        test_ring(&rng, n, 1, 1000);
        test_index(&rng, 1 + n / 4, 1, 3);
        test_index(&rng, 1 + n / 20, 1 + n % 5, 9);
        test_gather(&rng, n, 1 + n / 2, n);
    }
    puts("csrc: all checks passed");
    return 0;
}
