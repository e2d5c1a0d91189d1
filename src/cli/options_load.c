/* SPDX-License-Identifier: Apache-2.0 */
/* Where options come from, and which of them wins. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/ini.h"
#include "ckptfs/options.h"
#include "ckptfs/text.h"

#include "options_table.h"

#define TEXT_MAX (64U << 10)
#define NAME_MOST 64
#define ENV_PREFIX "CKPTFS_"

/* Of mount(8): what the kernel is told, what only fstab's readers mean. */
static const char *const kernel_words[] = {
	"noatime", "nodiratime", "nosuid", "nodev",
	"noexec",  "suid",	 "dev",	   "exec",
};
static const char *const silent_words[] = {
	"defaults",	 "auto",
	"noauto",	 "nofail",
	"user",		 "nouser",
	"users",	 "owner",
	"group",	 "_netdev",
	"relatime",	 "async",
	"atime",	 "rw",
	"diratime",	 "norelatime",
	"nostrictatime", "default_permissions",
	"silent",	 "loud",
	"nomand",	 "noiversion",
	"nolazytime",
};

static bool among(const char *s, const char *const *names, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(s, names[i]) == 0)
			return true;
	return false;
}

static int add_line(char **all, const char *sep, const char *fmt_a,
		    const char *b)
{
	struct buf t = BUF_INIT(TEXT_MAX);
	int r = buf_addf(&t, "%s%s%s%s", *all ? *all : "",
			 *all && **all ? sep : "", fmt_a, b);

	if (r < 0)
		return r;
	free(*all);
	*all = buf_take(&t, NULL);
	return *all ? 0 : -ENOMEM;
}

int option_mount_word(struct options *o, const char *name, const char *value,
		      char *err)
{
	if (strcmp(name, "remount") == 0) {
		(void)snprintf(err, OPTIONS_ERR_MAX,
			       "remount is not built yet: unmount and mount "
			       "again");
		return -EINVAL;
	}
	if (strncmp(name, "x-", 2) == 0 || strcmp(name, "comment") == 0 ||
	    strncmp(name, "X-", 2) == 0)
		return 0;
	/* user=NAME is what mount(8) makes of user. */
	if (value)
		return strcmp(name, "user") == 0 ? 0 : -ENOENT;
	/* fusermount3 does not know it. */
	if (strcmp(name, "nodiratime") == 0 && geteuid() != 0)
		return 0;
	if (strcmp(name, "rw") == 0)
		o->ro = false;
	if (among(name, silent_words, ARRAY_SIZE(silent_words)))
		return 0;
	if (!among(name, kernel_words, ARRAY_SIZE(kernel_words)))
		return -ENOENT;
	return add_line(&o->mount_words, ",", name, "");
}

bool options_has_word(const struct options *o, const char *word)
{
	const char *at = o->mount_words;
	size_t n = strlen(word);

	while (*at) {
		size_t k = strcspn(at, ",");

		if (k == n && memcmp(at, word, n) == 0)
			return true;
		at += k + (at[k] == ',');
	}
	return false;
}

static int unknown(const char *name, char *err)
{
	const char *names[128];
	size_t i, n = 0;
	const char *near;

	for (i = 0; i < option_count; i++)
		if (option_table[i].type != OPTION_LATER)
			names[n++] = option_table[i].name;
	near = text_nearest(name, names, n);
	(void)snprintf(err, OPTIONS_ERR_MAX,
		       near ? "there is no option %.100s; did you mean %s?"
			    : "there is no option %.100s%s",
		       name, near ? near : "; ckptfs mount --help lists them");
	return -EINVAL;
}

int options_set(struct options *o, const char *name, const char *value,
		char err[OPTIONS_ERR_MAX])
{
	const struct option_row *row = option_find(name);
	int r;

	if (row) {
		r = option_parse(o, row, value, err);
		if (r == 0)
			o->given[row - option_table] = true;
		return r;
	}
	/* As others call it: the opposite has no name there. */
	if (!value && (strcmp(name, "force_path_style") == 0 ||
		       strcmp(name, "force-path-style") == 0))
		return options_set(o, "addressing_style", "path", err);
	r = option_mount_word(o, name, value, err);
	return r == -ENOENT ? unknown(name, err) : r;
}

bool options_given(const struct options *o, const char *name)
{
	const struct option_row *row = option_find(name);

	return row && o->given[row - option_table];
}

bool options_is_flag(const char *name)
{
	const struct option_row *row = option_find(name);

	return row && row->type == OPTION_BOOL;
}

int options_init(struct options *o)
{
	char err[OPTIONS_ERR_MAX];
	size_t i;
	int r = 0;

	memset(o, 0, sizeof(*o));
	o->uid = getuid();
	o->gid = getgid();
	o->mount_words = strdup("");
	if (!o->mount_words)
		return -ENOMEM;
	for (i = 0; r == 0 && i < option_count; i++)
		if (option_table[i].def)
			r = option_parse(o, &option_table[i],
					 option_table[i].def, err);
	return r;
}

