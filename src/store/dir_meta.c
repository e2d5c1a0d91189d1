/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of a folder store: one line of text in an extended attribute, or,
 * where there are none (links, some file systems), in a file of
 * .ckptfs/meta/ named after the key and the inode.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/hash.h"

#include "dir.h"
#include "meta_text.h"

#define XATTR_NAME "user.ckptfs.id"
#define RECORD_MAX 256
#define SIDECAR_NAME 64
#define MODE_PERM 01777

int64_t dir_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * NS_PER_S + t->tv_nsec;
}

/*
 * Every way to change a file moves its ctime, and a replaced one has another
 * inode.  A folder keeps its etag: what happens in it is no change of it.
 */
void dir_etag(const struct stat *st, char ret[STORE_ETAG_MAX])
{
	if (S_ISDIR(st->st_mode))
		snprintf(ret, STORE_ETAG_MAX, "\"d%" PRIx64 "\"",
			 (uint64_t)st->st_ino);
	else
		snprintf(ret, STORE_ETAG_MAX,
			 "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"",
			 (uint64_t)st->st_ino, (uint64_t)st->st_size,
			 (uint64_t)dir_ns(&st->st_mtim),
			 (uint64_t)dir_ns(&st->st_ctim));
}

static int format(const struct dir_record *rec, char out[RECORD_MAX])
{
	struct store_meta_text t;
	char crc[24] = "-";

	store_meta_encode(&rec->meta, &t);
	if (rec->has_crc64)
		snprintf(crc, sizeof(crc), "%016" PRIx64, rec->crc64);
	return snprintf(out, RECORD_MAX,
			"1 %c %" PRIu64 " %" PRId64 " %s %s %s %s", rec->kind,
			rec->size, rec->seen_mtime_ns, crc,
			t.mtime[0] ? t.mtime : "-", t.mode[0] ? t.mode : "-",
			t.id[0] ? t.id : "-");
}

static int parse(const char *text, struct dir_record *ret)
{
	struct dir_record rec = { .kind = 0 };
	char crc[20], mtime[32], mode[16], id[STORE_WRITE_ID_MAX];

	if (sscanf(text, "1 %c %" SCNu64 " %" SCNd64 " %19s %31s %15s %63s",
		   &rec.kind, &rec.size, &rec.seen_mtime_ns, crc, mtime, mode,
		   id) != 7)
		return -ENOENT;
	if (strcmp(crc, "-") != 0) {
		rec.has_crc64 = true;
		rec.crc64 = strtoull(crc, NULL, 16);
	}
	store_meta_decode(STORE_META_MTIME, mtime, &rec.meta);
	store_meta_decode(STORE_META_MODE, mode, &rec.meta);
	if (strcmp(id, "-") != 0)
		store_meta_decode(STORE_META_ID, id, &rec.meta);
	*ret = rec;
	return 0;
}

static void sidecar_name(const char *key, ino_t ino, char ret[SIDECAR_NAME])
{
	unsigned char h[SHA256_LEN];
	size_t n = 0;

	sha256(key, strlen(key), h);
	for (unsigned i = 0; i < 16; i++)
		n += (size_t)snprintf(ret + n, SIDECAR_NAME - n, "%02x", h[i]);
	snprintf(ret + n, SIDECAR_NAME - n, "-%" PRIx64, (uint64_t)ino);
}

