/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the kernel's side, with files open. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "internal.h"

#define LOG_MODULE "fs"

static bool is_as_sealed(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;
	struct disk_stat st;

	return !l->fresh && live_stat(fs, in, &st) == 0 &&
	       st.size == l->clean_size && st.ctime_ns == l->clean_ctime;
}

/* What was written since its last close is nobody's to seal. */
static void leave_unfinished(struct fs *fs, struct inode *in)
{
	struct live *l = in->live;

	if (!l->writing || is_as_sealed(fs, in))
		return;
	if (open_again(fs, in) < 0)
		log_warn("inode %llu: what was written to it last is sealed "
			 "as it is", (unsigned long long)in->ino);
	else if (l->ver.state == META_UNFINISHED) {
		lock_acquire(&fs->ns);
		l->writing = false;
		lock_release(&fs->ns);
	}
}

/* The first file open of this inode; it stays as long as somebody holds it. */
static struct fs_file *first(struct fs *fs, struct inode *in, bool leave)
{
	struct fs_file *f;

	busy_begin(fs, in);
	f = in->live ? in->live->files : NULL;
	if (f && leave)
		leave_unfinished(fs, in);
	busy_end(fs, in);
	return f;
}

/* Pinned; n is 0 if there is no memory for them. */
static struct inode **all_open(struct fs *fs, size_t *n)
{
	struct inode **all, *in, *tmp;

	*n = 0;
	lock_acquire(&fs->ns);
	all = calloc(HASH_COUNT(fs->inodes) + 1, sizeof(struct inode *));
	HASH_ITER(hh, fs->inodes, in, tmp) {
		if (!all || !in->live || !in->live->nopen)
			continue;
		in->pins++;
		all[(*n)++] = in;
	}
	lock_release(&fs->ns);
	return all;
}

void fs_kernel_gone(struct fs *fs)
{
	struct fs_file *f;
	size_t n, i;
	struct inode **all = all_open(fs, &n);

	for (i = 0; i < n; i++) {
		bool leave = true;

		while ((f = first(fs, all[i], leave)) != NULL) {
			leave = false;
			fs_release(fs, f);
		}
		inode_put(fs, all[i]);
	}
	free(all);
}
