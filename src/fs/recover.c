/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a crash (and at every mount): what was open comes back unfinished,
 * seals that were about to be final become so, and blobs nobody knows are put
 * aside.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "fs"

struct all {
	struct meta_version *v;
	size_t n, cap;
	uint64_t *replaced; /* sorted */
};

static int keep(void *arg, const struct meta_version *row)
{
	struct all *a = arg;

	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 64;
		struct meta_version *p = realloc(a->v, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		a->v = p;
		a->cap = cap;
	}
	a->v[a->n++] = *row;
	return 0;
}

int fs_check_version(void *cache, const struct meta_version *v)
{
	if (v->state != META_SEALED || !v->blob)
		return 0;
	return cache_blob_check(cache, v->blob, v->size, v->sparse);
}

/* Is its blob at rest and as it was sealed?  0 yes, -EAGAIN somebody still
 * writes, -ESTALE it moved. */
static int at_rest(struct fs *fs, const struct meta_version *v)
{
	struct disk_stat st;
	int fd = cache_blob_open(fs->cache, v->blob, O_RDONLY), r;

	if (fd < 0)
		return -ESTALE;
	r = disk_lease(fs->host->disk, fd, DISK_LEASE_READ);
	if (r == -EOPNOTSUPP)
		r = 0;
	if (r == 0)
		r = disk_stat(fs->host->disk, fd, &st);
	cache_blob_close(fs->cache, fd);
	if (r < 0)
		return r == -EAGAIN ? r : -ESTALE;
	if (st.size < v->size)
		return -ESTALE;
	if (fs->same_boot && v->seal_ctime_ns && !v->append_only &&
	    (st.size != v->size || st.ctime_ns != v->seal_ctime_ns))
		return -ESTALE;
	return 0;
}

/* Its writer had the last word and went on, with the file open until he died.  Of
 * what stands in the line the engine finds that out. */
static bool went_on(struct fs *fs, const struct meta_version *v)
{
	struct disk_stat st;
	bool yes;
	int fd;

	if (!fs->same_boot || !v->held || !v->seal_ctime_ns || v->append_only)
		return false;
	fd = cache_blob_open(fs->cache, v->blob, O_RDONLY);
	yes = fd >= 0 && disk_stat(fs->host->disk, fd, &st) == 0 &&
	      (st.size != v->size || st.ctime_ns != v->seal_ctime_ns) &&
	      disk_lease(fs->host->disk, fd, DISK_LEASE_READ) != -EAGAIN;
	cache_blob_close(fs->cache, fd);
	return yes;
}

/* The same of one that was held back as torn at some flush: it has the bytes that
 * came after, too. */
static bool torn_went_on(struct fs *fs, const struct meta_version *v)
{
	struct disk_stat st;
	bool yes;
	int fd;

	if (v->state != META_TORN || v->append_only || !v->blob)
		return false;
	fd = cache_blob_open(fs->cache, v->blob, O_RDONLY);
	yes = fd >= 0 && disk_stat(fs->host->disk, fd, &st) == 0 &&
	      (st.size > v->size || (st.size == v->size && fs->same_boot &&
				     v->seal_ctime_ns &&
				      st.ctime_ns != v->seal_ctime_ns));
	cache_blob_close(fs->cache, fd);
	return yes;
}

static int unseal(struct fs *fs, struct meta_version *v)
{
	uint64_t seq = 0;
	int r = transfer_place(fs->transfer, v->vid, &seq);

	v->state = META_UNFINISHED;
	v->held = v->provisional = false;
	if (r == 0 && seq)
		r = transfer_withdraw(fs->transfer, seq);
	return r == 0 ? meta_version_set(fs->meta, v) : r;
}

static int finish_seal(struct fs *fs, struct meta_version *v)
{
	struct meta_op op;
	uint64_t seq = 0;
	int r;

	if (v->provisional ? at_rest(fs, v) < 0 : went_on(fs, v))
		return unseal(fs, v);
	if (!v->provisional)
		return 0;
	r = transfer_place(fs->transfer, v->vid, &seq);
	if (r < 0)
		return r;
	v->provisional = false;
	if (seq) {
		r = meta_op_get(fs->meta, seq, &op);
		op.final = true;
		if (r == 0)
			r = meta_op_set(fs->meta, &op);
		if (r == 0) /* before another one is taken out */
			transfer_kick(fs->transfer, seq);
	}
	return r == 0 ? meta_version_set(fs->meta, v) : r;
}

/* ctime counts within one boot only: what the barrier covers is as it was
 * sealed, with whatever ctime the disk kept. */
