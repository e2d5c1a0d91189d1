/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept goes on its way after all (kept.h). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "kept.h"

#define LOG_MODULE "fs"

struct publish {
	const struct kept *k;
	struct inode *dir, *in; /* pinned; in is made if it is NULL */
	bool made;
	char name[META_NAME_MAX + 1];
	char key[META_KEY_MAX + 1];
	uint64_t blob; /* another one, if its own is not to be trusted */
	struct disk_stat st;
	bool sparse;
	int have; /* conflict: 0 or -ENOENT, as the store said; else 1 */
	struct store_obj now;
	const char *why;
};

static int no(struct publish *p, int err, const char *why)
{
	p->why = why;
	return err;
}

/* The folder and the file of the path as they are now. */
static int find_home(struct fs *fs, struct publish *p)
{
	char dir[META_KEY_MAX + 1];
	const char *base = strrchr(p->k->path, '/');
	size_t n = base ? (size_t)(base - p->k->path) : 0;
	int r;

	base = base ? base + 1 : p->k->path;
	if (strlen(base) > META_NAME_MAX || n > META_KEY_MAX)
		return -ENAMETOOLONG;
	memcpy(p->name, base, strlen(base) + 1);
	memcpy(dir, p->k->path, n);
	dir[n] = '\0';
	r = path_resolve(fs, dir, &p->dir);
	if (r == -ENOENT || (r == 0 && p->dir->kind != META_DIR))
		return no(p, -ENOENT, "the folder it was in is gone: make it "
				      "again, or export the version");
	if (r == 0)
		r = path_resolve(fs, p->k->path, &p->in);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && p->in->kind != META_FILE)
		return no(p, -EISDIR, "its name is no file any more: rename "
				      "that away, or export the version");
	return r;
}

/* Its bytes as they are to be sent: at rest, all there, and such that a sync
 * of them means something. */
static int find_bytes(struct fs *fs, struct publish *p,
		      const struct meta_version *v)
{
	struct inode_tag t = { .tag = { v->ino, p->dir->ino, p->name } };
	int fd = cache_blob_open(fs->cache, v->blob, O_RDONLY), copy = -1;
	int r = fd < 0 ? fd : disk_lease(fs->host->disk, fd, DISK_LEASE_READ);

	if (fd == -ENOENT)
		return no(p, -ENODATA, "its bytes are gone from the cache "
				       "disk: there is nothing to publish");
	if (r == -EAGAIN)
		(void)no(p, -EBUSY, "a process still has it mapped or open "
				    "for writing: end that first");
	if (r == -EOPNOTSUPP)
		r = 0;
	if (r == 0)
		r = disk_stat(fs->host->disk, fd, &p->st);
	if (r == 0 && v->state != META_UNFINISHED && p->st.size < v->size)
		r = no(p, -ENODATA, "some of its bytes are gone from the cache "
				    "disk: export what is left, or discard it");
	if (r == 0 && v->state != META_UNFINISHED)
		p->st.size = v->size;
	if (r == 0 && v->state == META_POISONED) {
		/* A sync of the old blob would succeed and mean nothing. */
		r = cache_blob_rewrite(fs->cache, fd, p->st.size, &t.tag,
				       &p->blob, &copy);
		if (r == 0)
			r = disk_stat(fs->host->disk, copy, &p->st);
	}
	if (r == 0)
		p->sparse = has_hole(fs, copy >= 0 ? copy : fd, p->st.size);
	cache_blob_close(fs->cache, copy);
	cache_blob_close(fs->cache, fd);
	return r == -EAGAIN ? -EBUSY : r;
}

/* Whoever publishes it says that it is to replace what stands there now. */
static int ask_bucket(struct fs *fs, struct publish *p)
{
	p->have = 1;
	if (p->k->row_state != META_CONFLICT)
		return 0;
	p->have = store_head(fs->store, p->key, &p->now);
	if (p->have == 0 || p->have == -ENOENT)
		return 0;
	return no(p, -EIO, "the bucket does not answer, and what stands there "
			   "now has to be known: try again later");
}

