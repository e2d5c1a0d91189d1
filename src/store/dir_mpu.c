/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploads in parts, of a folder store: .ckptfs/uploads/<id>/ with the file
 * "info" (when it was begun; its key) and a file a part, whose name tells
 * number, checksum and etag.
 */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/hash.h"

#include "dir.h"

#define ID_LEN 32
#define PART_NAME 64
#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* An id may come from anywhere; as a path it must be one of ours. */
static bool id_is_valid(const char *id)
{
	return strlen(id) == ID_LEN && strspn(id, "0123456789abcdef") == ID_LEN;
}

static int read_info(int fd, char key[STORE_KEY_MAX + 1], int64_t *ret_ns)
{
	char text[STORE_KEY_MAX + 64], *end = NULL;
	int info = openat(fd, "info", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (info < 0)
		return -ENOENT;
	n = read(info, text, sizeof(text) - 1);
	close(info);
	if (n <= 0)
		return -ENOENT;
	text[n] = '\0';
	*ret_ns = strtoll(text, &end, 10);
	if (*end != '\n' || !end[1] || strlen(end + 1) > STORE_KEY_MAX)
		return -ENOENT;
	snprintf(key, STORE_KEY_MAX + 1, "%s", end + 1);
	return 0;
}

/* The open folder of an upload of key. */
static int open_upload(struct dir_store *d, const char *key, const char *id,
		       int *ret_fd)
{
	int dir = dir_folder(d, DIR_UPLOADS, false), fd, r;
	char found[STORE_KEY_MAX + 1];
	int64_t begun_ns;

	if (!id_is_valid(id) || dir < 0)
		return -ENOENT;
	fd = openat(dir, id, FOLDER_FLAGS);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : dir_sys();
	r = read_info(fd, found, &begun_ns);
	if (r || strcmp(found, key) != 0) {
		close(fd);
		return -ENOENT;
	}
	*ret_fd = fd;
	return 0;
}

int dir_mpu_begin(struct store *s, const char *key,
		  const struct store_meta *meta, bool copies,
		  char ret_id[STORE_UPLOAD_ID_MAX])
{
	struct dir_store *d = (struct dir_store *)s;
	int dir = -1, fd = -1, info = -1, r = dir_check(d);
	char id[DIR_TMP_NAME];

	(void)meta; /* that of the commit counts */
	(void)copies; /* all may have them */
	if (!r)
		r = dir_key_check(key);
	if (!r && dir_key_is_marker(key))
		r = -EINVAL;
	if (r)
		return r;
	dir = dir_folder(d, DIR_UPLOADS, true);
	if (dir < 0)
		return dir_err(dir, false);
	dir_random_name(id);
	if (mkdirat(dir, id, 0777))
		return dir_err(dir_sys(), false);
	fd = openat(dir, id, FOLDER_FLAGS);
	if (fd >= 0)
		info = openat(fd, "info", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (info < 0 ||
	    dprintf(info, "%" PRId64 "\n%s", clk_real(d->clk), key) < 0 ||
	    fsync(info) || fsync(fd) || fsync(dir))
		r = dir_sys();
	dir_close(info);
	dir_close(fd);
	if (r)
		(void)dir_remove_tree(dir, id);
	else
		snprintf(ret_id, STORE_UPLOAD_ID_MAX, "%s", id);
	return dir_err(r, false);
}

static void part_name(const struct store_part *p, char ret[PART_NAME])
{
	/* the etag is "<crc>-<random>" in quotes */
	snprintf(ret, PART_NAME, "p%05u-%.33s", p->number, p->etag + 1);
}

static bool parse_part(const char *name, struct store_part *ret)
{
	*ret = (struct store_part){ .number = 0 };
	if (name[0] != 'p' || strlen(name) != 7 + 33 ||
	    strspn(name + 1, "0123456789abcdef-") != 6 + 33)
		return false;
	ret->number = (unsigned)strtoul(name + 1, NULL, 10);
	ret->has_crc64 = true;
	ret->crc64 = strtoull(name + 7, NULL, 16);
	snprintf(ret->etag, sizeof(ret->etag), "\"%s\"", name + 7);
	return ret->number > 0;
}

struct held {
	struct store_part part;
	int64_t mtime_ns;
};

struct held_parts {
	struct held *v;
	size_t n;
};

static int by_number(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	if (x->part.number != y->part.number)
		return x->part.number < y->part.number ? -1 : 1;
	return x->mtime_ns < y->mtime_ns ? -1 : x->mtime_ns > y->mtime_ns;
}

static int hold(struct held_parts *h, int fd, const char *name)
{
	struct store_part part;
	struct held *v;
	struct stat st;

	if (!parse_part(name, &part) ||
	    fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	v = reallocarray(h->v, h->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	h->v = v;
	part.size = (uint64_t)st.st_size;
	v[h->n++] = (struct held){ part, dir_ns(&st.st_mtim) };
	return 0;
}

/* The parts held, by number; of one that was sent twice, both. */
static int read_parts(int fd, struct held_parts *h)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!dir) {
		r = dir_sys();
		dir_close(copy);
		return r;
	}
	while (!r && (e = readdir(dir)))
		r = hold(h, fd, e->d_name);
	closedir(dir);
	if (!r && h->n)
		qsort(h->v, h->n, sizeof(*h->v), by_number);
	return r;
}

/* Rename the part into its upload and remove what it replaces.  Locked, so
 * that two of one number do not remove each other. */
static int place_part(struct dir_store *d, int fd, const struct dir_new *n,
		      const struct store_part *part)
{
	struct held_parts held = { .n = 0 };
	char name[PART_NAME], old[PART_NAME];
	int lock = dir_lock(d), r = 0;

	if (lock < 0 && lock != -EOPNOTSUPP)
		return lock;
	part_name(part, name);
	if (renameat(dir_folder(d, DIR_TMP, false), n->name, fd, name))
		r = dir_sys();
	if (!r)
		r = read_parts(fd, &held);
	for (size_t i = 0; i < held.n && !r; i++) {
		part_name(&held.v[i].part, old);
		if (held.v[i].part.number == part->number &&
		    strcmp(old, name) != 0)
			(void)unlinkat(fd, old, 0);
	}
	free(held.v);
	dir_close(lock);
	return r;
}

static int keep_part(struct dir_store *d, const char *key, const char *id,
		     unsigned number, struct dir_new *n, struct store_part *ret)
{
	struct store_part part = { .number = number,
				   .size = n->len,
				   .has_crc64 = true,
				   .crc64 = n->crc64 };
	char random[DIR_TMP_NAME];
	int fd = -1, r;

	dir_random_name(random);
	snprintf(part.etag, sizeof(part.etag), "\"%016" PRIx64 "-%.16s\"",
		 n->crc64, random);
	r = fsync(n->fd) ? dir_sys() : 0;
	if (!r)
		r = open_upload(d, key, id, &fd);
	if (!r)
		r = place_part(d, fd, n, &part);
	dir_close(fd);
	if (!r) {
		n->name[0] = '\0';
		*ret = part;
	}
	return dir_err(r, true);
}

int dir_mpu_part(struct store *s, const char *key, const char *id,
		 unsigned number, const struct store_src *src,
		 struct store_part *ret)
{
	struct dir_store *d = (struct dir_store *)s;
	struct dir_new n = DIR_NEW_INIT;
	int fd = -1, r = dir_check(d);

	if (r)
		return r;
	r = dir_err(open_upload(d, key, id, &fd), true);
	dir_close(fd);
	if (!r)
		r = dir_new_from_src(d, src, false, &n);
	if (!r)
		r = keep_part(d, key, id, number, &n, ret);
	dir_new_drop(d, &n);
	return r;
}

static int crc_of(struct dir_store *d, struct dir_new *n)
{
	unsigned char *p = malloc(STORE_SRC_CHUNK);
	uint64_t off = 0;
	ssize_t got = 0;
	int r = p ? 0 : -ENOMEM;

	n->crc64 = 0;
	while (!r) {
		got = pread(n->fd, p, STORE_SRC_CHUNK, (off_t)off);
		if (got <= 0)
			break;
		n->crc64 = crc64nvme(n->crc64, p, (size_t)got);
		off += (uint64_t)got;
		r = dir_check(d);
	}
	free(p);
	if (!r && got < 0)
		r = dir_sys();
	return r;
}

int dir_mpu_copy_part(struct store *s, const char *key, const char *id,
		      unsigned number, const char *from, const char *from_etag,
		      uint64_t off, uint64_t len, struct store_part *ret)
{
	struct dir_store *d = (struct dir_store *)s;
	struct dir_reader src = DIR_READER_INIT;
	struct dir_new n = DIR_NEW_INIT;
	int r = dir_check(d);

	if (!r)
		r = dir_key_check(from);
	if (!r && dir_key_is_marker(from))
		r = -EINVAL;
	if (r)
		return r;
	r = dir_err(dir_reader_open(d, from, from_etag, &src), true);
	if (!r &&
	    (src.fd < 0 || off > src.obj.size || len > src.obj.size - off)) {
		store_set_error("the source has no such range");
		r = -EINVAL;
	}
	if (!r)
		r = dir_err(dir_new_open(d, &n), false);
	if (!r)
		r = dir_err(dir_new_append(d, &n, src.fd, off, len), false);
	if (!r)
		r = dir_err(dir_reader_check(&src), false);
	if (!r)
		r = dir_err(crc_of(d, &n), false);
	if (r == -ESTALE && !from_etag)
		r = -EAGAIN;
	if (!r)
		r = keep_part(d, key, id, number, &n, ret);
	if (!r)
		ret->copied = true;
	dir_new_drop(d, &n);
	dir_reader_close(&src);
	return r;
}

int dir_mpu_list_parts(struct store *s, const char *key, const char *id,
		       store_part_fn *fn, void *arg)
{
	struct dir_store *d = (struct dir_store *)s;
	struct held_parts held = { .n = 0 };
	int fd = -1, r = dir_check(d);

	if (r)
		return r;
	r = open_upload(d, key, id, &fd);
	if (!r)
		r = read_parts(fd, &held);
	r = dir_err(r, true);
	for (size_t i = 0; i < held.n && !r; i++)
		/* of two, the later one counts: a crash kept the other */
		if (i + 1 == held.n ||
		    held.v[i].part.number != held.v[i + 1].part.number)
			r = fn(arg, &held.v[i].part);
	free(held.v);
	dir_close(fd);
	return r;
}

int dir_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		 void *arg)
{
	struct dir_store *d = (struct dir_store *)s;
	int dir = dir_folder(d, DIR_UPLOADS, false), fd, r = dir_check(d);
	char key[STORE_KEY_MAX + 1];
	struct dirent *e;
	int64_t begun_ns;
	DIR *uploads;

	if (r || dir < 0)
		return r;
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uploads = fd < 0 ? NULL : fdopendir(fd);
	if (!uploads) {
		dir_close(fd);
		return -EAGAIN;
	}
	while (!r && (e = readdir(uploads))) {
		if (!id_is_valid(e->d_name))
			continue;
		fd = openat(dir, e->d_name, FOLDER_FLAGS);
		if (fd < 0)
			continue;
		if (!read_info(fd, key, &begun_ns) &&
		    !strncmp(key, prefix, strlen(prefix)))
			r = fn(arg, key, e->d_name, begun_ns);
		close(fd);
	}
	closedir(uploads);
	return r;
}

static int join_part(struct dir_store *d, int fd, const struct store_part *part,
		     struct dir_new *n)
{
	struct store_part held;
	char name[PART_NAME];
	struct stat st;
	int from, r;

	part_name(part, name);
	from = strlen(part->etag) == 35 && parse_part(name, &held)
		       ? openat(fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
		       : -1;
	if (from < 0 || fstat(from, &st)) {
		store_set_error("part %u is missing or another", part->number);
		dir_close(from);
		return -EINVAL;
	}
	r = dir_new_append(d, n, from, 0, (uint64_t)st.st_size);
	n->crc64 =
		crc64nvme_combine(n->crc64, held.crc64, (uint64_t)st.st_size);
	n->has_crc64 = true;
	close(from);
	return r;
}

int dir_mpu_commit(struct store *s, const char *key, const char *id,
		   const struct store_part *parts, size_t n,
		   const struct store_meta *meta, const struct store_cond *cond,
		   struct store_obj *ret)
{
	struct dir_store *d = (struct dir_store *)s;
	struct dir_new whole = DIR_NEW_INIT;
	int fd = -1, r = dir_check(d);

	if (r)
		return r;
	r = open_upload(d, key, id, &fd);
	if (!r)
		r = dir_new_open(d, &whole);
	for (size_t i = 0; i < n && !r; i++)
		r = join_part(d, fd, &parts[i], &whole);
	r = dir_err(r, true);
	if (!r)
		r = dir_publish(d, &whole, key, meta, cond, id, ret);
	dir_new_drop(d, &whole);
	dir_close(fd);
	if (!r) /* that is where the upload was moved to */
		(void)dir_remove_tree(dir_folder(d, DIR_TMP, false), id);
	return r;
}

int dir_mpu_abort(struct store *s, const char *key, const char *id)
{
	struct dir_store *d = (struct dir_store *)s;
	int fd = -1, tmp, r = dir_check(d);

	if (r)
		return r;
	r = open_upload(d, key, id, &fd);
	dir_close(fd);
	if (r)
		return r == -ENOENT ? 0 : dir_err(r, true);
	tmp = dir_folder(d, DIR_TMP, true);
	if (tmp < 0)
		return dir_err(tmp, false);
	/* away with it in one step, then file by file */
	if (renameat(dir_folder(d, DIR_UPLOADS, false), id, tmp, id))
		return errno == ENOENT ? 0 : dir_err(dir_sys(), false);
	(void)dir_remove_tree(tmp, id);
	return 0;
}
