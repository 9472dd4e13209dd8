/* A stream of bits under construction, least significant first, as deflate has it; eight bytes are stored at a time. */

#ifndef PIXLOG_BITS_H
#define PIXLOG_BITS_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef struct {
    uint64_t held; /* fewer than 8 bits after each store */
    unsigned count;
    uint8_t *at, *last; /* where eight bytes may be stored: at <= last */
    int overrun;        /* there was no room: what was written is of no use */
} Bits;

INLINE void store(Bits *b) {
    if (b->at > b->last) { b->overrun = 1; b->at = b->last; }
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    uint64_t little = __builtin_bswap64(b->held);
    memcpy(b->at, &little, 8);
#else
    memcpy(b->at, &b->held, 8);
#endif
    b->at += b->count >> 3;
    b->held >>= b->count & ~7u; /* by 56 at most */
    b->count &= 7u;
}

INLINE void put(Bits *b, uint64_t bits, unsigned count) { /* count <= 56 */
    b->held |= bits << b->count;
    b->count += count;
    store(b);
}

#endif