void options_clear(struct options *o)
{
	size_t i;

	for (i = 0; i < option_count; i++)
		if (option_table[i].type == OPTION_STRING ||
		    option_table[i].type == OPTION_WORD)
			free(*(char **)((char *)o + option_table[i].offset));
	free(o->mount_words);
	free(o->warnings);
	memset(o, 0, sizeof(*o));
}

/* Cut the next "k=v" off *rest, undoing \, and \\ in place. */
static char *next_word(char **rest)
{
	char *start = *rest, *from, *to;

	if (!start)
		return NULL;
	for (from = to = start; *from && *from != ','; from++) {
		if (*from == '\\' && (from[1] == ',' || from[1] == '\\'))
			from++;
		*to++ = *from;
	}
	*rest = *from ? from + 1 : NULL;
	*to = '\0';
	return start;
}

/* The words of dash_o; only: NULL for all, else just that name's. */
static int load_words(struct options *o, const char *dash_o, const char *only,
		      char *err)
{
	char *copy = strdup(dash_o), *rest = copy, *word, *value;
	const struct option_row *row;
	int r = copy ? 0 : -ENOMEM;

	while (r == 0 && (word = next_word(&rest))) {
		if (*word == '\0')
			continue;
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		row = option_find(word);
		if (only && (!row || strcmp(row->name, only) != 0))
			continue;
		r = options_set(o, word, value, err);
	}
	free(copy);
	return r;
}

/* Names of ours in the environment that are no options. */
static bool is_reserved(const char *name)
{
	return strcmp(name, "tools") == 0;
}

static int load_env(struct options *o, const char *const *env, const char *only,
		    char *err)
{
	char name[NAME_MOST], inner[OPTIONS_ERR_MAX];
	const struct option_row *row;
	const char *eq;
	size_t i, n;
	int r = 0;

	for (; r == 0 && env && *env; env++) {
		eq = strchr(*env, '=');
		if (!eq || strncmp(*env, ENV_PREFIX, strlen(ENV_PREFIX)) != 0)
			continue;
		n = (size_t)(eq - *env) - strlen(ENV_PREFIX);
		if (n == 0 || n >= sizeof(name))
			continue;
		for (i = 0; i < n; i++)
			name[i] = (char)tolower(
				(unsigned char)(*env)[strlen(ENV_PREFIX) + i]);
		name[n] = '\0';
		row = option_find(name);
		if (is_reserved(name) ||
		    (only && (!row || strcmp(row->name, only) != 0)))
			continue;
		if (!row) {
			(void)unknown(name, inner);
			r = add_line(&o->warnings, "\n",
				     "in the environment (CKPTFS_…): ", inner);
			continue;
		}
		r = options_set(o, name, eq + 1, inner);
		if (r < 0)
			(void)snprintf(err, OPTIONS_ERR_MAX,
				       "in the environment (CKPTFS_…): %.400s",
				       inner);
	}
	return r;
}

struct file_arg {
	struct options *o;
	char *err;
};

static int file_pair(void *arg, const char *section, const char *key,
		     const char *value)
{
	struct file_arg *f = arg;

	if (*section && strcmp(section, "mount") != 0) {
		(void)snprintf(f->err, OPTIONS_ERR_MAX,
			       "the only section may be [mount], not [%.100s]",
			       section);
		return -EINVAL;
	}
	if (strcmp(key, "config_file") == 0) {
		(void)snprintf(f->err, OPTIONS_ERR_MAX,
			       "config_file cannot name another one");
		return -EINVAL;
	}
	return options_set(f->o, key, *value ? value : NULL, f->err);
}

static int load_file(struct options *o, char *err)
{
	char inner[OPTIONS_ERR_MAX] = "";
	struct file_arg f = { .o = o, .err = inner };
	int r = ini_read(o->config_file, file_pair, &f);

	if (r == -EBADMSG) {
		(void)snprintf(inner, sizeof(inner),
			       "lines must be name = value");
		r = -EINVAL;
	}
	if (r < 0)
		(void)snprintf(err, OPTIONS_ERR_MAX,
			       "in the configuration file %.200s: %.250s",
			       o->config_file, inner[0] ? inner : strerror(-r));
	return r;
}

int options_load(struct options *o, const char *dash_o, const char *const *env,
		 char err[OPTIONS_ERR_MAX])
{
	int r;

	(void)snprintf(err, OPTIONS_ERR_MAX, "out of memory");
	/* First only which file. */
	r = load_env(o, env, "config_file", err);
	if (r == 0 && dash_o)
		r = load_words(o, dash_o, "config_file", err);
	if (r == 0 && o->config_file)
		r = load_file(o, err);
	if (r == 0)
		r = load_env(o, env, NULL, err);
	if (r == 0 && dash_o)
		r = load_words(o, dash_o, NULL, err);
	if (r < 0)
		return r;
	if (!options_given(o, "file_mode"))
		o->file_mode = 0666 & ~o->umask;
	if (!options_given(o, "dir_mode"))
		o->dir_mode = 0777 & ~o->umask;
	return 0;
}
