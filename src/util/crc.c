/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <isa-l/crc.h>
#include <isa-l/crc64.h>

#include "ckptfs/hash.h"

/*
 * Polynomials over GF(2) modulo that of CRC-64/NVME, in the reflected order
 * the CRC has: the highest bit is the coefficient of x^0.
 */
#define POLY UINT64_C(0x9a6c9329ac4bc9b5)
#define X0 (UINT64_C(1) << 63)
#define X8 (UINT64_C(1) << 55)

uint64_t crc64nvme(uint64_t crc, const void *p, size_t n)
{
	return crc64_rocksoft_refl(crc, p, n);
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
	uint64_t product = 0;

	for (; a != 0; a <<= 1) {
		if (a & X0)
			product ^= b;
		b = (b >> 1) ^ ((b & 1) ? POLY : 0);
	}
	return product;
}

/* Appending a byte multiplies by x^8; the inversions before and after cancel
 * out. */
uint64_t crc64nvme_combine(uint64_t a, uint64_t b, uint64_t len_b)
{
	uint64_t shift = X0, power = X8;

	for (; len_b != 0; len_b >>= 1) {
		if (len_b & 1)
			shift = multiply(shift, power);
		power = multiply(power, power);
	}
	return multiply(shift, a) ^ b;
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
