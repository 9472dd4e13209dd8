/* Deflate blocks of literals and runs, written one after the other into memory of the caller; see huffman.c. */

#ifndef PIXLOG_HUFFMAN_H
#define PIXLOG_HUFFMAN_H

#include "bits.h"

#include <stddef.h>

#define MAX_BLOCK 49152u /* bytes that `deflate_block` takes at most */

/* What the blocks of `nbytes` take at most, whatever is in them, with what `deflate_end` adds. */
size_t deflate_bound(size_t nbytes);

/* The bytes of each block but the last, so that all are about equal. */
size_t deflate_block_nbytes(size_t nbytes);

Bits deflate_begin(uint8_t *out, size_t capacity);

/* data[start..stop) as one block, the stream's last if `is_last`; a run may begin with data[start - 1]. */
void deflate_block(Bits *bits, const uint8_t *data, size_t start, size_t stop, int is_last);

/* Fills up the last byte; a stream that is to go on gets an empty stored block.  Returns where the stream ends. */
uint8_t *deflate_end(Bits *bits, int is_final);

#endif
