/* A copy past the caches, for pixels that this processor will not read again.
 *
 * An ordinary store reads a line of the destination into the cache before it writes there, and what it pushes out is
 * memory that training is still using.  A non-temporal store writes whole lines straight to memory.  memcpy has them
 * too, but only above a share of the last cache, which on servers is more than any image.
 *
 * The fence at the end orders the stores before whatever is written next, such as the frame that tells another process
 * of them: without it they might be seen later.
 *
 * Only for x86-64; elsewhere the library is empty and the caller copies in the ordinary way.
 */

#if defined(__x86_64__)

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define LINE 64 /* bytes of a cache line, which a non-temporal store had better fill */

/* Copies what lies before the first whole line of the destination; returns how many bytes that were. */
static size_t copy_head(char *to, const char *from, size_t nbytes) {
    size_t head = (LINE - ((uintptr_t)to & (LINE - 1))) & (LINE - 1);
    if (head > nbytes) head = nbytes;
    memcpy(to, from, head);
    return head;
}

/* Both copy nbytes between places that do not overlap, at any addresses. */

EXPORT void pixlog_stream_copy_sse2(char *to, const char *from, size_t nbytes) {
    size_t at = copy_head(to, from, nbytes);
    for (; at + LINE <= nbytes; at += LINE) {
        __m128i a = _mm_loadu_si128((const __m128i *)(from + at));
        __m128i b = _mm_loadu_si128((const __m128i *)(from + at + 16));
        __m128i c = _mm_loadu_si128((const __m128i *)(from + at + 32));
        __m128i d = _mm_loadu_si128((const __m128i *)(from + at + 48));
        _mm_stream_si128((__m128i *)(to + at), a);
        _mm_stream_si128((__m128i *)(to + at + 16), b);
        _mm_stream_si128((__m128i *)(to + at + 32), c);
        _mm_stream_si128((__m128i *)(to + at + 48), d);
    }
    memcpy(to + at, from + at, nbytes - at);
    _mm_sfence();
}

/* One store for each line: nothing is left for the processor to combine. */
__attribute__((target("avx512f"))) EXPORT void pixlog_stream_copy_avx512(char *to, const char *from,
                                                                        size_t nbytes) {
    size_t at = copy_head(to, from, nbytes);
    for (; at + 4 * LINE <= nbytes; at += 4 * LINE) {
        __m512i a = _mm512_loadu_si512(from + at);
        __m512i b = _mm512_loadu_si512(from + at + LINE);
        __m512i c = _mm512_loadu_si512(from + at + 2 * LINE);
        __m512i d = _mm512_loadu_si512(from + at + 3 * LINE);
        _mm512_stream_si512((__m512i *)(to + at), a);
        _mm512_stream_si512((__m512i *)(to + at + LINE), b);
        _mm512_stream_si512((__m512i *)(to + at + 2 * LINE), c);
        _mm512_stream_si512((__m512i *)(to + at + 3 * LINE), d);
    }
    memcpy(to + at, from + at, nbytes - at);
    _mm_sfence();
}

/* Whether the processor has what the second one needs and is none of those, Skylake for one, that run slower for a while
 * after instructions of 512 bits: they came before VBMI. */
EXPORT int pixlog_has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vbmi");
}

#else

typedef int nothing; /* a translation unit is not to be empty */

#endif
