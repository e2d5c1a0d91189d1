/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the kernel at the start; the only place that knows which
 * libfuse it is built with. */
#include "config.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ckptfs/compiler.h"

#include "glue.h"

/* Of a write as the kernel sends it. */
static const unsigned write_sizes[] = { 1U << 20, 1U << 19, 1U << 18 };
#define MAX_BACKGROUND 64
/* The number of the first user namespace, ever the same. */
#define FIRST_USER_NS 0xEFFFFFFDU

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

/*
 * A write is spliced from the kernel to the blob if it fits a pipe whole: the
 * header, and a page more than its length since it may begin anywhere in one.
 * Who may not have large pipes gets smaller writes: two of those that are not
 * copied take less time than a large one that is.  Direct writes are not
 * spliced: their pages stay the caller's, so the kernel copies each into a new
 * page of the pipe, which takes longer than a copy into a buffer of ours.
 */
static unsigned largest_write(void)
{
	unsigned i, last = ARRAY_SIZE(write_sizes) - 1;
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return write_sizes[0];
	for (i = 0; i < last; i++)
		if (fcntl(fd[0], F_SETPIPE_SZ, (int)write_sizes[i] * 2) >= 0)
			break;
	(void)close(fd[0]);
	(void)close(fd[1]);
	return write_sizes[i];
}

#ifdef FUSE_CAP_PASSTHROUGH
/* The kernel offers passthrough to everybody, but each file is refused to who
 * is not root in its own eyes: a container's root may be somebody else. */
static bool is_root_to_the_kernel(void)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];
	struct stat st;

	if (syscall(SYS_capget, &h, d) < 0 ||
	    !(d[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &
	      CAP_TO_MASK(CAP_SYS_ADMIN)))
		return false;
	return stat("/proc/self/ns/user", &st) < 0 ||
	       st.st_ino == FIRST_USER_NS;
}
#endif

/* What passthrough lacks here, NULL if nothing. */
static const char *passthrough_lacks(const struct fuse_conn_info *c)
{
#ifdef FUSE_CAP_PASSTHROUGH
	if (!offered(c, FUSE_CAP_PASSTHROUGH))
		return "it needs Linux 6.9";
	if (!is_root_to_the_kernel())
		return "the kernel gives it to root alone (CAP_SYS_ADMIN, and "
		       "in no user namespace)";
	return NULL;
#else
	(void)c;
	return "it needs a ckptfs built with libfuse 3.17";
#endif
}

void glue_negotiate(struct fusefs *f, struct fuse_conn_info *c,
		    const char **ret_lacks)
{
	*ret_lacks = f->opts.passthrough ? passthrough_lacks(c) : NULL;
	f->passthrough = f->opts.passthrough && !*ret_lacks;
#ifdef FUSE_CAP_DIRECT_IO_ALLOW_MMAP
	/* Came with Linux 6.6, as did: what is written past the page cache
	 * leaves no old pages there. */
	f->direct_writes = offered(c, FUSE_CAP_DIRECT_IO_ALLOW_MMAP);
#endif
	c->max_write = f->direct_writes ? write_sizes[0] : largest_write();
	c->max_readahead = GLUE_READAHEAD;
	c->max_background = MAX_BACKGROUND;
	c->time_gran = 1;
	want(c, FUSE_CAP_ASYNC_READ, true);
	want(c, FUSE_CAP_ATOMIC_O_TRUNC, true);
	want(c, FUSE_CAP_PARALLEL_DIROPS, true);
	want(c, FUSE_CAP_READDIRPLUS, true);
	want(c, FUSE_CAP_READDIRPLUS_AUTO, true);
	want(c, FUSE_CAP_SPLICE_READ, !f->direct_writes);
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
	want(c, FUSE_CAP_PASSTHROUGH, f->passthrough);
	if (f->passthrough)
		c->max_backing_stack_depth = 1;
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
