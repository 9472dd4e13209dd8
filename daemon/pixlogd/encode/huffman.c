/* Deflate without a search for matches: literals and runs, Huffman-coded (RFC 1951).

   Theory of operation.  Filtered photographs are grain: a search finds matches of three or four bytes that a Huffman
   code spells as cheaply, and takes nine tenths of the time.  Here the only matches are runs, a byte repeated eight
   times or more (distance 1), found by comparing eight bytes with the eight one byte before.

   The input is cut into equal blocks of about BLOCK bytes, each with a code of its own:

   1. scan      counts the literals and notes the runs.  Groups of eight bytes that all equal the byte before them make
                a run, which the bytes behind it may lengthen; those before it stay literals.
   2. build     Huffman's lengths from the counts sorted by radix: the two lightest nodes meet, leaves from one queue,
                inner nodes from another.  Lengths above the limit are cut to it, and shorter codes give way until the
                lengths are those of a prefix code again (Kraft's sum is 1).
   3. choose    The exact size in bits follows from counts and lengths; a block that would not shrink is stored.
   4. emit      Literals are put four or 64 at a time (literals.c), runs one by one.

   Bounds.  A block never takes more than five bytes more than it holds, so `deflate_bound` is known before.  All reads
   are within the data, all writes within out[0..bound); eight bytes are stored at a time, hence the slack.  Each store looks at the end of `out` again: bytes that another thread changes meanwhile give a broken stream,
   never a write outside.  No allocation, no state between calls, no globals: about 40 KB of stack.

   Wants GCC or Clang: for built-in functions and attributes. */

#include "huffman.h"

#include "literals.h"

#define EXPORT __attribute__((visibility("default")))

#define BLOCK 32768u /* MAX_BLOCK is below 65536: stored blocks, counts and places in a block have 16 bits */
#define SLACK 16u    /* one eight-byte store beyond the end, and the last few bits */
#define MAX_LENGTH 258u
#define MIN_RUN 8u
#define SYMBOLS 286 /* literals, end of block, 29 lengths */
#define END 256
#define LIMIT LITERAL_LIMIT /* deflate allows 15 */
#define ORDER_SYMBOLS 19
#define ORDER_LIMIT 7

typedef struct { uint16_t start, length; } Run;
typedef struct { uint16_t bits; uint8_t length; } Code;

typedef struct {
    uint32_t counts[SYMBOLS];
    Run runs[MAX_BLOCK / MIN_RUN];
    size_t run_count;
    uint64_t extra_bits; /* of runs: of their lengths, and the one of their distance */
} Tokens;

/* The lengths of a dynamic block's two codes as its header spells them. */
typedef struct {
    uint8_t symbols[SYMBOLS + 2], repeats[SYMBOLS + 2];
    unsigned count, code_count;
    Code codes[ORDER_SYMBOLS];
    uint64_t bits;
} Header;

static const uint8_t ORDER[ORDER_SYMBOLS] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
static const uint8_t ORDER_EXTRA[ORDER_SYMBOLS] = {[16] = 2, [17] = 3, [18] = 7};

INLINE uint64_t load64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }

/* A length of 3..258 as its symbol, with the value and the count of its extra bits. */
INLINE unsigned length_symbol(unsigned length, unsigned *extra, unsigned *extra_count) {
    unsigned from_three = length - 3, shift = 0;
    *extra = *extra_count = 0;
    if (length == MAX_LENGTH) return 285;
    if (from_three < 8) return 257 + from_three;
    while (from_three >> shift >= 8) shift++;
    *extra = from_three & ((1u << shift) - 1);
    *extra_count = shift;
    return 257 + 4 * shift + (from_three >> shift);
}

/* The next match of what is left of a run: none of 1 or 2 bytes may remain behind it. */
INLINE unsigned next_match(unsigned left) {
    if (left <= MAX_LENGTH) return left;
    return left - MAX_LENGTH >= 3 ? MAX_LENGTH : MAX_LENGTH - 3;
}