static int note_object(struct fs *fs, const struct publish *p)
{
	struct meta_object o = { .size = p->now.size,
				 .mtime_ns = p->now.mtime_ns };
	int r = 0;

	if (p->have == -ENOENT)
		r = meta_object_del(fs->meta, p->key);
	if (p->have != 0)
		return r == -ENOENT ? 0 : r;
	memcpy(o.key, p->key, strlen(p->key));
	memcpy(o.etag, p->now.etag, sizeof(p->now.etag));
	return meta_object_set(fs->meta, &o);
}

/* The name, if it is gone. */
static int make_name(struct fs *fs, struct publish *p)
{
	struct meta_inode row = { .kind = META_FILE,
				  .mode = fs->opts.file_mode };
	struct fs_ctx ctx = { .uid = fs->opts.uid, .gid = fs->opts.gid };
	int r;

	if (p->in)
		return inode_parent(fs, p->in) ? 0 : -ESTALE;
	r = p->dir->parent || p->dir->ino == FS_ROOT_INO ? 0 : -ESTALE;
	if (r == 0)
		r = dir_load(fs, p->dir);
	if (r == 0)
		r = name_check_new(fs, p->dir, p->name);
	if (r == 0 && dentry_find(p->dir, p->name))
		r = -ESTALE;
	if (r == 0)
		r = child_add(fs, &ctx, p->dir, p->name, &row, &p->in);
	if (r < 0)
		return r;
	p->made = true;
	lock_acquire(&fs->ns);
	p->in->pins++;
	p->in->busy = true; /* nobody else knows it yet */
	lock_release(&fs->ns);
	return dir_touch(fs, p->dir);
}

/* The same bytes as a version of their own: the later of two of ours. */
static int version_anew(struct fs *fs, const struct publish *p,
			const struct meta_version *old,
			struct meta_version *v)
{
	int r = version_leave_chain(fs, p->in->vid, old);

	*v = *old;
	v->ino = p->in->ino;
	v->state = META_SEALED;
	v->blob = p->blob ? p->blob : old->blob;
	v->complete = true;
	v->provisional = v->held = v->append_only = false;
	v->sparse = p->sparse;
	v->summed = false;
	if (old->state == META_UNFINISHED)
		v->mtime_ns = p->st.mtime_ns;
	v->size = p->st.size;
	v->seal_ctime_ns = p->st.ctime_ns;
	v->sealed_real_ns = clk_real(fs->host->clk);
	v->mode = p->in->mode;
	v->crc64 = 0;
	if (p->in->vid != old->vid)
		v->replaces = p->in->vid;
	return r == 0 ? version_add(fs, v) : r;
}

static int rows(struct fs *fs, struct publish *p, struct meta_version *v,
		uint64_t *seq)
{
	struct meta_version old;
	struct meta_inode row;
	int r = meta_version_get(fs->meta, p->k->vid, &old);

	if (r == -ENOENT || (r == 0 && old.state != p->k->row_state))
		r = -ESTALE;
	if (r == 0)
		r = make_name(fs, p);
	if (r == 0)
		r = key_of(fs, p->dir, p->name, p->key);
	if (r == 0)
		r = version_anew(fs, p, &old, v);
	if (r == 0)
		r = note_object(fs, p);
	if (r == 0)
		r = op_put(fs, p->in, v, p->key, 0, seq);
	if (r == 0) /* its place is before that of what goes with the old */
		r = version_drop(fs, &old);
	if (r == 0)
		r = transfer_settle(fs->transfer, p->in->ino, v->vid);
	if (r == 0)
		r = marker_drop(fs, p->dir->ino);
	if (r < 0)
		return r;
	inode_to_row(p->in, &row);
	row.vid = v->vid;
	row.size = v->size;
	row.mtime_ns = v->mtime_ns;
	row.ctime_ns = v->seal_ctime_ns;
	row.meta_known = true;
	r = meta_inode_set(fs->meta, &row);
	return r < 0 || old.ino == p->in->ino ?
		       r :
		       kept_left(fs, old.ino, old.vid);
}

