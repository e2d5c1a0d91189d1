/* SPDX-License-Identifier: Apache-2.0 */
/* What tests do to a simulated disk from outside. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "simdisk_impl.h"

void *sim_alloc(size_t n)
{
	void *p = calloc(1, n);

	if (!p)
		abort();
	return p;
}

char *sim_strndup(const char *s, size_t n)
{
	char *p = sim_alloc(n + 1);

	memcpy(p, s, n);
	return p;
}

/* Weyl sequence with a mixer; any seed does. */
uint64_t sim_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return x ^ (x >> 32);
}

struct simdisk *sim_of(const struct disk *d)
{
	return (struct simdisk *)(uintptr_t)d;
}

void sim_lock_disk(struct simdisk *d)
{
	if (pthread_mutex_lock(&d->m) != 0)
		abort();
}

void sim_unlock_disk(struct simdisk *d)
{
	if (pthread_mutex_unlock(&d->m) != 0)
		abort();
}

struct handle *handle_find(const struct simdisk *d, int number)
{
	struct handle *h;

	HASH_FIND_INT(d->handles, &number, h);
	return h;
}

bool handle_writes(const struct handle *h)
{
	return (h->flags & O_ACCMODE) != O_RDONLY;
}

int handle_new(struct simdisk *d, struct node *n, int flags, bool external)
{
	struct handle *h = sim_alloc(sizeof(*h));

	h->number = ++d->last_number;
	h->node = node_get(n);
	h->flags = flags;
	h->external = external;
	HASH_ADD_INT(d->handles, number, h);
	node_count(d, n, 0, 1);
	n->writers += handle_writes(h);
	return h->number;
}

void handle_free(struct simdisk *d, struct handle *h)
{
	HASH_DEL(d->handles, h);
	h->node->writers -= handle_writes(h);
	if (h->locks)
		h->node->locked = false;
	node_count(d, h->node, 0, -1);
	node_put(d, h->node);
	free(h);
}

void handles_drop(struct simdisk *d, bool external_too)
{
	struct handle *h, *tmp;

	HASH_ITER(hh, d->handles, h, tmp)
	if (external_too || !h->external)
		handle_free(d, h);
}

/* The call being made, already counted, does not work any more. */
bool sim_is_halted(const struct simdisk *d)
{
	return d->is_halting && d->calls[SIM_ANY] > d->halt_at;
}

struct disk *simdisk_new(const struct clk *clk, uint64_t seed)
{
	struct simdisk *d = sim_alloc(sizeof(*d));

	d->base.ops = &simdisk_ops;
	if (pthread_mutex_init(&d->m, NULL) != 0)
		abort();
	d->clk = clk;
	d->random = seed;
	d->root = node_new(d, true);
	d->last_number = 100;
	d->boots = 1;
	d->capacity = (UINT64_C(1) << 40) / SIM_PAGE;
	return &d->base;
}

void simdisk_power_cut(struct disk *base, unsigned keep)
{
	struct simdisk *d = sim_of(base);
	struct node *n;

	sim_lock_disk(d);
	handles_drop(d, true);
	for (n = d->nodes; n; n = n->next)
		file_power_cut(d, n, keep);
	name_power_cut(d, keep);
	d->boots++;
	d->is_halting = false;
	sim_unlock_disk(d);
}

void simdisk_crash(struct disk *base)
{
	struct simdisk *d = sim_of(base);

	sim_lock_disk(d);
	handles_drop(d, false);
	d->is_halting = false;
	sim_unlock_disk(d);
}

unsigned long simdisk_calls(const struct disk *d, enum simdisk_op op)
{
	return sim_of(d)->calls[op];
}

void simdisk_fail(struct disk *base, enum simdisk_op op, unsigned long n,
		  int err, bool for_ever)
{
	struct simdisk *d = sim_of(base);
	unsigned i;

	sim_lock_disk(d);
	for (i = 0; i < SIM_RULES && d->rules[i].err != 0; i++)
		;
	if (i == SIM_RULES || err >= 0 || n == 0)
		abort();
	d->rules[i] = (struct rule){ op, d->calls[op] + n, err, for_ever };
	sim_unlock_disk(d);
}

void simdisk_heal(struct disk *base)
{
	struct simdisk *d = sim_of(base);

	sim_lock_disk(d);
	memset(d->rules, 0, sizeof(d->rules));
	d->is_halting = false;
	sim_unlock_disk(d);
}

void simdisk_halt_after(struct disk *base, unsigned long n)
{
	struct simdisk *d = sim_of(base);

	sim_lock_disk(d);
	d->is_halting = true;
	d->halt_at = d->calls[SIM_ANY] + n;
	sim_unlock_disk(d);
}

bool simdisk_halted(const struct disk *d)
{
	return sim_is_halted(sim_of(d));
}

void simdisk_rot(struct disk *base, const char *path, uint64_t off)
{
	struct simdisk *d = sim_of(base);
	uint64_t index = off / SIM_PAGE;
	struct page *p = NULL;
	struct node *n;

	sim_lock_disk(d);
	if (name_find(d, path, &n) == 0)
		HASH_FIND(hh, n->pages, &index, sizeof(index), p);
	if (!p || !p->cur)
		abort();
	p->cur[off % SIM_PAGE] ^= 1;
	if (p->dur)
		p->dur[off % SIM_PAGE] ^= 1;
	sim_unlock_disk(d);
}

void simdisk_set_capacity(struct disk *base, uint64_t bytes)
{
	struct simdisk *d = sim_of(base);

	sim_lock_disk(d);
	d->capacity = bytes / SIM_PAGE;
	sim_unlock_disk(d);
}

void simdisk_set_lacks(struct disk *base, unsigned lacks)
{
	sim_of(base)->lacks = lacks;
}

int simdisk_external_open(struct disk *base, const char *path)
{
	struct simdisk *d = sim_of(base);
	struct node *n;
	int r;

	sim_lock_disk(d);
	r = name_find(d, path, &n);
	if (r == 0)
		r = n->is_dir ? -EISDIR : handle_new(d, n, O_RDWR, true);
	sim_unlock_disk(d);
	return r;
}

static struct handle *external(struct simdisk *d, int ext)
{
	struct handle *h = handle_find(d, ext);

	return h && h->external ? h : NULL;
}

int simdisk_external_write(struct disk *base, int ext, const void *p, size_t n,
			   uint64_t off)
{
	struct simdisk *d = sim_of(base);
	const struct handle *h;
	ssize_t r = -EBADF;

	sim_lock_disk(d);
	h = external(d, ext);
	if (h)
		r = file_write(d, h->node, p, n, off);
	sim_unlock_disk(d);
	return r < 0 ? (int)r : (size_t)r < n ? -ENOSPC : 0;
}

void simdisk_external_close(struct disk *base, int ext)
{
	struct simdisk *d = sim_of(base);
	struct handle *h;

	sim_lock_disk(d);
	h = external(d, ext);
	if (h)
		handle_free(d, h);
	sim_unlock_disk(d);
}

unsigned simdisk_open_handles(const struct disk *base)
{
	struct simdisk *d = sim_of(base);
	const struct handle *h;
	unsigned n = 0;

	sim_lock_disk(d);
	for (h = d->handles; h; h = h->hh.next)
		n += !h->external;
	sim_unlock_disk(d);
	return n;
}
