/* Bit strings as words of 64 bits: bit i is bit i & 63 of word i >> 6.
 *
 * Invariant of every string of n bits: bits of its last word at or past n are 0. Strings are therefore equal
 * if their words are equal. No byte order is assumed. Compilers turn the byte shifts of pack and unpack into
 * single loads and stores.
 */
#ifndef HF_BITS_H
#define HF_BITS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Return the number of words that hold n bits. */
static inline size_t hf_words(size_t n) { return (n + 63) / 64; }

/* Return the mask of the bits in the last word that belong to a string of n >= 1 bits. */
static inline uint64_t hf_tail_mask(size_t n) { return UINT64_MAX >> ((64 - n % 64) % 64); }

/* Return whether the invariant holds. */
static inline bool hf_is_clean(const uint64_t *words, size_t n) {
    return n == 0 || (words[hf_words(n) - 1] & ~hf_tail_mask(n)) == 0;
}

static inline bool hf_get(const uint64_t *words, size_t i) { return (words[i / 64] >> (i % 64)) & 1; }

static inline void hf_flip(uint64_t *words, size_t i) { words[i / 64] ^= UINT64_C(1) << (i % 64); }

/* Return the index of the 1 in a string of n >= 1 bits with a single 1, and n for every other string. */
static inline size_t hf_only_one(const uint64_t *words, size_t n) {
    size_t found = SIZE_MAX;
    for (size_t w = 0; w < hf_words(n); w++) {
        if (words[w] == 0) continue;
        if (found != SIZE_MAX || (words[w] & (words[w] - 1)) != 0) return n;
        found = 64 * w + (size_t)__builtin_ctzll(words[w]);
    }
    return found < n ? found : n;
}

/* Copy n_words words. `out` and `in` may be the same array. */
static inline void hf_copy(uint64_t *out, const uint64_t *in, size_t n_words) {
    for (size_t w = 0; w < n_words; w++) out[w] = in[w];
}

static inline bool hf_equal(const uint64_t *a, const uint64_t *b, size_t n_words) {
    uint64_t difference = 0;  /* no early exit: its branch would be unpredictable for random strings */
    for (size_t w = 0; w < n_words; w++) difference |= a[w] ^ b[w];
    return difference == 0;
}

/* Copy the first n >= 1 bits of `in`, a string of at least n bits. */
static inline void hf_copy_prefix(uint64_t *out, const uint64_t *in, size_t n) {
    size_t last = hf_words(n) - 1;
    hf_copy(out, in, last);
    out[last] = in[last] & hf_tail_mask(n);
}

/* Return whether the first n >= 1 bits of `string` equal `prefix`, a string of n bits. */
static inline bool hf_prefix_equal(const uint64_t *string, const uint64_t *prefix, size_t n) {
    size_t last = hf_words(n) - 1;
    assert(hf_is_clean(prefix, n));
    return hf_equal(string, prefix, last) & (((string[last] ^ prefix[last]) & hf_tail_mask(n)) == 0);
}

/* Pack n bytes, each 0 or 1. Return the bitwise OR of all bytes, which is above 1 if a byte was neither. */
static inline uint8_t hf_pack(uint64_t *out_words, const uint8_t *bytes, size_t n) {
    uint64_t seen = 0;
    for (size_t start = 0; start < n; start += 64) {
        size_t end = n - start < 64 ? n : start + 64;
        uint64_t word = 0;
        size_t i = start;
        for (; i + 8 <= end; i += 8) {
            uint64_t eight = 0;
            for (unsigned j = 0; j < 8; j++) eight |= (uint64_t)bytes[i + j] << (8 * j);
            seen |= eight;
            /* The product moves bit 8j to bit 56 + j. No two of its terms overlap, so there is no carry. */
            word |= ((eight & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56) << (i - start);
        }
        for (; i < end; i++) {
            seen |= bytes[i];
            word |= (uint64_t)(bytes[i] & 1) << (i - start);
        }
        out_words[start / 64] = word;
    }
    seen |= seen >> 32;
    seen |= seen >> 16;
    seen |= seen >> 8;
    return (uint8_t)seen;
}

/* Unpack n bits into n bytes, each 0 or 1. */
static inline void hf_unpack(uint8_t *out_bytes, const uint64_t *words, size_t n) {
    assert(hf_is_clean(words, n));
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t byte = (words[i / 64] >> (i % 64)) & 0xff;
        /* Byte j of `eight` keeps only bit j. Adding 0x7f carries a set bit into the top bit of its byte. */
        uint64_t eight = (byte * UINT64_C(0x0101010101010101)) & UINT64_C(0x8040201008040201);
        eight = ((eight + UINT64_C(0x7f7f7f7f7f7f7f7f)) >> 7) & UINT64_C(0x0101010101010101);
        for (unsigned j = 0; j < 8; j++) out_bytes[i + j] = (uint8_t)(eight >> (8 * j));
    }
    for (; i < n; i++) out_bytes[i] = hf_get(words, i);
}

#endif
