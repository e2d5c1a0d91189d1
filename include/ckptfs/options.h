/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount options: one table from which parsing, --help and the environment
 * come.  Later sources win: defaults, config_file, environment (CKPTFS_NAME),
 * then -o.
 *
 * Errors are words for the user, in err: what is wrong and what is right.
 */
#ifndef CKPTFS_OPTIONS_H
#define CKPTFS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ckptfs/compiler.h"

#define OPTIONS_ERR_MAX 512

enum { ADDRESSING_AUTO, ADDRESSING_PATH, ADDRESSING_VIRTUAL };
enum { PAYLOAD_AUTO, PAYLOAD_SIGNED };
enum { FSYNC_LOCAL, FSYNC_REMOTE };
enum { CLOSE_ASYNC, CLOSE_LOCAL, CLOSE_REMOTE };
enum { FULL_WAIT, FULL_ENOSPC };
enum { PASSTHROUGH_AUTO, PASSTHROUGH_ON, PASSTHROUGH_OFF };
enum { ORDER_STRICT, ORDER_OPEN, ORDER_NONE };
enum { CONFLICT_KEEP, CONFLICT_OVERWRITE };
enum { VOLATILE_REFUSE, VOLATILE_OK };
enum { LEVEL_ERR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG };
enum { FORMAT_TEXT, FORMAT_JSON };

/* Sizes in bytes, times in nanoseconds; strings are owned, NULL: not given. */
struct options {
	char *cache_dir, *endpoint_url, *region, *profile, *log_file,
		*config_file;
	uint64_t cache_size, cache_min_free, part_size, upload_limit,
		download_limit;
	uint64_t max_uploads, max_downloads;
	uint64_t uid, gid, umask, file_mode, dir_mode;
	bool uid_set, gid_set, file_mode_set, dir_mode_set;
	int64_t upload_delay, upload_interval, upload_max_delay, metadata_ttl,
		negative_ttl, held_open_delay, drain_timeout, remote_timeout;
	int addressing, payload, fsync, close, full, passthrough, order,
		conflict, volatile_cache, log_level, log_format;
	bool allow_other, ro, anonymous;
};

/* The defaults.  -ENOMEM. */
int options_init(struct options *o) NONNULL(1) MUST_USE;
void options_clear(struct options *o) NONNULL(1);
/* value NULL: given without one.  0, or -EINVAL with words in err. */
int options_set(struct options *o, const char *name, const char *value,
		char err[OPTIONS_ERR_MAX]) NONNULL(1, 2, 4) MUST_USE;
/* "name=value,name,…", as after -o. */
int options_list(struct options *o, const char *list,
		 char err[OPTIONS_ERR_MAX]) NONNULL(1, 2, 3) MUST_USE;
/* CKPTFS_NAME for each option. */
int options_env(struct options *o, char err[OPTIONS_ERR_MAX])
	NONNULL(1, 2) MUST_USE;
/* Lines "name = value". */
int options_file(struct options *o, const char *path, char err[OPTIONS_ERR_MAX])
	NONNULL(1, 2, 3) MUST_USE;
void options_help(FILE *f) NONNULL(1);

#endif
