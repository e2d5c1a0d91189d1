/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets share.  A target is LLVMFuzzerTestOneInput() in a file
 * of its own: libFuzzer calls it with --enable-fuzzing; else replay.c does, with
 * each file of the target's corpus.
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What must hold for every input. */
#define FUZZ_REQUIRE(cond, ...)                                                \
	do {                                                                   \
		if (!(cond)) {                                                 \
			(void)fprintf(stderr, "%s:%d: %s: ", __FILE__,         \
				      __LINE__, #cond);                        \
			(void)fprintf(stderr, __VA_ARGS__);                    \
			(void)fputc('\n', stderr);                             \
			abort();                                               \
		}                                                              \
	} while (0)

/* An input taken apart from its beginning; at its end all is zero. */
struct fuzz_in {
	const uint8_t *p;
	size_t n;
};

static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static inline uint32_t fuzz_u32(struct fuzz_in *in)
{
	uint32_t v = fuzz_u8(in);

	v = v << 8 | fuzz_u8(in);
	v = v << 8 | fuzz_u8(in);
	return v << 8 | fuzz_u8(in);
}

/* Up to the next sep, which is skipped, or to the end. */
static inline struct fuzz_in fuzz_until(struct fuzz_in *in, const char *sep)
{
	size_t k = strlen(sep);
	const uint8_t *at = in->n ? memmem(in->p, in->n, sep, k) : NULL;
	struct fuzz_in ret = { in->p, at ? (size_t)(at - in->p) : in->n };

	in->p += ret.n + (at ? k : 0);
	in->n -= ret.n + (at ? k : 0);
	return ret;
}

/* The bytes up to the first NUL or the end, as a string to be freed; in memory
 * of its own, so that reading past its end is seen. */
static inline char *fuzz_text(const struct fuzz_in *in)
{
	size_t n = in->n ? strnlen((const char *)in->p, in->n) : 0;
	char *s = malloc(n + 1);

	if (!s)
		abort();
	if (n)
		memcpy(s, in->p, n);
	s[n] = '\0';
	return s;
}

#endif
