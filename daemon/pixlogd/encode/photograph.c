/* A photograph's rows as the zlib stream of a PNG (RFC 1950), in one call for some megabytes.

   Theory of operation.  Rows are filtered (filters.c) into a window of one block and one row, in scratch memory that
   stays in the first or second level of the cache.  Whenever there is a block, it is added to the checksum and deflated
   (huffman.c), and what is left of the last row moves to the front.  The byte before it is kept, since a run may go on.

   A picture may take several calls, each for rows that follow the ones of the call before; the stream's header comes
   with row 0, its checksum with the last row.  Deflate reads what was filtered, which no other thread writes to. */

#include "checksums.h"
#include "filters.h"
#include "huffman.h"

#include <string.h>

#define EXPORT __attribute__((visibility("default")))

#define UNKNOWN (MIXED + 1)

#define HEADER_NBYTES 2u /* deflate, a window of 32 KB, the fastest level, no dictionary */
#define SUM_NBYTES 4u

#define PERCENT 40u /* bytes equal to the byte above: photographs 7 to 35, digits 46, plots and masks 85 to 100 */
#define SMALL_PERCENT 20u /* above it a search for matches makes small pictures smaller, such as digits */
#define FLAT_PERCENT 70u
#define ROWS_APART 32u /* that are compared, and how many at least */
#define MIN_ROWS 20u

static size_t bound(size_t row_count, size_t row_nbytes) {
    return HEADER_NBYTES + deflate_bound(row_count * (1 + row_nbytes)) + SUM_NBYTES;
}

/* Memory for so many rows: what they take at most, and behind it what is worked in. */
EXPORT size_t pixlog_photograph_room(size_t row_count, size_t row_nbytes) {
    return bound(row_count, row_nbytes) + filter_scratch_nbytes(row_nbytes) + 1 + MAX_BLOCK + 1 + row_nbytes;
}

/* Whether few bytes of some rows equal the byte above them. */
static int is_photograph(const Rows *rows, size_t height) {
    size_t step = 1 + (height < MIN_ROWS * ROWS_APART ? height / MIN_ROWS : ROWS_APART - 1);
    size_t compared = (height - 1 + step - 1) / step * rows->row_nbytes;
    return 100 * equal_bytes(rows, height, step) < PERCENT * compared;
}

/* Rows first..last of a picture of `height` rows, filtered as `kind`; UNKNOWN is MIXED if the picture looks like a
   photograph.  `sum` is the checksum of the rows before, and then of these too.  Returns the bytes written, or 0 if there
   is too little room, or the picture does not look like a photograph. */
EXPORT size_t pixlog_photograph(const uint8_t *pixels, size_t height, size_t row_nbytes, size_t pixel_nbytes,
                                int is_swapped, unsigned kind, size_t first, size_t last, uint32_t *sum, uint8_t *out,
                                size_t room) {
    if (first >= last || last > height || room < pixlog_photograph_room(last - first, row_nbytes)) return 0;
    Rows rows = {pixels, row_nbytes, pixel_nbytes, is_swapped};
    if (kind == UNKNOWN) {
        if (!is_photograph(&rows, height)) return 0;
        kind = MIXED;
    }
    int is_final = last == height, has_before = 0;
    size_t capacity = bound(last - first, row_nbytes);
    uint8_t *at = out, *scratch = out + capacity;
    uint8_t *window = scratch + filter_scratch_nbytes(row_nbytes) + 1; /* window[-1]: the byte before */
    size_t left = (last - first) * (1 + row_nbytes), block_nbytes = deflate_block_nbytes(left), filled = 0;
    if (first == 0) {
        *at++ = 0x78;
        *at++ = 0x01;
    }
    Bits bits = deflate_begin(at, capacity - HEADER_NBYTES - SUM_NBYTES);
    for (size_t y = first; y < last; y++) {
        filter_row(&rows, y, kind, window + filled, scratch, y > first);
        filled += 1 + row_nbytes;
        size_t start = 0, want;
        while (left && filled - start >= (want = left < block_nbytes ? left : block_nbytes)) {
            *sum = adler32(*sum, window + start, want);
            size_t before = has_before || start;
            deflate_block(&bits, window + start - before, before, before + want, is_final && left == want);
            start += want;
            left -= want;
        }
        if (start) {
            window[-1] = window[start - 1];
            has_before = 1;
            memmove(window, window + start, filled - start);
            filled -= start;
        }
    }
    at = deflate_end(&bits, is_final);
    if (bits.overrun) return 0;
    if (is_final)
        for (int shift = 24; shift >= 0; shift -= 8) *at++ = (uint8_t)(*sum >> shift);
    return (size_t)(at - out);
}

/* A picture of a few kilobytes: the stream of what looks like a photograph, and 0 for the rest, whose rows are then in
   `out`, filtered for a search for matches.  Needs the room of all rows. */
EXPORT size_t pixlog_small_picture(const uint8_t *pixels, size_t height, size_t row_nbytes, size_t pixel_nbytes,
                                   int is_swapped, uint8_t *out, size_t room) {
    Rows rows = {pixels, row_nbytes, pixel_nbytes, is_swapped};
    size_t compared = (height - 1) * row_nbytes, equal = 100 * equal_bytes(&rows, height, 1);
    uint32_t sum = 1;
    if (equal < SMALL_PERCENT * compared)
        return pixlog_photograph(pixels, height, row_nbytes, pixel_nbytes, is_swapped, MIXED, 0, height, &sum, out, room);
    if (room < pixlog_photograph_room(height, row_nbytes)) return 0;
    uint8_t *scratch = out + height * (1 + row_nbytes);
    for (size_t y = 0; y < height; y++)
        filter_row(&rows, y, equal > FLAT_PERCENT * compared ? NONE : UP, out + y * (1 + row_nbytes), scratch, 1);
    return 0;
}
