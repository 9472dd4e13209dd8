/* Literals as their Huffman codes, four at a time, or 64.

   Theory of operation.  A code is looked up by its byte, and what is looked up is joined with its neighbours before it
   meets the stream: pairs of at most 28 bits, fours of at most 56.

   `words` serves every processor: shifts by a variable count look at the lowest six bits alone, so that neither they nor
   the sums of lengths need the code taken away first.  BMI2's shifts take half as long as the others.

   With AVX-512 and VBMI (Intel since Ice Lake, AMD since Zen 4) 64 bytes are looked up by a few instructions: a table of
   128 bytes fits in two registers, so 256 lengths, first and second bytes of codes take two permutations each and a
   choice by the top bit.  Shifts by a count of each lane's own then join two codes in 32 bits, two pairs in 64, and two
   fours where all of them have room there, which is most of the time.  What is left to be put one by one is 8 words. */

#include "literals.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define EACH 64u /* bytes that are looked up at once */

INLINE void put_by_four(Bits *shared, const uint32_t *words, const uint8_t *data, size_t nbytes) {
    Bits b = *shared; /* in registers */
    size_t i = 0;
    for (; i + 4 <= nbytes; i += 4) {
        uint64_t w0 = words[data[i]], w1 = words[data[i + 1]], w2 = words[data[i + 2]], w3 = words[data[i + 3]];
        uint64_t low = w0 >> 8 | w1 >> 8 << (w0 & 63), high = w2 >> 8 | w3 >> 8 << (w2 & 63);
        put(&b, low | high << ((w0 + w1) & 63), (w0 + w1 + w2 + w3) & 63);
    }
    for (; i < nbytes; i++) put(&b, words[data[i]] >> 8, words[data[i]] & 63);
    *shared = b;
}

#if defined(__x86_64__)

__attribute__((target("bmi2"))) static void put_by_four_bmi2(Bits *bits, const uint32_t *words, const uint8_t *data,
                                                             size_t nbytes) {
    put_by_four(bits, words, data, nbytes);
}

#define VBMI __attribute__((target("avx512f,avx512bw,avx512vbmi,bmi2")))

/* Has arrays stored and loaded: taking each lane out of a vector register is slower, and what compilers would do. */
#define THROUGH_MEMORY(a, b) __asm__ volatile("" : : "r"(a), "r"(b) : "memory")

/* What `table` holds at each of 64 bytes, of which `top` are above 127. */
VBMI INLINE __m512i look_up(const __m512i *table, __m512i bytes, __mmask64 top) {
    return _mm512_mask_blend_epi8(top, _mm512_permutex2var_epi8(table[0], bytes, table[1]),
                                  _mm512_permutex2var_epi8(table[2], bytes, table[3]));
}

/* Codes, each in the low bits of its lane, and the bits that they have. */
typedef struct { __m512i bits, counts; } Codes;

/* Joins 32 codes of 16 bits four by four; the fours lie in pairs that follow each other. */
VBMI INLINE Codes fours(Codes c) {
    const __m512i first16 = _mm512_set1_epi32(0xffff), first32 = _mm512_set1_epi64(0xffffffff);
    __m512i count = _mm512_and_si512(c.counts, first16);
    c.bits = _mm512_or_si512(_mm512_and_si512(c.bits, first16), _mm512_sllv_epi32(_mm512_srli_epi32(c.bits, 16), count));
    c.counts = _mm512_add_epi32(count, _mm512_srli_epi32(c.counts, 16));
    count = _mm512_and_si512(c.counts, first32);
    c.bits = _mm512_or_si512(_mm512_and_si512(c.bits, first32), _mm512_sllv_epi64(_mm512_srli_epi64(c.bits, 32), count));
    c.counts = _mm512_add_epi64(count, _mm512_srli_epi64(c.counts, 32));
    return c;
}

/* Joins eights, of which those of `low` are before those of `high` in each 128 bits.  Where one has more bits than can
   be put, the result is of no use. */
VBMI INLINE Codes eights(Codes low, Codes high) {
    __m512i first = _mm512_unpacklo_epi64(low.bits, high.bits), second = _mm512_unpackhi_epi64(low.bits, high.bits);
    __m512i count = _mm512_unpacklo_epi64(low.counts, high.counts);
    Codes joined = {_mm512_or_si512(first, _mm512_sllv_epi64(second, count)),
                    _mm512_add_epi64(count, _mm512_unpackhi_epi64(low.counts, high.counts))};
    return joined;
}

VBMI static size_t put_by_64(Bits *shared, const Literals *literals, const uint8_t *data, size_t nbytes) {
    Bits b = *shared;
    __m512i lengths[4], low[4], high[4];
    for (int k = 0; k < 4; k++) {
        lengths[k] = _mm512_loadu_si512(literals->lengths + 64 * k);
        low[k] = _mm512_loadu_si512(literals->low + 64 * k);
        high[k] = _mm512_loadu_si512(literals->high + 64 * k);
    }
    size_t i = 0;
    for (; i + EACH <= nbytes; i += EACH) {
        __m512i bytes = _mm512_loadu_si512(data + i), zero = _mm512_setzero_si512();
        __mmask64 top = _mm512_movepi8_mask(bytes);
        __m512i count = look_up(lengths, bytes, top);
        __m512i first = look_up(low, bytes, top), second = look_up(high, bytes, top);
        Codes fore = {_mm512_unpacklo_epi8(first, second), _mm512_unpacklo_epi8(count, zero)};
        Codes hind = {_mm512_unpackhi_epi8(first, second), _mm512_unpackhi_epi8(count, zero)};
        fore = fours(fore); /* of the first eight of each 16 bytes */
        hind = fours(hind);
        Codes all = eights(fore, hind);
        uint64_t bits[2][8], counts[2][8];
        if (!_mm512_cmpgt_epu64_mask(all.counts, _mm512_set1_epi64(56))) {
            _mm512_storeu_si512(bits[0], all.bits);
            _mm512_storeu_si512(counts[0], all.counts);
            THROUGH_MEMORY(bits, counts);
            for (int k = 0; k < 8; k++) put(&b, bits[0][k], (unsigned)counts[0][k]);
            continue;
        }
        _mm512_storeu_si512(bits[0], fore.bits);
        _mm512_storeu_si512(bits[1], hind.bits);
        _mm512_storeu_si512(counts[0], fore.counts);
        _mm512_storeu_si512(counts[1], hind.counts);
        THROUGH_MEMORY(bits, counts);
        for (int k = 0; k < 16; k++) {
            int half = k / 2 % 2, lane = k / 4 * 2 + k % 2;
            put(&b, bits[half][lane], (unsigned)counts[half][lane]);
        }
    }
    *shared = b;
    return i;
}

#endif

void put_literals(Bits *bits, const Literals *literals, const uint8_t *data, size_t nbytes) {
#if defined(__x86_64__)
    if (nbytes >= EACH && __builtin_cpu_supports("avx512vbmi")) {
        size_t done = put_by_64(bits, literals, data, nbytes);
        data += done;
        nbytes -= done;
    }
    if (__builtin_cpu_supports("bmi2")) {
        put_by_four_bmi2(bits, literals->words, data, nbytes);
        return;
    }
#endif
    put_by_four(bits, literals->words, data, nbytes);
}