static int restamp(struct fs *fs, struct meta_version *v)
{
	struct disk_stat st;
	int fd, r;

	if (!v->seal_ctime_ns || !v->blob)
		return 0;
	fd = cache_blob_open(fs->cache, v->blob, O_RDONLY);
	r = fd < 0 ? fd : disk_stat(fs->host->disk, fd, &st);
	cache_blob_close(fs->cache, fd);
	if (r == 0 && (st.size != v->size || st.ctime_ns == v->seal_ctime_ns))
		return 0;
	/* Not known now: whoever sends it will say so; nobody of this boot has
	 * changed it. */
	v->seal_ctime_ns = r < 0 ? 0 : st.ctime_ns;
	return meta_version_set(fs->meta, v);
}

/* It is not here, and the row has what the content beside it was closed with;
 * had it never been closed, the row would be as it was. */
static int show_bucket(struct fs *fs, struct meta_inode *in)
{
	struct meta_object o;
	int r = in->key[0] ? meta_object_get(fs->meta, in->key, &o) : -ENOENT;

	if (r == 0 && o.ino == in->ino) {
		in->size = o.size;
		in->mtime_ns = o.mtime_ns;
		in->meta_known = false;
	}
	return r == -ENOENT ? 0 : r;
}

/* The name shows the version before; the unfinished bytes stay beside it. */
static int step_back(struct fs *fs, struct meta_inode *in,
		     const struct meta_version *v)
{
	struct meta_version old = { .vid = 0 };
	int r;

	in->vid = 0;
	if (v->replaces && meta_version_get(fs->meta, v->replaces, &old) == 0) {
		in->vid = old.vid;
		in->size = old.size;
		in->mtime_ns = old.mtime_ns;
	}
	r = in->vid || !v->seal_ctime_ns ? 0 : show_bucket(fs, in);
	if (r == 0)
		r = meta_inode_set(fs->meta, in);
	if (r == 0 && in->vid && old.state == META_PUBLISHED)
		r = owed_stepped_back(fs, in);
	log_warn("%s was being rewritten when the daemon stopped: it shows its "
		 "last finished version; the unfinished bytes are kept",
		 in->name);
	return r;
}

static int unfinished_row(struct fs *fs, struct meta_version *v)
{
	struct meta_inode in;
	struct meta_version old;
	struct disk_stat st;
	bool in_place = false, before;
	int r = meta_inode_get(fs->meta, v->ino, &in), fd;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (in.vid != v->vid || in.parent == 0)
		return 0;
	before = v->replaces &&
		 meta_version_get(fs->meta, v->replaces, &old) == 0;
	if (before)
		in_place = old.blob == v->blob;
	/* A seal that is withdrawn may have been all there was. */
	if (!in_place && (before || in.key[0]))
		return step_back(fs, &in, v);
	fd = cache_blob_open(fs->cache, v->blob, O_RDONLY);
	if (fd >= 0 && disk_stat(fs->host->disk, fd, &st) == 0) {
		in.size = v->size = st.size;
		in.mtime_ns = v->mtime_ns = st.mtime_ns;
	}
	cache_blob_close(fs->cache, fd);
	log_warn("%s was open for writing when the daemon stopped: kept as "
		 "unfinished, not published",
		 in.name);
	r = meta_version_set(fs->meta, v);
	return r < 0 ? r : meta_inode_set(fs->meta, &in);
}

/* The disk lost some of it, and its writer went on: what he wrote is there. */
static int poisoned_row(struct fs *fs, struct meta_version *v)
{
	struct meta_inode in;
	struct disk_stat st;
	int fd, r = meta_inode_get(fs->meta, v->ino, &in);

	if (r < 0 || in.vid != v->vid)
		return r == -ENOENT ? 0 : r;
	fd = cache_blob_open(fs->cache, v->blob, O_RDONLY);
	r = fd < 0 ? fd : disk_stat(fs->host->disk, fd, &st);
	cache_blob_close(fs->cache, fd);
	if (r < 0 || st.size <= v->size)
		return 0; /* whoever opens it is told */
	in.size = v->size = st.size;
	in.mtime_ns = v->mtime_ns = st.mtime_ns;
	r = meta_version_set(fs->meta, v);
	return r < 0 ? r : meta_inode_set(fs->meta, &in);
}

/* A log that was published up to some line, and has grown since: those bytes are
 * nobody's yet.  1: so it is. */
