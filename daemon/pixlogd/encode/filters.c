/* PNG's row filters (PNG specification, section 9), and the choice between average and Paeth for each row.

   Theory of operation.  A filter stores each byte as its difference from a prediction made of the byte one pixel to the
   left (a), the byte above (b) and the byte above and left (c).  All of it is done on bytes, by formulas without a
   branch that the compiler turns into vector instructions, 32 bytes at a time with AVX2:

   * average: floor((a + b) / 2) = (a & b) + ((a ^ b) >> 1), which cannot overflow;
   * Paeth: with lo, hi = min(a, b), max(a, b) and m = c clamped into [lo, hi], the nearest of a, b, c to a + b - c is
     lo if 2 (hi - m) <= m - lo, hi if 2 (m - lo) <= hi - m, and m otherwise.  The clamp settles a c outside [lo, hi];
     ties have equal values.

   MIXED filters a row in both ways and keeps the one whose residuals, read as signed, have the smaller sum of absolute
   values: libpng's own guess at how well they compress.

   Rows are read where they lie; those of swapped samples are brought into order in the scratch memory first, each once.
   What another thread writes to the pixels meanwhile gives other residuals, nothing else. */

#include "filters.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))

#define LANES 16u
typedef uint8_t Lanes __attribute__((vector_size(LANES)));
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

INLINE void filter_average(const uint8_t *row, const uint8_t *above, size_t nbytes, size_t pixel, uint8_t *restrict out) {
    for (size_t i = 0; i < pixel; i++) out[i] = (uint8_t)(row[i] - (above[i] >> 1));
    for (size_t i = pixel; i < nbytes; i++) out[i] = (uint8_t)(row[i] - average(row[i - pixel], above[i]));
}

INLINE void filter_paeth(const uint8_t *row, const uint8_t *above, size_t nbytes, size_t pixel, uint8_t *restrict out) {
    for (size_t i = 0; i < pixel; i++) out[i] = (uint8_t)(row[i] - above[i]);
    for (size_t i = pixel; i < nbytes; i++)
        out[i] = (uint8_t)(row[i] - paeth(row[i - pixel], above[i], above[i - pixel]));
}

/* The sum of absolute values; 257 bytes of at most 128 fit in a lane of 16 bits. */
INLINE uint64_t cost(const uint8_t *residuals, size_t nbytes) {
    uint64_t total = 0;
    size_t i = 0;
    while (nbytes - i >= LANES) {
        WideLanes sums = {0};
        for (unsigned k = 0; k < 256 && nbytes - i >= LANES; k++, i += LANES) {
            Lanes at, is_negative;
            memcpy(&at, residuals + i, LANES);
            is_negative = (Lanes)(at > 127);
            sums += __builtin_convertvector((at ^ is_negative) - is_negative, WideLanes);
        }
        for (unsigned k = 0; k < LANES; k++) total += sums[k];
    }
    for (; i < nbytes; i++) total += residuals[i] < 128 ? residuals[i] : 256u - residuals[i];
    return total;
}

INLINE void filter(unsigned kind, const uint8_t *row, const uint8_t *above, size_t nbytes, size_t pixel,
                   uint8_t *restrict out, uint8_t *restrict other) {
    uint8_t *restrict to = out + 1;
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
    case AVERAGE: filter_average(row, above, nbytes, pixel, to); return;
    case PAETH: filter_paeth(row, above, nbytes, pixel, to); return;
    default:
        filter_average(row, above, nbytes, pixel, to);
        filter_paeth(row, above, nbytes, pixel, other);
        int is_paeth = cost(other, nbytes) < cost(to, nbytes);
        out[0] = is_paeth ? PAETH : AVERAGE;
        if (is_paeth) memcpy(to, other, nbytes);
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void filter_avx2(unsigned kind, const uint8_t *row, const uint8_t *above,
                                                        size_t nbytes, size_t pixel, uint8_t *restrict out,
                                                        uint8_t *restrict other) {
    filter(kind, row, above, nbytes, pixel, out, other);
}
#endif

static void filter_any(unsigned kind, const uint8_t *row, const uint8_t *above, size_t nbytes, size_t pixel,
                       uint8_t *restrict out, uint8_t *restrict other) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        filter_avx2(kind, row, above, nbytes, pixel, out, other);
        return;
    }
