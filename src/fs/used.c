/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a file was last used, for eviction: an open and a last close are uses,
 * whoever reads or writes in between past the daemon.  Memory has it at once;
 * the rows get it now and then, many at a time, so that an open costs no
 * transaction, and a crash a minute of it.
 */
#include "config.h"

#include <stdlib.h>

#include "used.h"

#define LOG_MODULE "fs"
#define EACH_NS (60 * NS_PER_S)
#define AT_ONCE 256 /* rows of one transaction: others wait for it */

struct used {
	uint64_t *ino;
	size_t n, cap;
	int64_t written_ns; /* mono, of the last time */
};

/* Who is not noted for want of memory is forgotten at a remount. */
static bool note(struct fs *fs, uint64_t ino)
{
	struct used *u = fs->used;
	size_t cap;
	uint64_t *p;

	if (!u) {
		u = calloc(1, sizeof(*u));
		if (!u)
			return false;
		u->written_ns = clk_mono(fs->host->clk);
		fs->used = u;
	}
	if (u->n == u->cap) {
		cap = u->cap ? u->cap * 2 : 64;
		p = reallocarray(u->ino, cap, sizeof(*p));
		if (!p)
			return false;
		u->ino = p;
		u->cap = cap;
	}
	u->ino[u->n++] = ino;
	return true;
}

void used_note(struct fs *fs, struct inode *in)
{
	in->used_ns = clk_real(fs->host->clk);
	if (!in->used_due)
		in->used_due = note(fs, in->ino);
}

void used_load(struct inode *in, const struct meta_version *v)
{
	int64_t used_ns = v->used_real_ns > v->sealed_real_ns ?
				  v->used_real_ns : v->sealed_real_ns;

	if (used_ns && !in->used_due)
		in->used_ns = used_ns;
}

/* One of those noted; vid 0: it has no version, or is gone.  False: there is
 * none. */
static bool take(struct fs *fs, uint64_t *vid, int64_t *used_ns)
{
	struct used *u = fs->used;
	struct inode *in = NULL;
	bool any;

	lock_acquire(&fs->ns);
	any = u && u->n > 0;
	if (any) {
		u->n--;
		HASH_FIND(hh, fs->inodes, &u->ino[u->n], sizeof(*u->ino), in);
	}
	if (in)
		in->used_due = false;
	*vid = in ? in->vid : 0;
	*used_ns = in ? in->used_ns : 0;
	lock_release(&fs->ns);
	return any;
}

/* No barrier is asked for: the next one has it, and without it nothing is lost
 * but an order.  True: there are more. */
static bool write_some(struct fs *fs)
{
	bool more = true;
	int64_t used_ns;
	unsigned n = 0;
	uint64_t vid;
	int r = tx_begin(fs);

	if (r < 0)
		return false;
	while (r == 0 && n < AT_ONCE && (more = take(fs, &vid, &used_ns))) {
		if (vid)
			r = meta_version_used(fs->meta, vid, used_ns);
		n += vid != 0;
	}
	r = tx_commit(fs, r);
	meta_end(fs->meta);
	if (r < 0)
		log_debug("when %u files were last used is not recorded", n);
	return r == 0 && more;
}

void used_write(struct fs *fs)
{
	while (write_some(fs))
		;
	lock_acquire(&fs->ns);
	if (fs->used)
		fs->used->written_ns = clk_mono(fs->host->clk);
	lock_release(&fs->ns);
}

void used_write_due(struct fs *fs)
{
	const struct used *u;
	bool due;

	lock_acquire(&fs->ns);
	u = fs->used;
	due = u && u->n &&
	      clk_mono(fs->host->clk) - u->written_ns >= EACH_NS;
	lock_release(&fs->ns);
	if (due)
		used_write(fs);
}

void used_free(struct fs *fs)
{
	if (fs->used)
		free(fs->used->ino);
	free(fs->used);
}