/* Counts and runs of data[start..stop); the byte before `start` may begin a run. */
INLINE void scan(const uint8_t *data, size_t start, size_t stop, Tokens *t) {
    uint32_t counts[4][256];
    size_t i = start;
    memset(counts, 0, sizeof counts);
    memset(t->counts, 0, sizeof t->counts);
    t->run_count = 0;
    t->extra_bits = 0;
    if (i == 0) counts[0][data[i++]]++;
    while (i + 8 <= stop) {
        uint64_t word = load64(data + i);
        if (word != load64(data + i - 1)) {
            for (int k = 0; k < 8; k += 4) {
                counts[0][data[i + k]]++;
                counts[1][data[i + k + 1]]++;
                counts[2][data[i + k + 2]]++;
                counts[3][data[i + k + 3]]++;
            }
            i += 8;
            continue;
        }
        size_t first = i;
        for (i += 8; i + 8 <= stop && load64(data + i) == word; i += 8) {}
        while (i < stop && data[i] == data[first]) i++;
        t->runs[t->run_count++] = (Run){(uint16_t)(first - start), (uint16_t)(i - first)};
        for (unsigned left = (unsigned)(i - first), extra, extra_count, match; left; left -= match) {
            match = next_match(left);
            t->counts[length_symbol(match, &extra, &extra_count)]++;
            t->extra_bits += extra_count + 1;
        }
    }
    for (; i < stop; i++) counts[0][data[i]]++;
    for (int k = 0; k < 256; k++) t->counts[k] = counts[0][k] + counts[1][k] + counts[2][k] + counts[3][k];
    t->counts[END] = 1;
}

/* The symbols that occur, as count << 9 | symbol, by rising count (below 2^16). */
static int sorted(const uint32_t *counts, int symbol_count, uint32_t *keys) {
    uint32_t other[SYMBOLS];
    int used = 0;
    for (int s = 0; s < symbol_count; s++)
        if (counts[s]) other[used++] = counts[s] << 9 | (uint32_t)s;
    for (int shift = 9; shift <= 17; shift += 8) {
        const uint32_t *from = shift == 9 ? other : keys;
        uint32_t *to = shift == 9 ? keys : other;
        uint16_t place[257] = {0};
        for (int i = 0; i < used; i++) place[(from[i] >> shift & 255) + 1]++;
        for (int i = 0; i < 256; i++) place[i + 1] = (uint16_t)(place[i + 1] + place[i]);
        for (int i = 0; i < used; i++) to[place[from[i] >> shift & 255]++] = from[i];
    }
    memcpy(keys, other, (size_t)used * sizeof *keys);
    return used;
}

/* Cuts lengths to the limit: `with_length[n]` codes of n bits, which must be a prefix code in the end. */
static void limit_lengths(int *with_length, int limit) {
    int64_t total = 0;
    for (int n = 1; n <= limit; n++) total += (int64_t)with_length[n] << (limit - n);
    for (; total > (int64_t)1 << limit; total--) {
        int n = limit - 1;
        while (n > 1 && !with_length[n]) n--;
        with_length[limit]--; /* it becomes the sibling of a shorter code, both one bit longer than that was */
        with_length[n]--;
        with_length[n + 1] += 2;
    }
}

static unsigned reversed(unsigned bits, int length) {
    unsigned out = 0;
    for (; length; length--, bits >>= 1) out = out << 1 | (bits & 1);
    return out;
}

