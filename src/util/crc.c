/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <isa-l/crc.h>
#include <isa-l/crc64.h>

#include "ckptfs/hash.h"

/*
 * Polynomials over GF(2) modulo that of a CRC, in the reflected order the CRC
 * has: its highest bit is the coefficient of x^0.
 */
struct field {
	uint64_t poly, x0; /* x0: that bit */
};

static const struct field nvme = { UINT64_C(0x9a6c9329ac4bc9b5),
				   UINT64_C(1) << 63 };
static const struct field castagnoli = { 0x82f63b78, UINT64_C(1) << 31 };

uint64_t crc64nvme(uint64_t crc, const void *p, size_t n)
{
	return crc64_rocksoft_refl(crc, p, n);
}

static uint64_t multiply(const struct field *f, uint64_t a, uint64_t b)
{
	uint64_t product = 0;

	for (; a != 0; a = (a & ~f->x0) << 1) {
		if (a & f->x0)
			product ^= b;
		b = (b >> 1) ^ ((b & 1) ? f->poly : 0);
	}
	return product;
}

/* Appending a byte multiplies by x^8; the inversions before and after cancel
 * out. */
static uint64_t combine(const struct field *f, uint64_t a, uint64_t b,
			uint64_t len_b)
{
	uint64_t shift = f->x0, power = f->x0 >> 8;

	for (; len_b != 0; len_b >>= 1) {
		if (len_b & 1)
			shift = multiply(f, shift, power);
		power = multiply(f, power, power);
	}
	return multiply(f, shift, a) ^ b;
}

uint64_t crc64nvme_combine(uint64_t a, uint64_t b, uint64_t len_b)
{
	return combine(&nvme, a, b, len_b);
}

uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t len_b)
{
	return (uint32_t)combine(&castagnoli, a, b, len_b);
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	/* ISA-L does not write to it, and takes an int for the length. */
	unsigned char *at = (unsigned char *)(uintptr_t)p;
	const size_t most = 1U << 30;

	crc = ~crc;
	while (n > 0) {
		size_t step = n < most ? n : most;

		crc = crc32_iscsi(at, (int)step, crc);
		at += step;
		n -= step;
	}
	return ~crc;
}
