/* SPDX-License-Identifier: Apache-2.0 */
/* What a listing cannot tell of an object: its HEAD does. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ahead.h"

#define LOG_MODULE "fs"
#define LOOKS_MAX 256 /* at once; then one each second */

static int apply_head(struct fs *fs, struct inode *in, const char *key,
		      const struct store_obj *o, const char *target)
{
	struct meta_object obj;
	int r = tx_begin(fs);
	bool unread;

	if (r < 0)
		return r;
	if (!in->key || strcmp(in->key, key) != 0 || in->meta_known)
		return tx_end(fs, 0, 0, false); /* overtaken */
	lock_acquire(&fs->ns);
	in->size = o->size;
	unread = in->atime_ns == in->mtime_ns;
	if (o->meta.has_mtime)
		in->mtime_ns = in->ctime_ns = o->meta.mtime_ns;
	else
		in->mtime_ns = in->ctime_ns = o->mtime_ns;
	if (unread)
		in->atime_ns = in->mtime_ns;
	if (o->meta.has_mode)
		in->mode = o->meta.mode & 0777;
	in->meta_known = true;
	if (target) {
		in->kind = META_SYMLINK;
		if (inode_set_str(&in->target, target) < 0)
			r = -ENOMEM;
	}
	lock_release(&fs->ns);
	if (r == 0)
		r = inode_save(fs, in);
	if (r == 0 && meta_object_get(fs->meta, key, &obj) == 0) {
		memcpy(obj.etag, o->etag, sizeof(o->etag));
		obj.size = o->size;
		obj.has_crc64 = o->has_crc64;
		obj.crc64 = o->crc64;
		obj.has_crc32c = o->has_crc32c;
		obj.crc32c = o->crc32c;
		r = meta_object_set(fs->meta, &obj);
	}
	return tx_end(fs, r, 0, false);
}

/* A stat asks the bucket as long as few are made; who walks through a folder of
 * thousands gets what the listing told, and the rest once he opens a file. */
unsigned may_look(struct fs *fs, unsigned n)
{
	int64_t now = clk_mono(fs->host->clk), more;

	lock_acquire(&fs->count_lock);
	more = (now - fs->looks.at_ns) / NS_PER_S;
	if (!fs->looks.at_ns || fs->looks.left + more >= LOOKS_MAX) {
		fs->looks.left = LOOKS_MAX;
		fs->looks.at_ns = now;
	} else if (more > 0) {
		fs->looks.left += more;
		fs->looks.at_ns += more * NS_PER_S;
	}
	if (n > fs->looks.left)
		n = (unsigned)fs->looks.left;
	fs->looks.left -= n;
	lock_release(&fs->count_lock);
	return n;
}

struct body {
	char p[1025];
	size_t n;
};

static int take_body(void *arg, const void *p, size_t n)
{
	struct body *b = arg;

	if (n > sizeof(b->p) - 1 - b->n)
		return -EFBIG;
	memcpy(b->p + b->n, p, n);
	b->n += n;
	return 0;
}

bool meta_is_known(struct fs *fs, const struct inode *in)
{
	bool yes;

	lock_acquire(&fs->ns);
	yes = in->meta_known || !in->key;
	lock_release(&fs->ns);
	return yes;
}

/* It is known, if need be once a worker has asked. */
static bool is_told(struct fs *fs, struct inode *in)
{
	return meta_is_known(fs, in) ||
	       (ahead_await(fs, in) && meta_is_known(fs, in));
}

int meta_look(struct fs *fs, struct inode *in)
{
	int r;

	if (is_told(fs, in) || !may_look(fs, 1))
		return 0;
	ahead_walk(fs, in);
	r = meta_ask(fs, in);
	return r == -ENOENT ? 0 : r; /* gone since; the name still stands */
}

/* Mode, mtime, and whether it is a symbolic link: the listing cannot tell.  At
 * once if they are known. */
int meta_complete(struct fs *fs, struct inode *in)
{
	return is_told(fs, in) ? 0 : meta_ask(fs, in);
}

int meta_ask(struct fs *fs, struct inode *in)
{
	char key[META_KEY_MAX + 1];
	struct body b = { .n = 0 };
	struct store_obj o;
	bool is_link;
	int r;

	lock_acquire(&fs->ns);
	r = in->meta_known || !in->key;
	if (!r)
		memcpy(key, in->key, strlen(in->key) + 1);
	lock_release(&fs->ns);
	if (r)
		return 0;
	r = store_head(fs->store, key, &o);
	if (r < 0)
		return r == -ENOENT ? r : log_err(-EIO, "head %s: %s", key,
						  store_last_error());
	is_link = o.meta.has_mode && S_ISLNK(o.meta.mode) &&
		  o.size < sizeof(b.p) && o.size > 0;
	if (is_link) {
		r = store_get(fs->store, key, o.etag, 0, o.size, take_body, &b,
			      NULL);
		if (r < 0)
			return -EIO;
		b.p[b.n] = '\0';
	}
	return apply_head(fs, in, key, &o, is_link ? b.p : NULL);
}
