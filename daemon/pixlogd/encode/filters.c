/* PNG's row filters (PNG specification, section 9), and the choice between average and Paeth for each row.

   Theory of operation.  A filter stores each byte as its difference from a prediction made of the byte one pixel to the
   left (a), the byte above (b) and the byte above and left (c).  All of it is done on bytes, by formulas without a
   branch that the compiler turns into vector instructions, 32 bytes at a time with AVX2:

   * average: floor((a + b) / 2) = (a & b) + ((a ^ b) >> 1), which cannot overflow;
   * Paeth: with lo, hi = min(a, b), max(a, b) and m = c clamped into [lo, hi], the nearest of a, b, c to a + b - c is
     lo if 2 (hi - m) <= m - lo, hi if 2 (m - lo) <= hi - m, and m otherwise.  The clamp settles a c outside [lo, hi];
     ties have equal values.

   MIXED gives a row the one of the two whose residuals, read as signed, have the smaller sum of absolute values:
   libpng's own guess at how well they compress.

   Rows are read where they lie; those of swapped samples are brought into order in the scratch memory first, each once.
   What another thread writes to the pixels meanwhile gives other residuals, nothing else. */

#include "filters.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))

#define LANES 16u
#define PIECE 64u /* bytes of a row that are filtered in both ways, to choose */
#define MOST_PIECES (65535u / (128u * PIECE / LANES)) /* whose sums fit in 16 bits */
#define ONE_IN 4u
#define LONG (2 * PIECE * ONE_IN) /* from here on, one piece in four is enough */
typedef uint8_t Lanes __attribute__((vector_size(LANES)));
typedef int8_t SignedLanes __attribute__((vector_size(LANES)));
typedef uint16_t WideLanes __attribute__((vector_size(2 * LANES)));

INLINE uint8_t average(uint8_t a, uint8_t b) { return (uint8_t)((a & b) + ((a ^ b) >> 1)); }

INLINE uint8_t paeth(uint8_t a, uint8_t b, uint8_t c) {
    uint8_t low = a < b ? a : b, high = a < b ? b : a;
    uint8_t middle = c < low ? low : c;
    middle = middle > high ? high : middle;
    uint8_t to_high = (uint8_t)(high - middle), to_low = (uint8_t)(middle - low);
    uint8_t down = to_high <= to_low >> 1 ? to_low : 0, up = to_low <= to_high >> 1 ? to_high : 0;
    return (uint8_t)(middle - down + up);
}

/* Residuals of row[i..i + nbytes), of which none is in the first pixel. */
INLINE void average_span(const uint8_t *row, const uint8_t *above, size_t nbytes, size_t pixel, uint8_t *restrict out) {
    const uint8_t *left = row - pixel;
    for (size_t i = 0; i < nbytes; i++) out[i] = (uint8_t)(row[i] - average(left[i], above[i]));
}

INLINE void paeth_span(const uint8_t *row, const uint8_t *above, size_t nbytes, size_t pixel, uint8_t *restrict out) {
    const uint8_t *left = row - pixel, *above_left = above - pixel;
    for (size_t i = 0; i < nbytes; i++) out[i] = (uint8_t)(row[i] - paeth(left[i], above[i], above_left[i]));
}

/* Adds the absolute values of a piece of residuals, each at most 128, up in lanes of 16 bits. */
INLINE void add_costs(const uint8_t *residuals, WideLanes *sums) {
    for (unsigned i = 0; i < PIECE; i += LANES) {
        Lanes at, is_negative;
        SignedLanes none = {0};
        memcpy(&at, residuals + i, LANES);
        is_negative = (Lanes)((SignedLanes)at < none);
        *sums += __builtin_convertvector((at ^ is_negative) - is_negative, WideLanes);
    }
}

INLINE uint32_t total(const WideLanes *sums) {
    uint16_t lanes[LANES];
    uint32_t total = 0;
    memcpy(lanes, sums, sizeof lanes);
    for (unsigned k = 0; k < LANES; k++) total += lanes[k];
    return total;
}

/* AVERAGE or PAETH for row[0..nbytes), none of it in the first pixel; a part of a long row tells. */
INLINE unsigned better(const uint8_t *row, const uint8_t *above, size_t nbytes, size_t pixel) {
    uint64_t costs[2] = {0, 0};
    size_t i = 0, step = nbytes < LONG ? PIECE : PIECE * ONE_IN;
    while (i < nbytes) {
        WideLanes sums[2] = {{0}, {0}};
        for (unsigned k = 0; k < MOST_PIECES && i < nbytes; k++, i += step) {
            uint8_t residuals[2][PIECE];
            if (nbytes - i >= PIECE) {
                average_span(row + i, above + i, PIECE, pixel, residuals[0]);
                paeth_span(row + i, above + i, PIECE, pixel, residuals[1]);
            } else {
                memset(residuals, 0, sizeof residuals);
                average_span(row + i, above + i, nbytes - i, pixel, residuals[0]);
                paeth_span(row + i, above + i, nbytes - i, pixel, residuals[1]);
            }
            add_costs(residuals[0], &sums[0]);
            add_costs(residuals[1], &sums[1]);
        }
        costs[0] += total(&sums[0]);
        costs[1] += total(&sums[1]);
    }
    return costs[1] < costs[0] ? PAETH : AVERAGE;
}

