/* The codes of literals, ready to be looked up; see literals.c. */

#ifndef PIXLOG_LITERALS_H
#define PIXLOG_LITERALS_H

#include "bits.h"

#include <stddef.h>

#define LITERAL_LIMIT 14 /* bits of a code: four can be joined in one word, with the seven that a stream may hold */

typedef struct {
    uint32_t words[256];                       /* each a code above eight bits for its length */
    uint8_t lengths[256], low[256], high[256]; /* the same: length, first eight bits of the code, and the rest */
} Literals;

INLINE void set_literal(Literals *literals, unsigned byte, unsigned code, unsigned length) {
    literals->words[byte] = code << 8 | length;
    literals->lengths[byte] = (uint8_t)length;
    literals->low[byte] = (uint8_t)code;
    literals->high[byte] = (uint8_t)(code >> 8);
}

/* data[0..nbytes), all of whose bytes have codes. */
void put_literals(Bits *bits, const Literals *literals, const uint8_t *data, size_t nbytes);

#endif
