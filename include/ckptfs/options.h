/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a mount: one table from which the command line, the
 * environment (CKPTFS_NAME), the configuration file, --help and the documents
 * come.  Later sources win: defaults, config_file, environment, command line.
 *
 * Names may be spelt with '-' for '_'.  Sizes take K M G T (powers of 1024),
 * times ms s m h.  Whatever is not understood is refused in words.
 *
 * Threads: none; options are read before there are any.
 */
#ifndef CKPTFS_OPTIONS_H
#define CKPTFS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "ckptfs/compiler.h"

#define OPTIONS_ERR_MAX 512
#define OPTIONS_MOST 128 /* rows of the table */

enum opt_auto { OPT_AUTO, OPT_ON, OPT_OFF };
enum opt_addressing { OPT_ADDR_AUTO, OPT_ADDR_PATH, OPT_ADDR_VIRTUAL };
enum opt_payload { OPT_PAYLOAD_AUTO, OPT_PAYLOAD_SIGNED };
enum opt_parts { OPT_PARTS_AUTO, OPT_PARTS_RESUMABLE };
enum opt_conflict { OPT_CONFLICT_KEEP, OPT_CONFLICT_OVERWRITE };
enum opt_close { OPT_CLOSE_ASYNC, OPT_CLOSE_LOCAL, OPT_CLOSE_REMOTE };
enum opt_fsync { OPT_FSYNC_LOCAL, OPT_FSYNC_REMOTE };
enum opt_full { OPT_FULL_WAIT, OPT_FULL_ENOSPC };
enum opt_order { OPT_ORDER_STRICT, OPT_ORDER_OPEN, OPT_ORDER_NONE };
enum opt_volatile { OPT_VOLATILE_REFUSE, OPT_VOLATILE_OK };
enum opt_log_format { OPT_LOG_TEXT, OPT_LOG_JSON };

/* Strings are owned, NULL when not given and without a default.  Times are
 * nanoseconds, CLK_NEVER for "none"; sizes bytes. */
struct options {
	char *cache_dir;
	uint64_t cache_size; /* 0: 80 % of what is free */
	uint64_t cache_min_free; /* 0: the larger of 5 % and 2 GiB */
	int volatile_cache; /* enum opt_volatile */

	char *endpoint_url, *account, *region, *profile, *ca_bundle;
	int addressing_style; /* enum opt_addressing */
	int payload; /* enum opt_payload */
	bool anonymous, no_verify_ssl, requester_pays;
	bool fips, dual_stack;
	int64_t connect_timeout;
	int64_t http_timeout; /* 0: as each request has it */
	char *sse, *sse_kms_key_id, *sse_c_key_file, *storage_class, *acl;
	char *user_project;
	char *tags, *content_type;

	uid_t uid;
	gid_t gid;
	unsigned umask, file_mode, dir_mode;
	bool allow_other, ro;

	int fsync, close, full, order; /* enum opt_… */
	int passthrough; /* enum opt_auto */
	int conflict; /* enum opt_conflict */
	int64_t remote_timeout;

	int64_t upload_delay, upload_interval, upload_max_delay;
	int64_t held_open_delay, drain_timeout;
	uint64_t part_size; /* 0: grows by itself */
	int parts; /* enum opt_parts */
	unsigned max_uploads, max_downloads;
	uint64_t upload_limit, download_limit; /* bytes per second; 0: none */
	int64_t metadata_ttl, negative_ttl;

	char *live; /* patterns; "": none */

	char *log_file;
	int log_level; /* enum log_level */
	int log_format; /* enum opt_log_format */
	char *config_file;

	/* Words of mount(8) for the kernel ("noatime,nodev"), "" if none. */
	char *mount_words;
	bool given[OPTIONS_MOST]; /* per table row: not only its default */
	char *warnings; /* lines to tell the user, or NULL */
};

/* The defaults.  -ENOMEM. */
int options_init(struct options *o) NONNULL(1) MUST_USE;
void options_clear(struct options *o) NONNULL(1);

/*
 * Everything at once: the file named by dash_o or the environment, then env
 * (NULL-terminated NAME=VALUE, may be NULL), then dash_o, which is "k=v,k,…"
 * with \, for a comma in a value (NULL: none).  o is initialised.  -EINVAL
 * (or what reading the file gives, or -ENOMEM): err says what is wrong and
 * what would be right.
 */
int options_load(struct options *o, const char *dash_o, const char *const *env,
		 char err[OPTIONS_ERR_MAX]) NONNULL(1, 4) MUST_USE;

/* One option, as options_load() takes it; value NULL: the name alone. */
int options_set(struct options *o, const char *name, const char *value,
		char err[OPTIONS_ERR_MAX]) NONNULL(1, 2, 4) MUST_USE;
/* Whether it was set by something but its default. */
bool options_given(const struct options *o, const char *name) NONNULL(1, 2);
/* Whether mount_words has this one. */
bool options_has_word(const struct options *o, const char *word) NONNULL(1, 2);
/* Whether the name takes no value, so that the next word is not its own. */
bool options_is_flag(const char *name) NONNULL(1);

/* The table for --help, and as Markdown for the documents. */
void options_print(FILE *f, bool markdown) NONNULL(1);

/* Each option that may be set, in the order of the table; non-zero stops. */
typedef int options_each_fn(void *arg, const char *name, const char *def,
			    const char *good, const char *help);
int options_each(options_each_fn *fn, void *arg) NONNULL(1);

#endif
