/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums and digests.  Pure; any thread. */
#ifndef CKPTFS_HASH_H
#define CKPTFS_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

#define SHA256_LEN 32
#define MD5_LEN 16
#define SHA1_LEN 20

/* CRC-64/NVME (check value ae8b14860a799888); start with 0 and pass the last
 * result on. */
uint64_t crc64nvme(uint64_t crc, const void *p, size_t n);
/* The CRC of A followed by B, from the CRC of each and the length of B. */
uint64_t crc64nvme_combine(uint64_t a, uint64_t b, uint64_t len_b);
/* CRC-32C (check value e3069283), alike. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t len_b);

/* XXH3, 128 bits, of a stream. */
struct hash128 {
	uint64_t lo, hi;
};
struct xxh;
int xxh_new(struct xxh **ret) NONNULL(1) MUST_USE;
void xxh_free(struct xxh *x);
void xxh_reset(struct xxh *x) NONNULL(1);
void xxh_add(struct xxh *x, const void *p, size_t n) NONNULL(1);
struct hash128 xxh_digest(const struct xxh *x) NONNULL(1);

void sha256(const void *p, size_t n, unsigned char ret[SHA256_LEN]) NONNULL(3);
/* To name files as others do, never to trust anything. */
void sha1(const void *p, size_t n, unsigned char ret[SHA1_LEN]) NONNULL(3);
void md5(const void *p, size_t n, unsigned char ret[MD5_LEN]) NONNULL(3);

#endif
