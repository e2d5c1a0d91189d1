/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the kernel at the start; the only place that knows which
 * libfuse it is built with. */
#include "config.h"

#include "glue.h"

#define MAX_WRITE (1U << 20)
#define MAX_BACKGROUND 64

static bool offered(const struct fuse_conn_info *c, uint64_t flag)
{
#ifdef HAVE_FUSE_317
	return (c->capable_ext & flag) != 0;
#else
	return (c->capable & flag) != 0;
#endif
}

static void want(struct fuse_conn_info *c, uint64_t flag, bool on)
{
	on = on && offered(c, flag);
#ifdef HAVE_FUSE_317
	if (on)
		(void)fuse_set_feature_flag(c, flag);
	else
		fuse_unset_feature_flag(c, flag);
#else
	if (on)
		c->want |= (unsigned)flag;
	else
		c->want &= ~(unsigned)flag;
#endif
}

void glue_negotiate(struct fusefs *f, struct fuse_conn_info *c)
{
	c->max_write = MAX_WRITE;
	c->max_background = MAX_BACKGROUND;
	c->time_gran = 1;
	want(c, FUSE_CAP_ASYNC_READ, true);
	want(c, FUSE_CAP_ATOMIC_O_TRUNC, true);
	want(c, FUSE_CAP_PARALLEL_DIROPS, true);
	want(c, FUSE_CAP_READDIRPLUS, true);
	want(c, FUSE_CAP_READDIRPLUS_AUTO, true);
	want(c, FUSE_CAP_SPLICE_READ, true);
	want(c, FUSE_CAP_SPLICE_WRITE, true);
	want(c, FUSE_CAP_SPLICE_MOVE, true);
	want(c, FUSE_CAP_ASYNC_DIO, true);
	want(c, FUSE_CAP_DONT_MASK, false);
	/* Dirty pages in the kernel would be bytes nobody has sealed. */
	want(c, FUSE_CAP_WRITEBACK_CACHE, false);
	/* The bytes of an inode change only through the kernel itself; what
	 * passthrough changed is dropped at the next open. */
	want(c, FUSE_CAP_AUTO_INVAL_DATA, false);
	/* Then the kernel drops setuid bits itself, by SETATTR. */
	want(c, FUSE_CAP_HANDLE_KILLPRIV, false);
	want(c, FUSE_CAP_POSIX_LOCKS, false);
	want(c, FUSE_CAP_FLOCK_LOCKS, false);
	want(c, FUSE_CAP_POSIX_ACL, false);
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
	want(c, FUSE_CAP_HANDLE_KILLPRIV_V2, false);
#endif
#ifdef FUSE_CAP_PASSTHROUGH
	f->passthrough =
		f->opts.passthrough && offered(c, FUSE_CAP_PASSTHROUGH);
	want(c, FUSE_CAP_PASSTHROUGH, f->passthrough);
	if (f->passthrough)
		c->max_backing_stack_depth = 1;
#else
	f->passthrough = false;
#endif
}

void glue_opened(const struct fs_opened *o, struct fuse_file_info *fi)
{
	fi->fh = (uint64_t)(uintptr_t)o->file;
	fi->keep_cache = o->keep_cache;
	fi->direct_io = o->io == FS_IO_DIRECT;
#ifdef FUSE_CAP_PASSTHROUGH
	if (o->io == FS_IO_PASSTHROUGH)
		fi->backing_id = o->backing_id;
#endif
}