INLINE void filter(unsigned kind, const uint8_t *row, const uint8_t *above, size_t nbytes, size_t pixel,
                   uint8_t *restrict out) {
    uint8_t *restrict to = out + 1;
    size_t rest = nbytes - pixel;
    if (kind == MIXED) kind = better(row + pixel, above + pixel, rest, pixel);
    out[0] = (uint8_t)kind;
    switch (kind) {
    case NONE: memcpy(to, row, nbytes); return;
    case SUB:
        memcpy(to, row, pixel);
        for (size_t i = pixel; i < nbytes; i++) to[i] = (uint8_t)(row[i] - row[i - pixel]);
        return;
    case UP:
        for (size_t i = 0; i < nbytes; i++) to[i] = (uint8_t)(row[i] - above[i]);
        return;
    case AVERAGE:
        for (size_t i = 0; i < pixel; i++) to[i] = (uint8_t)(row[i] - (above[i] >> 1));
        average_span(row + pixel, above + pixel, rest, pixel, to + pixel);
        return;
    default:
        for (size_t i = 0; i < pixel; i++) to[i] = (uint8_t)(row[i] - above[i]);
        paeth_span(row + pixel, above + pixel, rest, pixel, to + pixel);
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void filter_avx2(unsigned kind, const uint8_t *row, const uint8_t *above,
                                                        size_t nbytes, size_t pixel, uint8_t *restrict out) {
    filter(kind, row, above, nbytes, pixel, out);
}
#endif

static void filter_any(unsigned kind, const uint8_t *row, const uint8_t *above, size_t nbytes, size_t pixel,
                       uint8_t *restrict out) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        filter_avx2(kind, row, above, nbytes, pixel, out);
        return;
    }
#endif
    filter(kind, row, above, nbytes, pixel, out);
}

static void swap(const uint8_t *samples, size_t nbytes, uint8_t *restrict out) {
    for (size_t i = 0; i + 2 <= nbytes; i += 2) {
        uint16_t sample;
        memcpy(&sample, samples + i, 2);
        sample = (uint16_t)(sample << 8 | sample >> 8);
        memcpy(out + i, &sample, 2);
    }
}

size_t filter_scratch_nbytes(size_t row_nbytes) { return 2 * row_nbytes; }

void filter_row(const Rows *rows, size_t y, unsigned kind, uint8_t *out, uint8_t *scratch, int is_next) {
    size_t nbytes = rows->row_nbytes;
    const uint8_t *row = rows->pixels + y * nbytes, *above = y ? row - nbytes : row;
    if (rows->is_swapped) {
        uint8_t *swapped = scratch + y % 2 * nbytes, *swapped_above = scratch + (1 - y % 2) * nbytes;
        swap(row, nbytes, swapped);
        if (y && !is_next) swap(above, nbytes, swapped_above);
        row = swapped;
        above = swapped_above;
    }
    if (y == 0) {
        filter_any(kind == NONE || kind == UP ? NONE : SUB, row, row, nbytes, rows->pixel_nbytes, out);
        if (kind == UP) out[0] = UP;
        return;
    }
    filter_any(kind, row, above, nbytes, rows->pixel_nbytes, out);
}

/* How many bytes equal the byte above them, in every `step`-th row from row 1 on. */
INLINE size_t equal(const Rows *rows, size_t height, size_t step) {
    size_t total = 0, nbytes = rows->row_nbytes;
    for (size_t y = 1; y < height; y += step) {
        const uint8_t *row = rows->pixels + y * nbytes, *above = row - nbytes;
        size_t i = 0;
        while (nbytes - i >= LANES) {
            Lanes counts = {0}, lower, upper;
            for (unsigned k = 0; k < 255 && nbytes - i >= LANES; k++, i += LANES) {
                memcpy(&lower, row + i, LANES);
                memcpy(&upper, above + i, LANES);
                counts -= (Lanes)(lower == upper);
            }
            for (unsigned k = 0; k < LANES; k++) total += counts[k];
        }
        for (; i < nbytes; i++) total += row[i] == above[i];
    }
    return total;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static size_t equal_avx2(const Rows *rows, size_t height, size_t step) {
    return equal(rows, height, step);
}
#endif

size_t equal_bytes(const Rows *rows, size_t height, size_t step) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return equal_avx2(rows, height, step);
#endif
    return equal(rows, height, step);
}

/* Rows first..last of `pixels`, filtered as NONE..MIXED, into (last - first) * (1 + row_nbytes) bytes. */
EXPORT void pixlog_filter_rows(const uint8_t *pixels, size_t first, size_t last, size_t row_nbytes, size_t pixel_nbytes,
                               unsigned kind, uint8_t *out) {
    Rows rows = {pixels, row_nbytes, pixel_nbytes, 0};
    for (size_t y = first; y < last; y++, out += 1 + row_nbytes) filter_row(&rows, y, kind, out, NULL, 1);
}
