/* Adler-32, the checksum of zlib streams (RFC 1950). */

#ifndef PIXLOG_CHECKSUMS_H
#define PIXLOG_CHECKSUMS_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what `sum` is of (1: of nothing) and of `data`. */
uint32_t adler32(uint32_t sum, const uint8_t *data, size_t nbytes);

#endif
