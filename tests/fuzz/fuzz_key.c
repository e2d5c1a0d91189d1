/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket with any keys, mounted: names shown are names a file can have, each
 * leads back to the key it came from, and each key that can be a path is shown.
 * A file of any name is published under that name, or refused.  Nothing beside
 * the prefix is asked for.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "ckptfs/host.h"

#include "../unit/fs_rig.h"
#include "fuzz.h"

#define PREFIX "run/"
#define KEYS_MAX 24
#define NAME_MOST 255

struct key {
	char *text; /* without the prefix */
	bool shown;
};

static struct key keys[KEYS_MAX];
static unsigned nkeys;
static bool has_lines; /* some key would break the log of calls */

/* ---- what should be shown */

static bool is_name(const char *p, size_t n)
{
	return n > 0 && n <= NAME_MOST && !(n == 1 && p[0] == '.') &&
	       !(n == 2 && p[0] == '.' && p[1] == '.');
}

/* A file's path, or with a '/' at its end a folder's. */
static bool is_path(const char *key)
{
	const char *p = key;

	/* Ours, or those of a mount of a part of this one. */
	if (strcmp(key, ".ckptfs") == 0)
		return false;
	while (*p) {
		size_t n = strcspn(p, "/");

		if (!is_name(p, n) || strncmp(p, ".ckptfs/", 8) == 0)
			return false;
		p += n + (p[n] == '/');
	}
	return p > key;
}

/* Something lies below it, or is the folder of its name. */
static bool is_folder_too(const char *key)
{
	size_t n = strlen(key);
	unsigned i;

	for (i = 0; i < nkeys; i++)
		if (strncmp(keys[i].text, key, n) == 0 &&
		    keys[i].text[n] == '/')
			return true;
	return false;
}

/* ---- what is shown */

struct folder {
	uint64_t ino;
	char path[META_KEY_MAX + 2]; /* "" or "a/b/" */
	char *names[KEYS_MAX + 1];
	unsigned n;
};

static int on_entry(void *arg, const char *name, const struct fs_attr *a,
		    uint64_t next)
{
	struct folder *f = arg;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	FUZZ_REQUIRE(is_name(name, strlen(name)) && !strchr(name, '/'),
		     "\"%s\"", name);
	FUZZ_REQUIRE(f->n <= KEYS_MAX, "more names than keys");
	FUZZ_REQUIRE(a->size <= INT64_MAX, "%llu",
		     (unsigned long long)a->size);
	f->names[f->n++] = strdup(name);
	return 0;
}

static void mark(const char *path, bool is_dir)
{
	struct fs_file_info info;
	char full[STORE_KEY_MAX + 8];
	struct store_obj o;
	unsigned i;

	for (i = 0; i < nkeys; i++)
		if (strcmp(keys[i].text, path) == 0)
			keys[i].shown = true;
	if (is_dir)
		return;
	(void)snprintf(full, sizeof(full), PREFIX "%s", path);
	FUZZ_REQUIRE(store_head(bucket, full, &o) == 0, "no object %s", full);
	FUZZ_REQUIRE(fs_path_info(fs, path, &info) == 0 &&
			     strcmp(info.key, full) == 0,
		     "%s leads to %s", path, info.key);
}

static void walk(uint64_t ino, const char *path)
{
	struct folder *f = calloc(1, sizeof(*f));
	struct fs_dir *d;
	unsigned i;
	int r;

	if (!f)
		abort();
	f->ino = ino;
	r = fs_opendir(fs, ino, &d);
	FUZZ_REQUIRE(r == 0, "open folder %s: %d", path, r);
	r = fs_readdir(fs, d, 0, on_entry, f);
	FUZZ_REQUIRE(r == 0, "read folder %s: %d", path, r);
	fs_closedir(fs, d);
	for (i = 0; i < f->n; i++) {
		struct fs_entry e;
		int n = snprintf(f->path, sizeof(f->path), "%s%s", path,
				 f->names[i]);

		FUZZ_REQUIRE(n < (int)sizeof(f->path) - 1, "too long");
		r = fs_lookup(fs, ino, f->names[i], &e);
		FUZZ_REQUIRE(r == 0, "lookup %s: %d", f->path, r);
		if (S_ISDIR(e.attr.mode))
			(void)strcat(f->path, "/");
		mark(f->path, S_ISDIR(e.attr.mode));
		if (S_ISDIR(e.attr.mode))
			walk(e.attr.ino, f->path);
		fs_forget(fs, e.attr.ino, 1);
		free(f->names[i]);
	}
	free(f);
}

