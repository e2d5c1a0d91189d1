/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"
#include "ckptfs/text.h"

#include "harness.h"

static unsigned char data[5000];

/* A generator of its own, so that the bytes are the same everywhere. */
static uint64_t next(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void setup(void)
{
	size_t i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)next();
}

static uint64_t slow_crc64(const unsigned char *p, size_t n)
{
	uint64_t c = ~UINT64_C(0);
	int k;

	while (n--) {
		c ^= *p++;
		for (k = 0; k < 8; k++)
			c = (c >> 1) ^
			    ((c & 1) ? UINT64_C(0x9a6c9329ac4bc9b5) : 0);
	}
	return ~c;
}

static uint32_t slow_crc32c(const unsigned char *p, size_t n)
{
	uint32_t c = ~0U;
	int k;

	while (n--) {
		c ^= *p++;
		for (k = 0; k < 8; k++)
			c = (c >> 1) ^ ((c & 1) ? 0x82f63b78U : 0);
	}
	return ~c;
}

START_TEST(check_values)
{
	ck_assert_uint_eq(crc64nvme(0, "123456789", 9),
			  UINT64_C(0xae8b14860a799888));
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc64nvme(0, "", 0), 0);
	ck_assert_uint_eq(crc32c(0, "", 0), 0);
}
END_TEST

START_TEST(every_length_and_alignment_matches_the_slow_way)
{
	size_t n, off;

	for (n = 0; n < 1500; n++) {
		off = n % 61;
		ck_assert_uint_eq(crc64nvme(0, data + off, n),
				  slow_crc64(data + off, n));
		ck_assert_uint_eq(crc32c(0, data + off, n),
				  slow_crc32c(data + off, n));
	}
}
END_TEST

START_TEST(a_crc_continues_over_pieces)
{
	unsigned i;

	for (i = 0; i < 300; i++) {
		size_t n = next() % sizeof(data), cut = n ? next() % n : 0;
		uint64_t whole = crc64nvme(0, data, n);
		uint64_t a = crc64nvme(0, data, cut);
		uint64_t b = crc64nvme(0, data + cut, n - cut);

		ck_assert_uint_eq(crc64nvme(a, data + cut, n - cut), whole);
		ck_assert_uint_eq(crc64nvme_combine(a, b, n - cut), whole);
		ck_assert_uint_eq(
			crc32c_combine(crc32c(0, data, cut),
				       crc32c(0, data + cut, n - cut), n - cut),
			crc32c(0, data, n));
		ck_assert_uint_eq(
			crc32c(crc32c(0, data, cut), data + cut, n - cut),
			crc32c(0, data, n));
	}
}
END_TEST

START_TEST(combining_works_for_lengths_no_memory_holds)
{
	static const unsigned char zeros[4096];
	uint64_t tail = crc64nvme(0, zeros, sizeof(zeros)), len = sizeof(zeros);
	uint64_t head = crc64nvme(0, data, 100), joined, twice;
	unsigned i;

	/* 4 KiB of zeros doubled to 4 TiB, in both orders of association. */
	for (i = 0; i < 30; i++) {
		joined = crc64nvme_combine(crc64nvme_combine(head, tail, len),
					   tail, len);
		twice = crc64nvme_combine(tail, tail, len);
		len *= 2;
		ck_assert_uint_eq(crc64nvme_combine(head, twice, len), joined);
		tail = twice;
	}
	ck_assert_uint_eq(crc64nvme_combine(head, 0, 0), head);
	ck_assert_uint_eq(crc64nvme_combine(0, head, 100), head);
}
END_TEST

START_TEST(xxh3_of_a_stream_does_not_depend_on_the_pieces)
{
	struct xxh *x;
	struct hash128 whole, pieces;
	size_t i;

	ck_assert_int_eq(xxh_new(&x), 0);
	/* XXH3_128bits of nothing, seed 0, from the specification's vectors */
	whole = xxh_digest(x);
	ck_assert_uint_eq(whole.hi, UINT64_C(0x99aa06d3014798d8));
	ck_assert_uint_eq(whole.lo, UINT64_C(0x6001c324468d497f));
	xxh_add(x, data, sizeof(data));
	whole = xxh_digest(x);
	xxh_reset(x);
	for (i = 0; i < sizeof(data); i += 7)
		xxh_add(x, data + i,
			sizeof(data) - i < 7 ? sizeof(data) - i : 7);
	pieces = xxh_digest(x);
	ck_assert_uint_eq(whole.lo, pieces.lo);
	ck_assert_uint_eq(whole.hi, pieces.hi);
	xxh_add(x, "x", 1);
	ck_assert_uint_ne(xxh_digest(x).lo, whole.lo);
	xxh_free(x);
	xxh_free(NULL);
}
END_TEST

static const struct {
	const char *in, *sha, *md, *sha1;
} digests[] = {
	{ "",
	  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	  "d41d8cd98f00b204e9800998ecf8427e",
	  "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
	{ "abc",
	  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	  "900150983cd24fb0d6963f7d28e17f72",
	  "a9993e364706816aba3e25717850c26c9cd0d89d" },
};

START_TEST(digest_vectors)
{
	unsigned char d[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];

	sha256(digests[_i].in, strlen(digests[_i].in), d);
	text_hex(d, SHA256_LEN, hex);
	ck_assert_str_eq(hex, digests[_i].sha);
	md5(digests[_i].in, strlen(digests[_i].in), d);
	text_hex(d, MD5_LEN, hex);
	ck_assert_str_eq(hex, digests[_i].md);
	sha1(digests[_i].in, strlen(digests[_i].in), d);
	text_hex(d, SHA1_LEN, hex);
	ck_assert_str_eq(hex, digests[_i].sha1);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, check_values);
	tcase_add_test(c, every_length_and_alignment_matches_the_slow_way);
	tcase_add_test(c, a_crc_continues_over_pieces);
	tcase_add_test(c, combining_works_for_lengths_no_memory_holds);
	tcase_add_test(c, xxh3_of_a_stream_does_not_depend_on_the_pieces);
	tcase_add_loop_test(c, digest_vectors, 0, ARRAY_SIZE(digests));
}

int main(void)
{
	return harness_run("hash", add);
}
