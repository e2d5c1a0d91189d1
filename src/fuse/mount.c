/* SPDX-License-Identifier: Apache-2.0 */
/* Mounting, serving, unmounting. */
#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_MODULE "fuse"

int fuse_mount_new(struct fs *fs, const struct fuse_mount_opts *opts,
		   struct fuse_mount **ret)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_mount *m = calloc(1, sizeof(*m));
	struct fs_kernel k;
	char fsname[2048];
	int r = -EIO;

	if (!m)
		return -ENOMEM;
	m->fs = fs;
	m->opts = *opts;
	if (access("/dev/fuse", F_OK) < 0) {
		free(m);
		return -ENODEV;
	}
	(void)snprintf(fsname, sizeof(fsname),
		       "-ofsname=%s,subtype=ckptfs,default_permissions%s%s",
		       opts->source, opts->allow_other ? ",allow_other" : "",
		       opts->ro ? ",ro" : "");
	if (fuse_opt_add_arg(&args, "ckptfs") < 0 ||
	    fuse_opt_add_arg(&args, fsname) < 0) {
		r = -ENOMEM;
		goto out;
	}
	m->se = fuse_session_new(&args, &fuse_ops_table, sizeof(fuse_ops_table),
				 m);
	if (!m->se)
		goto out;
	kernel_fill(m, &k);
	fs_set_kernel(fs, &k);
	if (fuse_session_mount(m->se, opts->mountpoint) != 0)
		goto out;
	m->mounted = true;
	r = 0;
	*ret = m;
	m = NULL;
out:
	fuse_opt_free_args(&args);
	fuse_mount_free(m);
	return r;
}

int fuse_mount_serve(struct fuse_mount *m)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	int r;

	if (!cfg)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(cfg, 0);
	fuse_loop_cfg_set_idle_threads(cfg, 8);
	r = fuse_session_loop_mt(m->se, cfg);
	fuse_loop_cfg_destroy(cfg);
	return r < 0 ? r : 0;
}

void fuse_mount_stop(struct fuse_mount *m)
{
	fuse_session_exit(m->se);
	/* The loop's readers wake up when the mount goes. */
	fuse_session_unmount(m->se);
	m->mounted = false;
}

bool fuse_mount_passthrough(const struct fuse_mount *m)
{
	return m->passthrough;
}

void fuse_mount_free(struct fuse_mount *m)
{
	if (!m)
		return;
	if (m->se) {
		if (m->mounted)
			fuse_session_unmount(m->se);
		fuse_session_destroy(m->se);
	}
	free(m);
}
