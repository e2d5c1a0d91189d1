/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/ini.h"

#include "config_files.h"

struct entry {
	struct entry *next;
	enum config_file file;
	enum config_kind kind;
	char *section, *key, *value;
};

struct config {
	struct entry *entries; /* the last read first */
	char *path[CONFIG_NFILES]; /* NULL: there is no home */
	bool is_shared[CONFIG_NFILES];
};

/* One file as it is read. */
struct walk {
	struct config *c;
	enum config_file file;
};

/* Where a file is; NULL without a home. */
static int find_path(enum config_file file, char **ret)
{
	static const char *const vars[] = { "AWS_SHARED_CREDENTIALS_FILE",
					    "AWS_CONFIG_FILE" };
	static const char *const usual[] = { "~/.aws/credentials",
					     "~/.aws/config" };
	const char *path = cred_getenv(vars[file]);

	*ret = NULL;
	errno = 0;
	*ret = cred_path(path ? path : usual[file]);
	return *ret || errno != ENOMEM ? 0 : -ENOMEM;
}

/* "word name", "word "name""; NULL if it is another word. */
static char *name_of(const char *section, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(section, word, n) != 0 ||
	    (section[n] != ' ' && section[n] != '\t'))
		return NULL;
	section += n;
	section += strspn(section, " \t");
	n = strlen(section);
	if (n >= 2 && (*section == '"' || *section == '\'') &&
	    section[n - 1] == *section)
		return strndup(section + 1, n - 2);
	return strdup(section);
}

/* "[x]" in the credentials file; "[default]", "[profile x]" and others in the
 * config file.  NULL: none we know. */
static char *take_section(enum config_file file, const char *section,
			  enum config_kind *ret_kind)
{
	static const char *const words[] = { "profile", "sso-session",
					     "services" };
	char *name = NULL;
	int i;

	*ret_kind = CONFIG_PROFILE;
	if (file == CONFIG_CREDENTIALS || strcmp(section, "default") == 0)
		return strdup(section);
	for (i = 0; !name && i < (int)ARRAY_SIZE(words); i++) {
		name = name_of(section, words[i]);
		*ret_kind = (enum config_kind)i;
	}
	return name;
}

static void entry_free(struct entry *e)
{
	free(e->section);
	free(e->key);
	cred_wipe(e->value);
	free(e);
}

static int on_pair(void *arg, const char *section, const char *key,
		   const char *value)
{
	struct walk *w = arg;
	struct entry *e;
	enum config_kind kind;
	char *name;

	errno = 0;
	name = take_section(w->file, section, &kind);
	if (!name)
		return errno == ENOMEM ? -ENOMEM : 0;
	e = calloc(1, sizeof(*e));
	if (!e) {
		free(name);
		return -ENOMEM;
	}
	e->file = w->file;
	e->kind = kind;
	e->section = name;
	e->key = strdup(key);
	e->value = strdup(value);
	if (!e->key || !e->value) {
		entry_free(e);
		return -ENOMEM;
	}
	e->next = w->c->entries;
	w->c->entries = e;
	return 0;
}

static int read_file(struct config *c, enum config_file file,
		     char why[CRED_WHY_MAX])
{
	struct walk w = { .c = c, .file = file };
	const char *path = c->path[file];
	mode_t mode = 0;
	int r = path ? ini_read_secret(path, on_pair, &w, &mode) : 0;

	c->is_shared[file] = (mode & 077) != 0;
	/* What the file has of good lines counts; the bad one was logged. */
	if (r == 0 || r == -ENOENT || r == -ENOTDIR || r == -EBADMSG)
		return 0;
	if (r == -ENOMEM)
		return r;
	if (r == -EPERM)
		return cred_why(why,
				"%s is another user's, or everybody may write "
				"to it: chown and chmod 600 it if what it says "
				"is true",
				path);
	return cred_why(why, "%s: %s", path, strerror(-r));
}

int config_load(char why[CRED_WHY_MAX], struct config **ret)
{
	struct config *c = calloc(1, sizeof(*c));
	int i, r = c ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < CONFIG_NFILES; i++)
		r = find_path((enum config_file)i, &c->path[i]);
	for (i = 0; r == 0 && i < CONFIG_NFILES; i++)
		r = read_file(c, (enum config_file)i, why);
	if (r == 0)
		*ret = c;
	else
		config_free(c);
	return r;
}

void config_free(struct config *c)
{
	struct entry *e;
	int i;

	if (!c)
		return;
	while (c->entries) {
		e = c->entries;
		c->entries = e->next;
		entry_free(e);
	}
	for (i = 0; i < CONFIG_NFILES; i++)
		free(c->path[i]);
	free(c);
}

int config_look(struct config_mark *ret)
{
	struct stat st;
	char *path;
	int i, r;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < CONFIG_NFILES; i++) {
		r = find_path((enum config_file)i, &path);
		if (r)
			return r;
		if (path && stat(path, &st) == 0) {
			ret->file[i].dev = st.st_dev;
			ret->file[i].ino = st.st_ino;
			ret->file[i].size = st.st_size;
			ret->file[i].mtime = st.st_mtim;
			ret->file[i].ctime = st.st_ctim;
		}
		free(path);
	}
	return 0;
}

const char *config_get_of(const struct config *c, enum config_file file,
			  enum config_kind kind, const char *section,
			  const char *key)
{
	const struct entry *e;

	for (e = c->entries; e; e = e->next)
		if (e->file == file && e->kind == kind &&
		    strcmp(e->section, section) == 0 &&
		    strcasecmp(e->key, key) == 0)
			return e->value;
	return NULL;
}

const char *config_get(const struct config *c, enum config_kind kind,
		       const char *section, const char *key)
{
	const char *v =
		config_get_of(c, CONFIG_CREDENTIALS, kind, section, key);

	return v ? v : config_get_of(c, CONFIG_CONFIG, kind, section, key);
}

bool config_has(const struct config *c, enum config_kind kind,
		const char *section)
{
	const struct entry *e;

	for (e = c->entries; e; e = e->next)
		if (e->kind == kind && strcmp(e->section, section) == 0)
			return true;
	return false;
}

const char *config_path(const struct config *c, enum config_file file)
{
	return c->path[file] ? c->path[file] : "-";
}

bool config_is_shared(const struct config *c, enum config_file file)
{
	return c->is_shared[file];
}