static int sidecar_write(struct dir_store *d, const char *key, ino_t ino,
			 const char *text, size_t n)
{
	char name[SIDECAR_NAME], tmp[DIR_TMP_NAME];
	int dst = dir_folder(d, DIR_META, true);
	int src = dir_folder(d, DIR_TMP, true);
	int fd = -1, r;

	if (dst < 0 || src < 0)
		return dst < 0 ? dst : src;
	sidecar_name(key, ino, name);
	dir_random_name(tmp);
	fd = openat(src, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return dir_sys();
	errno = ENOSPC;
	r = write(fd, text, n) == (ssize_t)n ? 0 : dir_sys();
	if (!r && (fsync(fd) || renameat(src, tmp, dst, name) || fsync(dst)))
		r = dir_sys();
	if (r)
		(void)unlinkat(src, tmp, 0);
	close(fd);
	return r;
}

static ssize_t sidecar_read(struct dir_store *d, const char *key, ino_t ino,
			    char *text, size_t n)
{
	int dir = dir_folder(d, DIR_META, false), fd;
	char name[SIDECAR_NAME];
	ssize_t got;

	if (dir < 0)
		return -ENOENT;
	sidecar_name(key, ino, name);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -ENOENT;
	got = read(fd, text, n);
	close(fd);
	return got < 0 ? -ENOENT : got;
}

void dir_record_drop(struct dir_store *d, const char *key, ino_t ino)
{
	int dir = dir_folder(d, DIR_META, false);
	char name[SIDECAR_NAME];

	if (dir < 0)
		return;
	sidecar_name(key, ino, name);
	(void)unlinkat(dir, name, 0);
}

static bool no_xattrs(int err)
{
	return err == EOPNOTSUPP || err == ENOSYS || err == EPERM ||
	       err == ENOSPC || err == E2BIG || err == EDQUOT;
}

int dir_record_write(struct dir_store *d, int fd, const char *key, ino_t ino,
		     const struct dir_record *rec)
{
	char text[RECORD_MAX];
	int n = format(rec, text);

	if (n < 0 || n >= RECORD_MAX)
		return -EINVAL;
	if (fd >= 0 && !d->no_xattrs) {
		if (!fsetxattr(fd, XATTR_NAME, text, (size_t)n, 0))
			return 0;
		if (!no_xattrs(errno))
			return dir_sys();
	}
	return sidecar_write(d, key, ino, text, (size_t)n);
}

int dir_record_read(struct dir_store *d, int fd, const char *key, ino_t ino,
		    struct dir_record *ret)
{
	char text[RECORD_MAX];
	ssize_t n = -1;

	if (fd >= 0 && !d->no_xattrs)
		n = fgetxattr(fd, XATTR_NAME, text, sizeof(text) - 1);
	if (n < 0)
		n = sidecar_read(d, key, ino, text, sizeof(text) - 1);
	if (n < 0)
		return -ENOENT;
	text[n] = '\0';
	return parse(text, ret);
}

void dir_obj_listed(const struct stat *st, struct store_obj *ret)
{
	*ret = (struct store_obj){ .size = S_ISDIR(st->st_mode)
						   ? 0
						   : (uint64_t)st->st_size,
				   .mtime_ns = dir_ns(&st->st_mtim) };
	dir_etag(st, ret->etag);
}

/* What the file itself tells of its metadata. */
static void meta_of_stat(const struct stat *st, struct store_meta *m)
{
	*m = (struct store_meta){ .has_mtime = true,
				  .mtime_ns = dir_ns(&st->st_mtim),
				  .has_mode = true };
	m->mode = st->st_mode & (S_IFMT | MODE_PERM);
}

void dir_obj(struct dir_store *d, int fd, const char *key,
	     const struct stat *st, struct store_obj *ret)
{
	struct store_meta *m = &ret->meta;
	struct dir_record rec;
	bool is_dir = S_ISDIR(st->st_mode);

	dir_obj_listed(st, ret);
	ret->has_meta = true;
	meta_of_stat(st, m);
	if (dir_record_read(d, fd, key, st->st_ino, &rec))
		return;
	/* another program changed it since: the rest speaks of old bytes */
	if (!is_dir && (rec.size != ret->size ||
			rec.seen_mtime_ns != dir_ns(&st->st_mtim)))
		return;
	ret->has_crc64 = rec.has_crc64;
	ret->crc64 = rec.crc64;
	memcpy(m->write_id, rec.meta.write_id, sizeof(m->write_id));
	if (rec.meta.has_mtime)
		m->mtime_ns = rec.meta.mtime_ns;
	/* a chmod by another program leaves size and mtime alone */
	if (rec.meta.has_mode &&
	    ((rec.meta.mode | S_IRUSR) & (S_IFMT | MODE_PERM)) ==
		    (m->mode & (S_IFMT | MODE_PERM)))
		m->mode = rec.meta.mode;
}
