/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/ini.h"
#include "ckptfs/options.h"
#include "ckptfs/text.h"

enum type { T_BOOL, T_SIZE, T_TIME, T_INT, T_OCTAL, T_STRING, T_ENUM };

struct option_row {
	const char *name;
	enum type type;
	size_t at; /* in struct options */
	size_t set_at; /* a bool that says it was given; 0: none */
	const char *def; /* as a user would write it; NULL: nothing */
	const char *values; /* of an enum, "a|b|c", in order of its numbers */
	uint64_t min, max; /* of an int or size; 0 0: any */
	const char *help;
};

#define AT(f) offsetof(struct options, f)

static const struct option_row rows[] = {
	{ "cache_dir", T_STRING, AT(cache_dir), 0, NULL, NULL, 0, 0,
	  "folder for unpublished and cached data (/var/lib/ckptfs for root, "
	  "else $XDG_STATE_HOME/ckptfs)" },
	{ "cache_size", T_SIZE, AT(cache_size), 0, "0", NULL, 0, 0,
	  "how much is kept locally; 0: 80 % of what is free" },
	{ "cache_min_free", T_SIZE, AT(cache_min_free), 0, "0", NULL, 0, 0,
	  "free disk space that is left to others; 0: the larger of 5 % and "
	  "2 GiB" },
	{ "volatile_cache", T_ENUM, AT(volatile_cache), 0, "refuse",
	  "refuse|ok", 0, 0,
	  "whether the cache may lie where a power cut or another host loses "
	  "it" },
	{ "endpoint_url", T_STRING, AT(endpoint_url), 0, NULL, NULL, 0, 0,
	  "address of an S3-compatible server" },
	{ "region", T_STRING, AT(region), 0, NULL, NULL, 0, 0,
	  "region of the bucket" },
	{ "profile", T_STRING, AT(profile), 0, NULL, NULL, 0, 0,
	  "profile in the shared credentials and config files" },
	{ "anonymous", T_BOOL, AT(anonymous), 0, "off", NULL, 0, 0,
	  "send no credentials" },
	{ "addressing_style", T_ENUM, AT(addressing), 0, "auto",
	  "auto|path|virtual", 0, 0, "where the bucket's name goes in a URL" },
	{ "payload", T_ENUM, AT(payload), 0, "auto", "auto|signed", 0, 0,
	  "whether bodies are signed over https and to this host, too" },
	{ "fsync", T_ENUM, AT(fsync), 0, "local", "local|remote", 0, 0,
	  "what fsync waits for" },
	{ "close", T_ENUM, AT(close), 0, "async", "async|local|remote", 0, 0,
	  "what close waits for" },
	{ "remote_timeout", T_TIME, AT(remote_timeout), 0, "0", NULL, 0, 0,
	  "how long fsync=remote and close=remote wait; 0: for ever" },
	{ "full", T_ENUM, AT(full), 0, "wait", "wait|enospc", 0, 0,
	  "what writers get when the cache is full of unpublished data" },
	{ "passthrough", T_ENUM, AT(passthrough), 0, "auto", "auto|on|off", 0,
	  0, "let the kernel write straight into the cache" },
	{ "order", T_ENUM, AT(order), 0, "strict", "strict|open|none", 0, 0,
	  "in what order things become visible in the bucket" },
	{ "conflict", T_ENUM, AT(conflict), 0, "keep", "keep|overwrite", 0, 0,
	  "when another writer changed an object we are about to replace" },
	{ "upload_delay", T_TIME, AT(upload_delay), 0, "1s", NULL, 0, 0,
	  "from the first close of a file to its upload" },
	{ "upload_interval", T_TIME, AT(upload_interval), 0, "30s", NULL, 0, 0,
	  "least time between uploads of a log" },
	{ "upload_max_delay", T_TIME, AT(upload_max_delay), 0, "10m", NULL, 0,
	  0, "how long a temporary name keeps a file local" },
	{ "held_open_delay", T_TIME, AT(held_open_delay), 0, "10s", NULL, 0, 0,
	  "how long a closed file that some process still holds must rest" },
	{ "part_size", T_SIZE, AT(part_size), 0, "0", NULL, 0, 0,
	  "size of the parts of an upload; 0: from 8M, growing" },
	{ "max_uploads", T_INT, AT(max_uploads), 0, "8", NULL, 1, 64,
	  "uploads at the same time" },
	{ "max_downloads", T_INT, AT(max_downloads), 0, "16", NULL, 1, 64,
	  "downloads at the same time" },
	{ "upload_limit", T_SIZE, AT(upload_limit), 0, "0", NULL, 0, 0,
	  "bytes per second, all uploads together; 0: none" },
	{ "download_limit", T_SIZE, AT(download_limit), 0, "0", NULL, 0, 0,
	  "bytes per second, all downloads together; 0: none" },
	{ "metadata_ttl", T_TIME, AT(metadata_ttl), 0, "10s", NULL, 0, 0,
	  "how long a listing of the bucket is believed" },
	{ "negative_ttl", T_TIME, AT(negative_ttl), 0, "1s", NULL, 0, 0,
	  "how long the kernel believes that a name is not there" },
	{ "drain_timeout", T_TIME, AT(drain_timeout), 0, "25s", NULL, 0, 0,
	  "how long SIGTERM waits for what is queued" },
	{ "uid", T_INT, AT(uid), AT(uid_set), NULL, NULL, 0, 0,
	  "owner of files made by others" },
	{ "gid", T_INT, AT(gid), AT(gid_set), NULL, NULL, 0, 0,
	  "group of files made by others" },
	{ "umask", T_OCTAL, AT(umask), 0, "022", NULL, 0, 0777,
	  "bits taken from the modes of files made by others" },
	{ "file_mode", T_OCTAL, AT(file_mode), AT(file_mode_set), NULL, NULL, 0,
	  0777, "mode of files made by others (0666 & ~umask)" },
	{ "dir_mode", T_OCTAL, AT(dir_mode), AT(dir_mode_set), NULL, NULL, 0,
	  0777, "mode of folders made by others (0777 & ~umask)" },
	{ "allow_other", T_BOOL, AT(allow_other), 0, "off", NULL, 0, 0,
	  "let other users in" },
	{ "ro", T_BOOL, AT(ro), 0, "off", NULL, 0, 0, "no changes" },
	{ "log_file", T_STRING, AT(log_file), 0, NULL, NULL, 0, 0,
	  "log there instead of to syslog (stderr with -f)" },
	{ "log_level", T_ENUM, AT(log_level), 0, "info", "err|warn|info|debug",
	  0, 0, "how much is logged" },
	{ "log_format", T_ENUM, AT(log_format), 0, "text", "text|json", 0, 0,
	  "form of the log" },
	{ "config_file", T_STRING, AT(config_file), 0, NULL, NULL, 0, 0,
	  "file of further options, one 'name = value' a line" },
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

/* Known from the design, not built: refused, never ignored. */
static const char *const not_yet[] = {
	"defer",	 "dir_markers", "exact_meta", "live",  "sync",
	"trust_owner", "unordered",	 "abort_after", "metrics", "nocto",
};

/* Words of mount(8) and fstab that mean nothing here. */
static const char *const ignored[] = {
	"rw",	   "defaults", "auto", "noauto",   "nofail", "_netdev",
	"user",	   "users",    "dev",  "nodev",	   "suid",   "nosuid",
	"exec",	   "noexec",   "atime", "noatime", "relatime", "nodiratime",
	"norelatime", "async", "nouser", "owner",  "group",  "lazytime",
};

static bool listed(const char *const *all, size_t n, const char *s)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(all[i], s) == 0)
			return true;
	return false;
}

