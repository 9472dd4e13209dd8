/* PNG's row filters; see filters.c. */

#ifndef PIXLOG_FILTERS_H
#define PIXLOG_FILTERS_H

#include <stddef.h>
#include <stdint.h>

enum { NONE, SUB, UP, AVERAGE, PAETH, MIXED };

/* A picture's rows of bytes, `pixel_nbytes` to a pixel; 16-bit samples lie swapped in memory if `is_swapped`. */
typedef struct {
    const uint8_t *pixels;
    size_t row_nbytes, pixel_nbytes;
    int is_swapped;
} Rows;

/* Scratch memory of `filter_row`, needed for swapped samples. */
size_t filter_scratch_nbytes(size_t row_nbytes);

/* Row y, filtered, into out[0..row_nbytes], its filter type first.  Row 0, above which there are zeros, gets SUB where
   `kind` is AVERAGE, PAETH or MIXED.  `is_next` says that the call before was for row y - 1, with the same scratch. */
void filter_row(const Rows *rows, size_t y, unsigned kind, uint8_t *out, uint8_t *scratch, int is_next);

/* How many bytes equal the byte above them, in every `step`-th row from row 1 on; their order makes no difference. */
size_t equal_bytes(const Rows *rows, size_t height, size_t step);

#endif