static int grown_since(struct fs *fs, const struct meta_version *v)
{
	struct meta_version more = { .state = META_UNFINISHED,
				     .ino = v->ino,
				     .blob = v->blob,
				     .complete = true,
				     .passthrough = v->passthrough,
				     .mode = v->mode,
				     .replaces = v->vid };
	struct meta_inode in;
	struct disk_stat st;
	int r = meta_inode_get(fs->meta, v->ino, &in), fd;

	if (r < 0 || in.vid != v->vid || in.parent == 0)
		return r == -ENOENT ? 0 : r;
	fd = cache_blob_open(fs->cache, v->blob, O_RDONLY);
	r = fd < 0 ? fd : disk_stat(fs->host->disk, fd, &st);
	cache_blob_close(fs->cache, fd);
	if (r < 0 || st.size <= v->size)
		return 0; /* without a blob it is not here at all */
	more.sealed_real_ns = clk_real(fs->host->clk);
	in.size = more.size = st.size;
	in.mtime_ns = more.mtime_ns = st.mtime_ns;
	r = version_add(fs, &more);
	in.vid = more.vid;
	if (r == 0)
		r = meta_inode_set(fs->meta, &in);
	log_warn("%s was appended to when the daemon stopped: what came after "
		 "its last version is kept as unfinished",
		 in.name);
	return r < 0 ? r : 1;
}

static int by_number(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

/* Some version would fall back on this one. */
static bool a_is_replaced(const struct all *a, uint64_t vid)
{
	return bsearch(&vid, a->replaced, a->n, sizeof(vid), by_number);
}

/* A version goes: what it would fall back on, too. */
static void a_forget_replaced(struct all *a, uint64_t vid)
{
	uint64_t *at = bsearch(&vid, a->replaced, a->n, sizeof(vid), by_number);

	if (!at)
		return;
	while (at > a->replaced && at[-1] == vid)
		at--;
	*at = at > a->replaced ? at[-1] : 0; /* in order still */
}

/* No inode shows it and no operation speaks of it. */
static int maybe_garbage(struct fs *fs, struct all *a,
			 const struct meta_version *v)
{
	struct meta_inode in;
	uint64_t seq = 0;
	int r = meta_inode_get(fs->meta, v->ino, &in);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && in.parent && (in.vid == v->vid || a_is_replaced(a, v->vid)))
		return 0;
	if (r == 0 && (in.parent || kept_is_nameless(&in)) &&
	    version_is_kept(v->state))
		return 0;
	r = transfer_place(fs->transfer, v->vid, &seq);
	if (r < 0 || seq)
		return r;
	if (v->state != META_PUBLISHED)
		a_forget_replaced(a, v->replaces);
	return version_drop(fs, v);
}

static int take_unlinked(void *arg, const struct meta_inode *row)
{
	struct all *a = arg;
	struct meta_version v = { .ino = row->ino };

	return keep(a, &v);
}

/* An inode without a name: nobody has it open any more. */
static int drop_unlinked(struct fs *fs, const struct all *a, uint64_t ino)
{
	struct meta_inode row;
	bool any = false;
	size_t i;
	int r = meta_inode_get(fs->meta, ino, &row);

	for (i = 0; i < a->n; i++)
		any |= a->v[i].ino == ino && version_is_kept(a->v[i].state);
	if (r < 0 || !any || !kept_is_nameless(&row))
		return r < 0 ? r : meta_inode_del(fs->meta, ino);
	row.vid = 0;
	return meta_inode_set(fs->meta, &row);
}

/* It went with the power, though its row says that it is here. */
static bool is_cut_short(struct fs *fs, const struct meta_version *v)
{
	struct disk_stat st;
	int fd, r;

	if (fs->same_boot || !v->blob)
		return false;
	fd = cache_blob_open(fs->cache, v->blob, O_RDONLY);
	r = fd < 0 ? fd : disk_stat(fs->host->disk, fd, &st);
	cache_blob_close(fs->cache, fd);
	return r == -ENOENT || (r == 0 && st.size < v->size);
}

/* Downloads that were not finished are begun anew when somebody reads; and what
 * the bucket has is brought again if it is not all here. */
static int incomplete_downloads(struct fs *fs, struct all *a)
{
	struct meta_inode in;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < a->n; i++) {
		struct meta_version *v = &a->v[i];

		if (v->state != META_PUBLISHED ||
		    (v->complete && !is_cut_short(fs, v)))
			continue;
		r = meta_inode_get(fs->meta, v->ino, &in);
		if (r == 0 && in.vid == v->vid) {
			in.vid = 0;
			r = meta_inode_set(fs->meta, &in);
		}
		if (r == 0 || r == -ENOENT)
			r = version_drop(fs, v);
		v->ino = 0;
	}
	return r;
}