static void require_all_shown(void)
{
	unsigned i;

	for (i = 0; i < nkeys; i++) {
		const char *k = keys[i].text;

		/* Of a file and a folder of one name the folder is shown. */
		FUZZ_REQUIRE(keys[i].shown || !is_path(k) || is_folder_too(k),
			     "\"%s\" is not shown", k);
	}
}

/* ---- the way there */

static void make(const char *name)
{
	int r;

	if (!is_name(name, strlen(name)) || strchr(name, '/') || ino_of(name))
		return;
	r = put_file(name, "mine");
	FUZZ_REQUIRE(r == 0 || r == -EILSEQ || r == -EPERM, "\"%s\": %d", name,
		     r);
	if (r < 0)
		return;
	(void)settle(700 * NS_PER_S);
	FUZZ_REQUIRE(object_of(name) && strcmp(object_of(name), "mine") == 0,
		     "\"%s\" is not in the bucket: %s", name, state_of(name));
}

static void require_prefix(void)
{
	char *log = store_fault_log(bucket), *line, *save = NULL;

	if (!log)
		abort();
	for (line = strtok_r(log, "\n", &save); line && !has_lines;
	     line = strtok_r(NULL, "\n", &save)) {
		const char *key = strchr(line, ' ');

		FUZZ_REQUIRE(key && strncmp(key + 1, PREFIX,
					    strlen(PREFIX)) == 0,
			     "%s", line);
	}
	free(log);
}

static ssize_t no_bytes(void *arg, uint64_t off, void *p, size_t n)
{
	memset(p, 0, n);
	return (ssize_t)n;
}

static void put_key(const char *text)
{
	const struct store_src src = { .read = no_bytes, .len = 0 };
	static const struct store_meta none = { .has_mode = false };
	char full[STORE_KEY_MAX + 8];
	struct store_obj o;

	if (strlen(text) + strlen(PREFIX) > STORE_KEY_MAX)
		return;
	(void)snprintf(full, sizeof(full), PREFIX "%s", text);
	if (store_put(bucket, full, &src, &none, NULL, &o) < 0)
		return;
	has_lines |= strchr(text, '\n') != NULL;
	keys[nkeys].text = strdup(text);
	keys[nkeys++].shown = false;
}

/* The keys, each with a NUL behind it; then a name to be made. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	char *text;

	nkeys = 0;
	has_lines = false;
	rig_machine(1);
	while (in.n > 0 && nkeys < KEYS_MAX) {
		const uint8_t *nul = memchr(in.p, 0, in.n);

		text = fuzz_text(&in);
		in.n -= nul ? (size_t)(nul - in.p) + 1 : in.n;
		in.p = nul ? nul + 1 : in.p;
		put_key(text);
		free(text);
	}
	FUZZ_REQUIRE(rig_open() == 0, "not mounted");
	walk(FS_ROOT_INO, "");
	require_all_shown();
	if (nkeys > 0)
		make(keys[nkeys - 1].text);
	text = fuzz_text(&in);
	has_lines |= strchr(text, '\n') != NULL;
	make(text);
	free(text);
	require_prefix();
	while (nkeys > 0)
		free(keys[--nkeys].text);
	rig_unmount();
	rig_end();
	return 0;
}
