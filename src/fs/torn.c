/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be held back as torn when it is sealed. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "fs"

/* A file that a bare log would not be missed for: anything that replaces an
 * object, or looks like a checkpoint. */
static bool is_precious(struct fs *fs, const struct inode *in, const char *key)
{
	static const char *const ends[] = { ".ckpt",   ".pt",	 ".pth",
					    ".bin",    ".npz",	 ".safetensors",
					    ".keras",  ".h5",	 ".distcp",
					    ".msgpack" };
	size_t i, n = strlen(key), m;

	if (key_is_live(fs, key))
		return false;
	if (in->key)
		return true;
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		m = strlen(ends[i]);
		if (n > m && strcmp(key + n - m, ends[i]) == 0)
			return true;
	}
	return false;
}

int seal_torn(struct fs *fs, struct inode *in, const char *key, uint64_t size)
{
	const char *base = strrchr(key, '/');
	int r;

	if (in->live->torn && is_precious(fs, in, key)) {
		log_warn("%s: its writer was killed: held back as torn; see "
			 "'ckptfs status'",
			 key_path(fs, key));
		return 1;
	}
	r = cache_format_check(fs->host, in->live->rfd, base ? base + 1 : key,
			       size);
	if (r == -EBADMSG) {
		log_warn("%s: the file is cut short: held back as torn; see "
			 "'ckptfs status'",
			 key_path(fs, key));
		return 1;
	}
	return r;
}
