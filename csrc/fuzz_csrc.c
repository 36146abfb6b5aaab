/* Stand-alone fuzz test of the headers, to be run under the address and undefined-behaviour sanitizers.
 *
 * It performs random operations on several rings and groups of episodes and compares each with a simple
 * model. All memory blocks have exactly the needed size.
 *
 * Usage: fuzz_csrc [operations] [seed]. The same two numbers repeat the same operations.
 */
#include <inttypes.h>

#include "fuzz_games.h"
#include "fuzz_ring.h"
#include "test_episodes.h"

enum { WORLDS = 8 };

typedef enum { ADD, SAMPLE, VALIDATE, UNCLEAN, STEP, RESET, BAD, PACK, PREFIX, DRAW, TAMPER, RING, GAMES, INDEX, GATHER, KINDS } kind;

/* Frequency in thousandths, and description, of each operation. */
static const struct {
    uint64_t weight;
    const char *what;
} OPERATIONS[KINDS] = {
    [ADD] = {277, "episodes added"},
    [SAMPLE] = {300, "samples drawn"},
    [VALIDATE] = {20, "rings validated"},
    [UNCLEAN] = {20, "unclean episodes found"},
    [STEP] = {250, "steps of games"},
    [RESET] = {30, "games reset"},
    [BAD] = {30, "bad indices, actions and bits found"},
    [PACK] = {25, "strings packed and unpacked"},
    [PREFIX] = {25, "prefixes copied and compared"},
    [DRAW] = {15, "numbers drawn"},
    [TAMPER] = {2, "rings tampered with and replaced"},
    [RING] = {2, "rings replaced"},
    [GAMES] = {1, "groups of games replaced"},
    [INDEX] = {1, "indices of episodes filled"},
    [GATHER] = {2, "rows gathered"},
};

static void pack(bitgen_t *rng, size_t n) {
    uint8_t *bytes = allocate(n, 1), *back = allocate(n, 1);
    uint64_t *words = allocate(hf_words(n), 8), random = 0;
    for (size_t i = 0; i < n; i++, random >>= 1) {
        if (i % 64 == 0) random = rng->next_uint64(rng->state);
        bytes[i] = random & 1;
    }
    assert(hf_pack(words, bytes, n) <= 1 && hf_is_clean(words, n));
    for (size_t i = 0; i < n; i++) assert(hf_get(words, i) == bytes[i]);
    hf_unpack(back, words, n);
    assert(memcmp(bytes, back, n) == 0);
    bytes[hf_draw_below(rng, n)] = (uint8_t)(2 + hf_draw_below(rng, 254));
    assert(hf_pack(words, bytes, n) > 1 && hf_is_clean(words, n));
    free(bytes), free(back), free(words);
}

static void prefix(bitgen_t *rng, size_t n) {
    const size_t n_words = hf_words(n), size = 1 + hf_draw_below(rng, n), flipped = hf_draw_below(rng, n);
    uint64_t *string = allocate(n_words, 8), *other = allocate(n_words, 8), *head = allocate(hf_words(size), 8);
    hf_draw_words(rng, string, n_words, hf_tail_mask(n));
    hf_copy_prefix(head, string, size);
    assert(hf_is_clean(string, n) && hf_is_clean(head, size) && same_bits(string, head, size));
    assert(hf_prefix_equal(string, head, size));
    hf_copy(other, string, n_words);
    hf_flip(other, flipped);
    assert(hf_is_clean(other, n) && !hf_equal(other, string, n_words));
    assert(hf_prefix_equal(other, head, size) == (flipped >= size));
    free(string), free(other), free(head);
}

static void draw(bitgen_t *rng) {
    const uint64_t random = rng->next_uint64(rng->state), n = random >> random % 64 | 1; /* odd, with any number of bits */
    assert(hf_draw_below(rng, n) < n && hf_draw_below(rng, n - 1 + (n == 1)) < n);
}

static void operate(kind what, modelled_ring *ring, games *group, bitgen_t *rng) {
    switch (what) {
    case ADD: add(ring, rng); break;
    case SAMPLE: sample(ring, rng); break;
    case VALIDATE: validate(ring); break;
    case UNCLEAN: find_unclean(ring, rng); break;
    case STEP: step(group, rng); break;
    case RESET: reset_some(group, rng); break;
    case BAD: find_bad(group, rng); break;
    case PACK: pack(rng, draw_size(rng)); break;
    case PREFIX: prefix(rng, draw_size(rng)); break;
    case DRAW: draw(rng); break;
    case TAMPER: tamper(ring, rng); break;
    case RING: replace_ring(ring, rng); break;
    case GAMES: replace_games(group, rng, draw_size(rng)); break;
    case INDEX: test_index(rng, 1 + hf_draw_below(rng, 30), 1 + hf_draw_below(rng, 5), 1 + hf_draw_below(rng, 40)); break;
    case GATHER: test_gather(rng, draw_size(rng), draw_size(rng), draw_size(rng)); break;
    case KINDS: break;
    }
}

int main(int argc, char **argv) {
    const uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, counts[KINDS] = {0};
    bitgen_t rng = {.state = &seed, .next_uint64 = splitmix64};
    modelled_ring rings[WORLDS] = {0};
    games groups[WORLDS] = {0};
    printf("fuzz_csrc %" PRIu64 " %" PRIu64 "\n", operations, seed);
    fflush(stdout);
    for (size_t i = 0; i < WORLDS; i++) replace_ring(&rings[i], &rng), replace_games(&groups[i], &rng, draw_size(&rng));
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t ticket = hf_draw_below(&rng, 1000);
        kind what = 0;
        while (ticket >= OPERATIONS[what].weight) ticket -= OPERATIONS[what++].weight;
        operate(what, &rings[hf_draw_below(&rng, WORLDS)], &groups[hf_draw_below(&rng, WORLDS)], &rng);
        counts[what]++;
    }
    for (size_t i = 0; i < KINDS; i++) printf("%12" PRIu64 " %s\n", counts[i], OPERATIONS[i].what);
    for (size_t i = 0; i < WORLDS; i++) free(rings[i].ring.records), free(rings[i].entries), free_games(&groups[i]);
    return 0;
}
