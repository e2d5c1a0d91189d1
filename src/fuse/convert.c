/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ckptfs/clock.h"

#include "glue.h"

/* What programs take for the size of their buffers. */
#define BLOCK_SIZE (256 * 1024)
#define LONGEST_S 1e9

struct fusefs *glue_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

void glue_ctx(fuse_req_t req, struct fs_ctx *ret)
{
	const struct fuse_ctx *c = fuse_req_ctx(req);

	ret->pid = c->pid;
	ret->uid = c->uid;
	ret->gid = c->gid;
	ret->umask = c->umask;
}

double glue_seconds(int64_t ns)
{
	double s = (double)ns / (double)NS_PER_S;

	return ns <= 0 ? 0 : s > LONGEST_S ? LONGEST_S : s;
}

static struct timespec spec(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / NS_PER_S,
			      .tv_nsec = ns % NS_PER_S };

	if (t.tv_nsec < 0) {
		t.tv_nsec += NS_PER_S;
		t.tv_sec--;
	}
	return t;
}

void glue_stat(const struct fs_attr *a, struct stat *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->st_ino = a->ino;
	ret->st_mode = a->mode;
	ret->st_nlink = a->nlink;
	ret->st_uid = a->uid;
	ret->st_gid = a->gid;
	ret->st_size = (off_t)a->size;
	ret->st_blocks = (blkcnt_t)a->blocks;
	ret->st_blksize = BLOCK_SIZE;
	ret->st_atim = spec(a->atime_ns);
	ret->st_mtim = spec(a->mtime_ns);
	ret->st_ctim = spec(a->ctime_ns);
}

void glue_entry(const struct fs_entry *e, struct fuse_entry_param *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ino = e->attr.ino;
	ret->generation = 1;
	glue_stat(&e->attr, &ret->attr);
	ret->attr_timeout = glue_seconds(e->attr.ttl_ns);
	ret->entry_timeout = glue_seconds(e->ttl_ns);
}

void glue_reply(fuse_req_t req, int err)
{
	(void)fuse_reply_err(req, -err);
}

/* The caller may be gone (-ENOENT): then nobody will ever forget the inode. */
void glue_reply_entry(fuse_req_t req, int err, const struct fs_entry *e)
{
	struct fusefs *f = glue_of(req);
	struct fuse_entry_param p;

	if (err < 0) {
		glue_reply(req, err);
		return;
	}
	glue_entry(e, &p);
	if (fuse_reply_entry(req, &p) < 0)
		fs_forget(f->fs, e->attr.ino, 1);
}