static int versions(struct fs *fs, struct all *a)
{
	struct all gone = { 0 };
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < a->n; i++) {
		struct meta_version *v = &a->v[i];

		if (v->state == META_SEALED)
			r = finish_seal(fs, v);
		else if (torn_went_on(fs, v))
			r = unseal(fs, v);
		if (r == 0 && !fs->same_boot &&
		    (v->state == META_SEALED || v->state == META_CONFLICT ||
		     v->state == META_TORN))
			r = restamp(fs, v);
		if (r == 0 && v->state == META_UNFINISHED)
			r = unfinished_row(fs, v);
		else if (r == 0 && v->state == META_POISONED)
			r = poisoned_row(fs, v);
		else if (r == 0 && v->append_only && v->blob)
			r = grown_since(fs, v);
		if (r == 1) { /* it is fallen back on: no garbage */
			v->ino = 0;
			r = 0;
		}
	}
	if (r == 0)
		r = meta_inode_each_unlinked(fs->meta, take_unlinked, &gone);
	for (i = 0; r == 0 && i < gone.n; i++)
		r = drop_unlinked(fs, a, gone.v[i].ino);
	free(gone.v);
	for (i = a->n; r == 0 && i > 0; i--) /* the newest first */
		if (a->v[i - 1].ino)
			r = maybe_garbage(fs, a, &a->v[i - 1]);
	return r;
}

/* What was open when it got a name that holds nothing back, and shows again what
 * was held under the one before. */
static int held_versions(struct fs *fs, struct all *a)
{
	char key[META_KEY_MAX + 1];
	struct meta_inode in;
	uint64_t seq;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < a->n; i++) {
		struct meta_version *v = &a->v[i];

		if (!v->ino || v->state != META_SEALED || !v->held)
			continue;
		r = meta_inode_get(fs->meta, v->ino, &in);
		if (r == -ENOENT ||
		    (r == 0 && (in.vid != v->vid || !in.parent))) {
			r = 0;
			continue;
		}
		if (r == 0)
			r = key_of_row(fs, &in, key);
		if (r == 0)
			r = held_shown(fs, v->ino, v, key, &seq);
	}
	return r;
}

static int references(struct fs *fs, struct all *a)
{
	size_t i;
	int r = 0;

	a->replaced = calloc(a->n + 1, sizeof(*a->replaced));
	if (!a->replaced)
		return -ENOMEM;
	for (i = 0; r == 0 && i < a->n; i++) {
		/* What is published has replaced it for good. */
		if (a->v[i].state != META_PUBLISHED)
			a->replaced[i] = a->v[i].replaces;
		r = blob_gained(fs, a->v[i].blob, a->v[i].size);
	}
	qsort(a->replaced, a->n, sizeof(*a->replaced), by_number);
	return r;
}

struct stray {
	struct fs *fs;
	uint64_t *blobs;
	size_t n, cap;
};

static int find_stray(void *arg, uint64_t blob)
{
	struct stray *s = arg;
	struct blob_ref *b;

	HASH_FIND(hh, s->fs->blobs, &blob, sizeof(blob), b);
	if (b)
		return 0;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		uint64_t *p = realloc(s->blobs, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		s->blobs = p;
		s->cap = cap;
	}
	s->blobs[s->n++] = blob;
	return 0;
}

static int note_dead(void *arg, uint64_t blob)
{
	struct stray *s = arg;
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->blobs[i] == blob)
			s->blobs[i] = 0;
	return 0;
}

static int strays(struct fs *fs)
{
	struct stray s = { .fs = fs };
	size_t i;
	int r = cache_blob_each(fs->cache, find_stray, &s);

	if (r == 0)
		r = tx_begin(fs);
	if (r == 0)
		r = tx_end(fs, meta_dead_each(fs->meta, note_dead, &s), 0,
			   false);
	for (i = 0; r == 0 && i < s.n; i++) {
		if (!s.blobs[i])
			continue;
		r = cache_blob_lose(fs->cache, s.blobs[i]);
		if (r == 0)
			log_warn("blob %llx is known to no row: moved to "
				 "lost+found",
				 (unsigned long long)s.blobs[i]);
		if (r == -ENOENT) /* a dead one, just unlinked */
			r = 0;
	}
	free(s.blobs);
	return r;
}

int recover_open_versions(struct fs *fs)
{
	struct all a = { 0 };
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = meta_version_each(fs->meta, keep, &a);
	if (r == 0)
		r = references(fs, &a);
	if (r == 0)
		r = incomplete_downloads(fs, &a);
	if (r == 0 && !fs->same_boot)
		r = recover_tails(fs, a.v, a.n);
	if (r == 0)
		r = versions(fs, &a);
	if (r == 0)
		r = held_versions(fs, &a);
	if (r == 0)
		r = recover_owed(fs);
	if (r == 0)
		r = conflict_load(fs);
	if (r == 0 && !fs->same_boot)
		r = meta_boot_settled(fs->meta);
	r = tx_end(fs, r, 0, false);
	free(a.v);
	free(a.replaced);
	return r == 0 ? strays(fs) : r;
}