/* Huffman's codes for the symbols that occur, of at most `limit` bits; at least two occur. */
static void build(const uint32_t *counts, int symbol_count, int limit, Code *codes) {
    uint32_t keys[SYMBOLS], weights[2 * SYMBOLS];
    uint16_t parents[2 * SYMBOLS];
    uint8_t depths[2 * SYMBOLS];
    int with_length[16] = {0}, used = sorted(counts, symbol_count, keys);
    int leaf = 0, inner = used, node = used;
    for (int i = 0; i < used; i++) weights[i] = keys[i] >> 9;
    for (; node < 2 * used - 1; node++) {
        weights[node] = 0;
        for (int child = 0; child < 2; child++) {
            int lightest = inner == node || (leaf < used && weights[leaf] <= weights[inner]) ? leaf++ : inner++;
            weights[node] += weights[lightest];
            parents[lightest] = (uint16_t)node;
        }
    }
    depths[node - 1] = 0;
    for (int i = node - 2; i >= 0; i--) {
        depths[i] = (uint8_t)(depths[parents[i]] + 1);
        if (i < used) with_length[depths[i] < limit ? depths[i] : limit]++;
    }
    limit_lengths(with_length, limit);
    memset(codes, 0, (size_t)symbol_count * sizeof *codes);
    for (int n = limit, i = 0; n > 0; n--) /* the rarest get the longest */
        for (int k = 0; k < with_length[n]; k++) codes[keys[i++] & 511].length = (uint8_t)n;
    unsigned next[17] = {0};
    for (int n = 1; n <= limit; n++) next[n + 1] = (next[n] + (unsigned)with_length[n]) << 1;
    for (int s = 0; s < symbol_count; s++)
        if (codes[s].length) codes[s].bits = (uint16_t)reversed(next[codes[s].length]++, codes[s].length);
}

/* The lengths of `codes`, and of two distance codes (1 and 2) of one bit each, which every decoder takes. */
static void spell(const Code *codes, Header *h) {
    uint8_t lengths[SYMBOLS + 2];
    uint32_t counts[ORDER_SYMBOLS] = {0};
    for (int s = 0; s < SYMBOLS; s++) lengths[s] = codes[s].length;
    lengths[SYMBOLS] = lengths[SYMBOLS + 1] = 1;
    h->count = 0;
    for (int i = 0, same; i < SYMBOLS + 2; i += same) {
        int is_repeat = i > 0 && lengths[i] && lengths[i] == lengths[i - 1];
        int most = lengths[i] ? is_repeat ? 6 : 1 : 138;
        for (same = 1; same < most && i + same < SYMBOLS + 2 && lengths[i + same] == lengths[i]; same++) {}
        unsigned symbol = lengths[i], repeat = 0;
        if (same < 3) same = 1;
        else if (is_repeat) symbol = 16, repeat = (unsigned)same - 3;
        else if (same < 11) symbol = 17, repeat = (unsigned)same - 3;
        else symbol = 18, repeat = (unsigned)same - 11;
        h->symbols[h->count] = (uint8_t)symbol;
        h->repeats[h->count++] = (uint8_t)repeat;
        counts[symbol]++;
    }
    build(counts, ORDER_SYMBOLS, ORDER_LIMIT, h->codes); /* 1 occurs, and so does the length of END, or its repeat */
    for (h->code_count = ORDER_SYMBOLS; !h->codes[ORDER[h->code_count - 1]].length;) h->code_count--;
    h->bits = 3 + 5 + 5 + 4 + 3 * h->code_count;
    for (int s = 0; s < ORDER_SYMBOLS; s++) h->bits += counts[s] * (h->codes[s].length + ORDER_EXTRA[s]);
}

static void emit_header(Bits *b, const Header *h, unsigned is_final) {
    put(b, is_final | 2u << 1 | (SYMBOLS - 257) << 3 | 1u << 8 | (h->code_count - 4) << 13, 17);
    for (unsigned i = 0; i < h->code_count; i++) put(b, h->codes[ORDER[i]].length, 3);
    for (unsigned i = 0; i < h->count; i++) {
        Code code = h->codes[h->symbols[i]];
        put(b, code.bits | (uint64_t)h->repeats[i] << code.length, code.length + ORDER_EXTRA[h->symbols[i]]);
    }
}

