/* SPDX-License-Identifier: Apache-2.0 */
/* The order the kernel keeps between what is asked by one handle (glue.h). */
#include "config.h"

#include "glue.h"

static struct glue_order *order_of(fuse_req_t req,
				   const struct fuse_file_info *fi)
{
	/* Memory of a handle begins at a multiple of 16. */
	return &glue_of(req)->order[(fi->fh >> 4) % GLUE_ORDERS];
}

void glue_handle_out(fuse_req_t req, const struct fuse_file_info *fi)
{
	(void)__atomic_fetch_add(&order_of(req, fi)->out, 1, __ATOMIC_RELEASE);
}

void glue_handle_done(fuse_req_t req, const struct fuse_file_info *fi)
{
	(void)__atomic_fetch_add(&order_of(req, fi)->done, 1, __ATOMIC_RELEASE);
}

static void *handle(fuse_req_t req, const struct fuse_file_info *fi)
{
	(void)__atomic_load_n(&order_of(req, fi)->out, __ATOMIC_ACQUIRE);
	return (void *)(uintptr_t)fi->fh;
}

static void *last_handle(fuse_req_t req, const struct fuse_file_info *fi)
{
	(void)__atomic_load_n(&order_of(req, fi)->done, __ATOMIC_ACQUIRE);
	return handle(req, fi);
}

struct fs_file *glue_file(fuse_req_t req, const struct fuse_file_info *fi)
{
	return handle(req, fi);
}

struct fs_dir *glue_dir(fuse_req_t req, const struct fuse_file_info *fi)
{
	return handle(req, fi);
}

struct fs_file *glue_last_file(fuse_req_t req, const struct fuse_file_info *fi)
{
	return last_handle(req, fi);
}

struct fs_dir *glue_last_dir(fuse_req_t req, const struct fuse_file_info *fi)
{
	return last_handle(req, fi);
}