#endif
    filter(kind, row, above, nbytes, pixel, out, other);
}

static void swap(const uint8_t *samples, size_t nbytes, uint8_t *restrict out) {
    for (size_t i = 0; i + 2 <= nbytes; i += 2) {
        uint8_t first = samples[i];
        out[i] = samples[i + 1];
        out[i + 1] = first;
    }
}

size_t filter_scratch_nbytes(size_t row_nbytes) { return 3 * row_nbytes; }

void filter_row(const Rows *rows, size_t y, unsigned kind, uint8_t *out, uint8_t *scratch, int is_next) {
    size_t nbytes = rows->row_nbytes;
    const uint8_t *row = rows->pixels + y * nbytes, *above = y ? row - nbytes : row;
    if (rows->is_swapped) {
        uint8_t *swapped = scratch + (1 + y % 2) * nbytes, *swapped_above = scratch + (2 - y % 2) * nbytes;
        swap(row, nbytes, swapped);
        if (y && !is_next) swap(above, nbytes, swapped_above);
        row = swapped;
        above = swapped_above;
    }
    if (y == 0) {
        filter_any(kind == NONE || kind == UP ? NONE : SUB, row, row, nbytes, rows->pixel_nbytes, out, scratch);
        if (kind == UP) out[0] = UP;
        return;
    }
    filter_any(kind, row, above, nbytes, rows->pixel_nbytes, out, scratch);
}

/* Scratch memory of `pixlog_filter_rows`. */
EXPORT size_t pixlog_filter_scratch(size_t row_nbytes) { return filter_scratch_nbytes(row_nbytes); }

/* Rows first..last of `pixels`, filtered as NONE..MIXED, into (last - first) * (1 + row_nbytes) bytes. */
EXPORT void pixlog_filter_rows(const uint8_t *pixels, size_t first, size_t last, size_t row_nbytes, size_t pixel_nbytes,
                               unsigned kind, uint8_t *out, uint8_t *scratch) {
    Rows rows = {pixels, row_nbytes, pixel_nbytes, 0};
    for (size_t y = first; y < last; y++, out += 1 + row_nbytes) filter_row(&rows, y, kind, out, scratch, y > first);
}

/* How many bytes of rows equal the byte above them, in rows of even distance from row 1 on: every `step`-th. */
INLINE size_t equal_bytes(const uint8_t *pixels, size_t height, size_t row_nbytes, size_t step) {
    size_t total = 0;
    for (size_t y = 1; y < height; y += step) {
        const uint8_t *row = pixels + y * row_nbytes, *above = row - row_nbytes;
        size_t i = 0;
        while (row_nbytes - i >= LANES) {
            Lanes counts = {0}, left, right;
            for (unsigned k = 0; k < 255 && row_nbytes - i >= LANES; k++, i += LANES) {
                memcpy(&left, row + i, LANES);
                memcpy(&right, above + i, LANES);
                counts -= (Lanes)(left == right);
            }
            WideLanes wide = __builtin_convertvector(counts, WideLanes);
            for (unsigned k = 0; k < LANES; k++) total += wide[k];
        }
        for (; i < row_nbytes; i++) total += row[i] == above[i];
    }
    return total;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static size_t equal_bytes_avx2(const uint8_t *pixels, size_t height, size_t row_nbytes,
                                                               size_t step) {
    return equal_bytes(pixels, height, row_nbytes, step);
}
#endif

EXPORT size_t pixlog_equal_bytes(const uint8_t *pixels, size_t height, size_t row_nbytes, size_t step) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return equal_bytes_avx2(pixels, height, row_nbytes, step);
#endif
    return equal_bytes(pixels, height, row_nbytes, step);
}