INLINE void emit(Bits *b, const Tokens *t, const Code *codes, const uint8_t *data, size_t nbytes) {
    Literals literals;
    size_t at = 0;
    for (unsigned k = 0; k < 256; k++) set_literal(&literals, k, codes[k].bits, codes[k].length);
    for (size_t r = 0; r < t->run_count; r++) {
        put_literals(b, &literals, data + at, t->runs[r].start - at);
        for (unsigned left = t->runs[r].length, extra, extra_count, match; left; left -= match) {
            match = next_match(left);
            Code code = codes[length_symbol(match, &extra, &extra_count)];
            put(b, code.bits | (uint64_t)extra << code.length, code.length + extra_count + 1); /* distance 1: a zero */
        }
        at = (size_t)t->runs[r].start + t->runs[r].length;
    }
    put_literals(b, &literals, data + at, nbytes - at);
    put(b, codes[END].bits, codes[END].length);
}

static void align(Bits *b) { put(b, 0, (8 - b->count) & 7); }

static void emit_stored(Bits *b, const uint8_t *data, size_t nbytes, unsigned is_final) {
    put(b, is_final, 3);
    align(b);
    put(b, nbytes | (uint64_t)(nbytes ^ 0xffff) << 16, 32);
    if (b->at > b->last || (size_t)(b->last - b->at) < nbytes) { b->overrun = 1; return; }
    if (nbytes) memcpy(b->at, data, nbytes);
    b->at += nbytes;
}

size_t deflate_bound(size_t nbytes) { return nbytes + 5 * (nbytes / BLOCK + 2) + SLACK; }

size_t deflate_block_nbytes(size_t nbytes) {
    size_t block_count = (nbytes + BLOCK / 2) / BLOCK;
    return block_count ? (nbytes + block_count - 1) / block_count : nbytes;
}

Bits deflate_begin(uint8_t *out, size_t capacity) { return (Bits){0, 0, out, out + capacity - 8, 0}; }

void deflate_block(Bits *b, const uint8_t *data, size_t start, size_t stop, int is_last) {
    Tokens tokens;
    Header header;
    Code codes[SYMBOLS];
    scan(data, start, stop, &tokens);
    build(tokens.counts, SYMBOLS, LIMIT, codes);
    spell(codes, &header);
    uint64_t bits = header.bits + tokens.extra_bits;
    for (int s = 0; s < SYMBOLS; s++) bits += (uint64_t)tokens.counts[s] * codes[s].length;
    if (bits >= 8 * (stop - start + 4)) {
        emit_stored(b, data + start, stop - start, is_last != 0);
    } else {
        emit_header(b, &header, is_last != 0);
        emit(b, &tokens, codes, data + start, stop - start);
    }
}

uint8_t *deflate_end(Bits *bits, int is_final) {
    if (!is_final) emit_stored(bits, bits->at, 0, 0); /* nothing, but it ends at a whole byte */
    align(bits);
    return bits->at;
}

/* What `pixlog_deflate` of `nbytes` takes at most. */
EXPORT size_t pixlog_deflate_bound(size_t nbytes) { return deflate_bound(nbytes); }

/* `data` as deflate blocks that end at a whole byte; the last of them is the stream's last if `is_final`.
   Returns the bytes written, or 0 if `capacity` is less than the bound or data changed meanwhile. */
EXPORT size_t pixlog_deflate(const uint8_t *data, size_t nbytes, uint8_t *out, size_t capacity, int is_final) {
    if (capacity < deflate_bound(nbytes)) return 0;
    Bits bits = deflate_begin(out, capacity);
    size_t block_nbytes = deflate_block_nbytes(nbytes);
    for (size_t start = 0; start < nbytes; start += block_nbytes) {
        size_t stop = nbytes - start < block_nbytes ? nbytes : start + block_nbytes;
        deflate_block(&bits, data, start, stop, is_final && stop == nbytes);
    }
    if (is_final && nbytes == 0) put(&bits, 1 | 1 << 1, 3 + 7); /* the fixed code with its end alone */
    uint8_t *end = deflate_end(&bits, is_final);
    return bits.overrun ? 0 : (size_t)(end - out);
}
