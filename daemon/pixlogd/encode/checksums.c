/* Adler-32 in vector instructions.

   Theory of operation.  The sum is two numbers modulo 65521: s1, of the bytes, and s2, of all values that s1 had.  A
   byte with n bytes behind it in its chunk counts n + 1 times in s2.  A chunk is read as rows of 16 columns: `columns`
   adds up each column, `prefixes` every value that `columns` had, and in 22 rows neither exceeds 16 bits. */

#include "checksums.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#define MODULUS 65521u
#define COLUMNS 16u
#define ROWS 22u /* 255 * 22 * 23 / 2 < 65536 */

typedef uint8_t Row __attribute__((vector_size(COLUMNS)));
typedef uint16_t Sums __attribute__((vector_size(2 * COLUMNS)));

INLINE uint32_t adler(uint32_t sum, const uint8_t *data, size_t nbytes) {
    uint32_t s1 = sum & 0xffff, s2 = sum >> 16;
    while (nbytes >= COLUMNS) {
        unsigned row_count = nbytes / COLUMNS < ROWS ? (unsigned)(nbytes / COLUMNS) : ROWS;
        Sums columns = {0}, prefixes = {0};
        for (unsigned r = 0; r < row_count; r++) {
            Row row;
            memcpy(&row, data + r * COLUMNS, COLUMNS);
            columns += __builtin_convertvector(row, Sums);
            prefixes += columns;
        }
        s2 += s1 * row_count * COLUMNS;
        for (unsigned k = 0; k < COLUMNS; k++) {
            s1 += columns[k];
            s2 += COLUMNS * (prefixes[k] - columns[k]) + (COLUMNS - k) * columns[k];
        }
        s1 %= MODULUS;
        s2 %= MODULUS;
        data += row_count * COLUMNS;
        nbytes -= row_count * COLUMNS;
    }
    for (; nbytes; nbytes--) s2 += s1 += *data++;
    return s2 % MODULUS << 16 | s1 % MODULUS;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint32_t adler_avx2(uint32_t sum, const uint8_t *data, size_t nbytes) {
    return adler(sum, data, nbytes);
}
#endif

uint32_t adler32(uint32_t sum, const uint8_t *data, size_t nbytes) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return adler_avx2(sum, data, nbytes);
#endif
    return adler(sum, data, nbytes);
}