static void memory(struct fs *fs, struct publish *p,
		   const struct meta_version *v, uint64_t seq)
{
	struct inode *in = p->in;

	lock_acquire(&fs->ns);
	inode_show_version(in, v, seq);
	in->size = v->size;
	in->mtime_ns = v->mtime_ns;
	in->ctime_ns = v->seal_ctime_ns;
	in->meta_known = true;
	lock_release(&fs->ns);
}

/* One transaction.  The busy flag of p->in is held, if there is one. */
static int commit(struct fs *fs, struct publish *p)
{
	struct meta_version v;
	uint64_t seq = 0;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = tx_commit(fs, rows(fs, p, &v, &seq));
	if (r == 0)
		memory(fs, p, &v, seq);
	if (r < 0 && p->made) {
		child_undo(fs, p->dir, p->name, p->in);
		p->in = NULL;
		p->made = false;
	}
	r = tx_close(fs, r, 0, true);
	return r == -ESTALE ? no(p, r, "it was changed meanwhile: list again") :
			      r;
}

static int version_of(struct fs *fs, uint64_t vid, struct meta_version *ret)
{
	int r = tx_begin(fs);

	return r < 0 ? r : tx_end(fs, meta_version_get(fs->meta, vid, ret), 0,
				  false);
}

/* busy is held. */
static int publish_busy(struct fs *fs, struct publish *p)
{
	struct meta_version v;
	int r;

	if (p->in && p->in->live)
		return no(p, -EBUSY, "the file is open or mapped: close it "
				     "first");
	r = version_of(fs, p->k->vid, &v);
	if (r == 0)
		r = find_bytes(fs, p, &v);
	if (r == 0)
		r = key_of(fs, p->dir, p->name, p->key);
	if (r == 0)
		r = ask_bucket(fs, p);
	if (r == 0) {
		barrier_note_blob(fs->barrier, p->blob ? p->blob : v.blob, -1);
		r = commit(fs, p);
	}
	/* Else recovery finds it without a row. */
	if (r < 0 && p->blob && cache_blob_unlink(fs->cache, p->blob) < 0)
		log_warn("a copy of no use stays until the next mount");
	return r;
}

static void tell_kernel(struct fs *fs, const struct publish *p)
{
	if (fs->kernel.forget_inode)
		fs->kernel.forget_inode(fs->kernel.arg, p->in->ino);
	if (fs->kernel.forget_entry && p->made)
		fs->kernel.forget_entry(fs->kernel.arg, p->dir->ino, p->name);
}

int kept_publish(struct fs *fs, const struct kept *k, const char **why)
{
	struct publish p = { .k = k };
	bool busy = false;
	int r = 0;

	if (k->parked)
		return kept_retry(fs, k, why);
	if (k->held_open)
		r = no(&p, -EBUSY, "a process still has it mapped or open for "
				   "writing: it is published by itself once "
				   "that ends");
	else if (!version_is_kept(k->row_state))
		r = no(&p, -EALREADY, "it is on its way already");
	else if (fs->opts.ro)
		r = no(&p, -EROFS, "the mount is read only: mount without ro");
	else if (fs_is_broken(fs))
		r = no(&p, -EIO, "the cache disk failed and takes nothing new: "
				 "export it, or mount again and publish then");
	if (r == 0)
		r = find_home(fs, &p);
	if (r == 0) {
		busy = p.in != NULL;
		if (busy)
			busy_begin(fs, p.in);
		r = publish_busy(fs, &p);
		if (busy || p.made)
			busy_end(fs, p.in);
	}
	if (r == 0) {
		log_info("%s: version %s, %s, is published as it is, by order",
			 k->path, k->id, k->state);
		tell_kernel(fs, &p);
	}
	inode_put(fs, p.in);
	inode_put(fs, p.dir);
	*why = p.why;
	return r;
}

int kept_retry(struct fs *fs, const struct kept *k, const char **why)
{
	int r = k->parked || k->beside.parked ?
			transfer_retry(fs->transfer, k->parked ?
							     k->seq :
							     k->beside.seq) :
			-EINVAL;

	if (r == -EINVAL)
		*why = version_is_kept(k->row_state) ?
			       "the store did not refuse it: publish it, or "
			       "discard it" :
			       "nothing to try again: it is on its way";
	if (r == -ENOENT)
		*why = "it is tried again, or done, already";
	return r;
}
