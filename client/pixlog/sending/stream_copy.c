/* A copy past the caches, for pixels that this processor will not read again.
 *
 * An ordinary store reads a line of the destination into the cache before it writes there, and what it pushes out is
 * memory that training is still using.  A non-temporal store writes whole lines straight to memory.  memcpy has them
 * too, but only above a share of the last cache, which on servers is more than any image.
 *
 * The fence at the end orders the stores before whatever is written next, such as the frame that tells another process
 * of them: without it they might be seen later.
 *
 * One core follows only a dozen or so lines on their way, and loads that miss and stores past the caches compete for that.
 * So the source is asked for early, into the second-level cache: into the first it gains little, and asked for as data
 * that is used once it takes up to twice the time.  And several pages are copied side by side: by itself the processor
 * fetches ahead within a page only, so it has more under way, and the stores are quicker for it too.
 *
 * Only for x86-64; elsewhere the library is empty and the caller copies in the ordinary way.
 */

#if defined(__x86_64__)

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define AVX512 __attribute__((target("avx512f")))
#define LINE 64              /* bytes of a cache line, which a non-temporal store had better fill */
#define RUN (8 * LINE)       /* bytes copied of one page before the next has its turn */
#define PAGE 4096            /* bytes */
#define PAGES 4              /* copied side by side */
#define BLOCK (PAGES * PAGE) /* bytes; the source is asked for so far ahead */

/* Copies what lies before the first whole line of the destination; returns how many bytes that were. */
static size_t copy_head(char *to, const char *from, size_t nbytes) {
    size_t head = (LINE - ((uintptr_t)to & (LINE - 1))) & (LINE - 1);
    if (head > nbytes) head = nbytes;
    memcpy(to, from, head);
    return head;
}

/* Where the nth run of a block begins: the runs of its pages follow one another in turn. */
static inline size_t nth_run(size_t n) { return n % PAGES * PAGE + n / PAGES * RUN; }

static inline void stream_line_sse2(char *to, const char *from) {
    __m128i a = _mm_loadu_si128((const __m128i *)from);
    __m128i b = _mm_loadu_si128((const __m128i *)(from + 16));
    __m128i c = _mm_loadu_si128((const __m128i *)(from + 32));
    __m128i d = _mm_loadu_si128((const __m128i *)(from + 48));
    _mm_stream_si128((__m128i *)to, a);
    _mm_stream_si128((__m128i *)(to + 16), b);
    _mm_stream_si128((__m128i *)(to + 32), c);
    _mm_stream_si128((__m128i *)(to + 48), d);
}

/* One store for each line: nothing is left for the processor to combine. */
AVX512 static inline void stream_line_avx512(char *to, const char *from) {
    _mm512_stream_si512((__m512i *)to, _mm512_loadu_si512(from));
}

/* Copies nbytes between places that do not overlap, at any addresses.  The last block and what follows it are copied in
 * order, with nothing left to ask for: not even a prefetch goes outside of the source.  A macro, because a function is
 * compiled for one set of instructions. */
#define STREAM_COPY(to, from, nbytes, stream_line)                    \
    size_t at = copy_head(to, from, nbytes);                          \
    for (; at + 2 * BLOCK <= nbytes; at += BLOCK) {                   \
        for (size_t run = 0; run < BLOCK / RUN; run++) {              \
            size_t start = at + nth_run(run);                         \
            for (size_t i = start; i < start + RUN; i += LINE) {      \
                _mm_prefetch(from + i + BLOCK, _MM_HINT_T2);          \
                stream_line(to + i, from + i);                        \
            }                                                         \
        }                                                             \
    }                                                                 \
    for (; at + LINE <= nbytes; at += LINE) stream_line(to + at, from + at); \
    memcpy(to + at, from + at, nbytes - at);                          \
    _mm_sfence();

EXPORT void pixlog_stream_copy_sse2(char *to, const char *from, size_t nbytes) {
    STREAM_COPY(to, from, nbytes, stream_line_sse2)
}

AVX512 EXPORT void pixlog_stream_copy_avx512(char *to, const char *from, size_t nbytes) {
    STREAM_COPY(to, from, nbytes, stream_line_avx512)
}

/* Whether the processor has what the second one needs and is none of those, Skylake for one, that run slower for a while
 * after instructions of 512 bits: they came before VBMI. */
EXPORT int pixlog_has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vbmi");
}

#else

typedef int nothing; /* a translation unit is not to be empty */

#endif