static const struct option_row *find(const char *name)
{
	size_t i;

	for (i = 0; i < NROWS; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static int unknown(const char *name, char err[OPTIONS_ERR_MAX])
{
	const char *names[NROWS], *near;
	size_t i;

	if (listed(not_yet, sizeof(not_yet) / sizeof(*not_yet), name)) {
		(void)snprintf(err, OPTIONS_ERR_MAX,
			       "option %s is not built yet", name);
		return -EINVAL;
	}
	for (i = 0; i < NROWS; i++)
		names[i] = rows[i].name;
	near = text_nearest(name, names, NROWS);
	(void)snprintf(err, OPTIONS_ERR_MAX,
		       "unknown option %s%s%s%s; 'ckptfs mount --help' lists "
		       "them",
		       name, near ? " (did you mean " : "", near ? near : "",
		       near ? "?)" : "");
	return -EINVAL;
}

static int bad(const struct option_row *row, const char *value,
	       const char *good, char err[OPTIONS_ERR_MAX])
{
	(void)snprintf(err, OPTIONS_ERR_MAX, "%s=%s: expected %s", row->name,
		       value, good);
	return -EINVAL;
}

static int set_enum(const struct option_row *row, int *to, const char *value,
		    char err[OPTIONS_ERR_MAX])
{
	const char *p = row->values;
	char good[128];
	int i;

	for (i = 0;; i++) {
		size_t n = strcspn(p, "|");

		if (strlen(value) == n && strncmp(p, value, n) == 0) {
			*to = i;
			return 0;
		}
		if (!p[n])
			break;
		p += n + 1;
	}
	(void)snprintf(good, sizeof(good), "one of %s", row->values);
	return bad(row, value, good, err);
}

static int set_bool(const struct option_row *row, bool *to, const char *value,
		    char err[OPTIONS_ERR_MAX])
{
	static const char *const yes[] = { "", "on", "yes", "true", "1" };
	static const char *const no[] = { "off", "no", "false", "0" };

	if (listed(yes, 5, value))
		*to = true;
	else if (listed(no, 4, value))
		*to = false;
	else
		return bad(row, value, "on or off", err);
	return 0;
}

static int set_octal(const struct option_row *row, uint64_t *to,
		     const char *value, char err[OPTIONS_ERR_MAX])
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(value, &end, 8);
	if (errno || *end || end == value || v > row->max)
		return bad(row, value, "an octal mode such as 0644", err);
	*to = v;
	return 0;
}

static int set_value(struct options *o, const struct option_row *row,
		     const char *value, char err[OPTIONS_ERR_MAX])
{
	char *at = (char *)o + row->at, good[96];
	uint64_t n;
	char *s;

	switch (row->type) {
	case T_BOOL:
		return set_bool(row, (bool *)(void *)at, value, err);
	case T_ENUM:
		return set_enum(row, (int *)(void *)at, value, err);
	case T_OCTAL:
		return set_octal(row, (uint64_t *)(void *)at, value, err);
	case T_SIZE:
		if (text_parse_size(value, (uint64_t *)(void *)at) < 0)
			return bad(row, value, "a size such as 200G or 512M",
				   err);
		return 0;
	case T_TIME:
		if (text_parse_duration(value, (int64_t *)(void *)at) < 0)
			return bad(row, value,
				   "a time such as 500ms, 30s, 10m or 2h", err);
		return 0;
	case T_INT:
		if (text_parse_u64(value, &n) < 0 ||
		    (row->max && (n < row->min || n > row->max))) {
			(void)snprintf(good, sizeof(good),
				       row->max ? "a number from %llu to %llu" :
						  "a number",
				       (unsigned long long)row->min,
				       (unsigned long long)row->max);
			return bad(row, value, good, err);
		}
		*(uint64_t *)(void *)at = n;
		return 0;
	case T_STRING:
		if (!*value)
			return bad(row, value, "a value", err);
		s = strdup(value);
		if (!s)
			return -ENOMEM;
		free(*(char **)(void *)at);
		*(char **)(void *)at = s;
		return 0;
	}
	return -EINVAL;
}

int options_set(struct options *o, const char *name, const char *value,
		char err[OPTIONS_ERR_MAX])
{
	const struct option_row *row = find(name);
	int r;

	err[0] = '\0';
	if (!row) {
		if (listed(ignored, sizeof(ignored) / sizeof(*ignored), name) ||
		    strncmp(name, "x-", 2) == 0 ||
		    strncmp(name, "comment", 7) == 0) {
			if (strcmp(name, "rw") == 0)
				o->ro = false;
			return 0;
		}
		return unknown(name, err);
	}
	if (!value && row->type != T_BOOL) {
		(void)snprintf(err, OPTIONS_ERR_MAX,
			       "option %s needs a value: %s=…", name, name);
		return -EINVAL;
	}
	r = set_value(o, row, value ? value : "", err);
	if (r == 0 && row->set_at)
		*(bool *)(void *)((char *)o + row->set_at) = true;
	return r;
}

int options_init(struct options *o)
{
	char err[OPTIONS_ERR_MAX];
	size_t i;
	int r = 0;

	memset(o, 0, sizeof(*o));
	for (i = 0; r == 0 && i < NROWS; i++)
		if (rows[i].def)
			r = set_value(o, &rows[i], rows[i].def, err);
	return r;
}

void options_clear(struct options *o)
{
	size_t i;

	for (i = 0; i < NROWS; i++)
		if (rows[i].type == T_STRING)
			free(*(char **)(void *)((char *)o + rows[i].at));
	memset(o, 0, sizeof(*o));
}

int options_list(struct options *o, const char *list, char err[OPTIONS_ERR_MAX])
{
	char *copy = strdup(list), *p = copy, *next, *value;
	int r = copy ? 0 : -ENOMEM;

	err[0] = '\0';
	for (; r == 0 && p && *p; p = next) {
		next = strchr(p, ',');
		if (next)
			*next++ = '\0';
		value = strchr(p, '=');
		if (value)
			*value++ = '\0';
		if (*p)
			r = options_set(o, p, value, err);
	}
	free(copy);
	return r;
}

int options_env(struct options *o, char err[OPTIONS_ERR_MAX])
{
	char name[64];
	const char *value;
	size_t i, k;
	int r = 0;

	err[0] = '\0';
	for (i = 0; r == 0 && i < NROWS; i++) {
		(void)snprintf(name, sizeof(name), "CKPTFS_%s", rows[i].name);
		for (k = 0; name[k]; k++)
			name[k] = (char)toupper((unsigned char)name[k]);
		value = getenv(name);
		if (value)
			r = options_set(o, rows[i].name, value, err);
	}
	return r;
}

struct file_arg {
	struct options *o;
	char *err;
};

static int from_file(void *arg, const char *section, const char *key,
		     const char *value)
{
	struct file_arg *a = arg;

	(void)section;
	return options_set(a->o, key, value, a->err);
}

int options_file(struct options *o, const char *path, char err[OPTIONS_ERR_MAX])
{
	struct file_arg a = { .o = o, .err = err };
	int r;

	err[0] = '\0';
	r = ini_read(path, from_file, &a);
	if (r < 0 && !err[0])
		(void)snprintf(err, OPTIONS_ERR_MAX, "config_file %s: %s", path,
			       strerror(-r));
	return r;
}

void options_help(FILE *f)
{
	static const char *const kinds[] = {
		[T_BOOL] = "",	     [T_SIZE] = "SIZE", [T_TIME] = "TIME",
		[T_INT] = "NUMBER",  [T_OCTAL] = "MODE", [T_STRING] = "TEXT",
	};
	size_t i;

	for (i = 0; i < NROWS; i++) {
		const struct option_row *r = &rows[i];
		const char *kind = r->type == T_ENUM ? r->values :
						       kinds[r->type];

		fprintf(f, "  %s%s%s\n      %s", r->name, *kind ? "=" : "",
			kind, r->help);
		if (r->def && strcmp(r->def, "0") != 0)
			fprintf(f, " [%s]", r->def);
		fputc('\n', f);
	}
	fputs("SIZE: bytes, or with K, M, G, T (powers of 1024).  TIME: ms, s, "
	      "m, h.\nEvery option can be given as CKPTFS_NAME in the "
	      "environment, too.\n",
	      f);
}
