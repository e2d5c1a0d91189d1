/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness, as a seam: tests use a seeded one. */
#ifndef CKPTFS_RNG_H
#define CKPTFS_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	void (*fill)(struct rng *r, void *p, size_t n);
};

static inline uint64_t rng_u64(struct rng *r)
{
	uint64_t v;

	r->fill(r, &v, sizeof(v));
	return v;
}

/* The kernel's (getrandom); aborts if there is none.  Any thread. */
extern struct rng rng_system;

#endif
