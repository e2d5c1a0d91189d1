/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the bucket that no mount can show: a component that is empty, "." or
 * "..", or too long, and one of two that have the same name.  They are left
 * alone, never followed, and counted by folder, so that status can say so.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "unshown.h"

#define LOG_MODULE "fs"

struct unshown {
	UT_hash_handle hh;
	uint64_t ino; /* of the folder */
	unsigned n;
};

bool name_shows(const struct inode *dir, const char *name, size_t n,
		bool is_dir, unsigned *unshown)
{
	bool top = dir->ino == FS_ROOT_INO;

	if (n == 0 && !is_dir)
		return false; /* the folder itself */
	if (n > 0 && n <= META_NAME_MAX && !memchr(name, '/', n) &&
	    !(n == 1 && name[0] == '.') &&
	    !(n == 2 && !memcmp(name, "..", 2)) &&
	    !(top && n == sizeof(STORE_HIDDEN) - 1 &&
	      !memcmp(name, STORE_HIDDEN, n)))
		return true;
	++*unshown;
	return false;
}

void unshown_note(struct fs *fs, uint64_t ino, unsigned n)
{
	struct unshown *u;

	lock_acquire(&fs->count_lock);
	HASH_FIND(hh, fs->unshown, &ino, sizeof(ino), u);
	if (!u && n) {
		u = calloc(1, sizeof(*u));
		if (u) {
			u->ino = ino;
			HASH_ADD(hh, fs->unshown, ino, sizeof(u->ino), u);
		}
	}
	if (u) {
		fs->n_unshown += (uint64_t)n - u->n;
		u->n = n;
	}
	if (u && n == 0) {
		HASH_DEL(fs->unshown, u);
		free(u);
	}
	lock_release(&fs->count_lock);
}

unsigned unshown_in(struct fs *fs, uint64_t ino)
{
	struct unshown *u;
	unsigned n;

	lock_acquire(&fs->count_lock);
	HASH_FIND(hh, fs->unshown, &ino, sizeof(ino), u);
	n = u ? u->n : 0;
	lock_release(&fs->count_lock);
	return n;
}

void unshown_free(struct fs *fs)
{
	struct unshown *u, *tmp;

	HASH_ITER(hh, fs->unshown, u, tmp) {
		HASH_DEL(fs->unshown, u);
		free(u);
	}
}
