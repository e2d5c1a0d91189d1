/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one version of a file that others may replace or change. */
#include "config.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/hash.h"

#include "dir.h"

static int read_link(const struct dir_place *p, struct dir_reader *r)
{
	size_t max = (size_t)p->st.st_size + 1;
	ssize_t n;

	r->target = malloc(max + 1);
	if (!r->target)
		return -ENOMEM;
	n = readlinkat(p->parent, p->name, r->target, max);
	if (n < 0 || (size_t)n == max)
		return n < 0 ? dir_sys() : -EAGAIN; /* replaced meanwhile */
	r->target[n] = '\0';
	return 0;
}

static int open_found(struct dir_store *d, const char *key,
		      const struct dir_place *p, struct dir_reader *r)
{
	int err;

	r->st = p->st;
	if (S_ISLNK(p->st.st_mode)) {
		err = read_link(p, r);
		if (err)
			return err;
	} else {
		/* were it a pipe by now, that must not block */
		r->fd = openat(p->parent, p->name,
			       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (r->fd < 0 || fstat(r->fd, &r->st))
			return dir_sys();
		if (!S_ISREG(r->st.st_mode))
			return -ENOENT;
	}
	dir_obj(d, r->fd, key, &r->st, &r->obj);
	if (r->target) {
		r->obj.size = strlen(r->target);
		r->obj.crc64 = crc64nvme(0, r->target, r->obj.size);
		r->obj.has_crc64 = true;
	}
	return 0;
}

int dir_reader_open(struct dir_store *d, const char *key, const char *if_match,
		    struct dir_reader *r)
{
	struct dir_place p = { .parent = -1 };
	struct store_cond cond = { .if_match = if_match };
	int err = dir_find(d, key, &p);

	assert(!dir_key_is_marker(key));
	if (!err)
		err = open_found(d, key, &p, r);
	dir_place_close(&p);
	if (err == -ENOENT && if_match)
		err = -ESTALE;
	if (!err)
		err = store_cond_check(&cond, &r->obj);
	if (err)
		dir_reader_close(r);
	return err;
}

int dir_reader_check(const struct dir_reader *r)
{
	struct stat st;

	if (r->fd < 0)
		return 0;
	if (fstat(r->fd, &st))
		return dir_sys();
	/* not ctime: that moves, too, when a newer version takes the name */
	if (st.st_size == r->st.st_size &&
	    dir_ns(&st.st_mtim) == dir_ns(&r->st.st_mtim))
		return 0;
	store_set_error("the file was changed while it was read");
	return -ESTALE;
}

void dir_reader_close(struct dir_reader *r)
{
	dir_close(r->fd);
	free(r->target);
	r->fd = -1;
	r->target = NULL;
}
