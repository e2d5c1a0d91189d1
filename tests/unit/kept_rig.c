/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "kept_rig.h"

static char list[2048], words[512];

/* ---- what recover says */

static void on_kept(void *arg, const struct fs_kept *k, int err,
		    const char *text)
{
	size_t n = strlen(list);

	(void)arg;
	ck_assert_int_eq(err, 0);
	ck_assert_str_eq(text, "");
	(void)snprintf(list + n, sizeof(list) - n, "%s=%s%s ", k->path,
		       k->state, k->shown ? "" : "*");
}

const char *kept_in(const char *path, bool all)
{
	struct fs_recover_what what = { .path = path, .all = all };
	int r;

	(void)snprintf(list, sizeof(list), " ");
	r = fs_recover(fs, FS_RECOVER_LIST, &what, on_kept, NULL);
	ck_assert(r == 0 || r == -ENOENT);
	return list;
}

const char *kept(void)
{
	return kept_in("", false);
}

struct pick {
	const char *path;
	unsigned n;
	char id[32], why[256], then[128], where[64];
	bool found;
};

static void on_pick(void *arg, const struct fs_kept *k, int err,
		    const char *text)
{
	struct pick *p = arg;

	(void)err;
	(void)text;
	if (strcmp(k->path, p->path) != 0 || p->n-- != 0)
		return;
	(void)snprintf(p->id, sizeof(p->id), "%s", k->id);
	(void)snprintf(p->why, sizeof(p->why), "%s", k->why);
	(void)snprintf(p->then, sizeof(p->then), "%s", k->then);
	(void)snprintf(p->where, sizeof(p->where), "%s", k->where);
	p->found = true;
}

static struct pick *pick(const char *path, unsigned n)
{
	static struct pick p;
	struct fs_recover_what what = { .path = path, .all = true };

	p = (struct pick){ .path = path, .n = n };
	(void)!fs_recover(fs, FS_RECOVER_LIST, &what, on_pick, &p);
	return &p;
}

const char *why_of(const char *path)
{
	struct pick *p = pick(path, 0);

	return p->found ? p->why : NULL;
}

const char *then_of(const char *path)
{
	return pick(path, 0)->then;
}

const char *where_of(const char *path)
{
	return pick(path, 0)->where;
}

const char *id_of(const char *path, unsigned n)
{
	struct pick *p = pick(path, n);

	ck_assert_msg(p->found, "%s has no kept version %u", path, n);
	return p->id;
}

static void on_done(void *arg, const struct fs_kept *k, int err,
		    const char *text)
{
	int *ret = arg;

	(void)k;
	if (*ret == 0)
		*ret = err;
	(void)snprintf(words, sizeof(words), "%s", text);
}

static int do_it(enum fs_recover what, const struct fs_recover_what *which)
{
	int err = 0, r = fs_recover(fs, what, which, on_done, &err);

	return r < 0 ? r : err;
}

int act(enum fs_recover what, const char *path)
{
	struct fs_recover_what which = { .path = path };

	return do_it(what, &which);
}

int act_id(enum fs_recover what, const char *id)
{
	struct fs_recover_what which = { .path = "", .id = id };

	return do_it(what, &which);
}

const char *said(void)
{
	return words;
}

/* ---- files in each state */

void rewrite(const char *name, const char *text)
{
	struct file f;

	ck_assert_int_eq(f_open(&f, name, O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

void tear(const char *name, const char *text)
{
	ck_assert_int_eq(strncmp(text, "PK\003\004", 4), 0);
	if (ino_of(name))
		rewrite(name, text);
	else
		ck_assert_int_eq(put_file(name, text), 0);
	ck_assert_str_eq(state_of(name), "torn");
}

void leave_unfinished(const char *name, const char *text, bool anew)
{
	struct file f;

	if (anew)
		ck_assert_int_eq(f_create(&f, name, O_WRONLY), 0);
	else
		ck_assert_int_eq(f_open(&f, name, O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	(void)sim_run_for(sim, 2 * NS_PER_S);
	rig_die();
	if (f.ext >= 0)
		simdisk_external_close(disk, f.ext);
	ck_assert_int_eq(rig_open(), 0);
}

void refuse(const char *key)
{
	struct store_fault no = { .method = "put",
				  .key = key,
				  .err = -EACCES,
				  .act = STORE_FAULT_BEFORE };

	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
}

void take_all(void)
{
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
}

static ssize_t read_text(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const char *)arg + off, n);
	return (ssize_t)n;
}

void foreign(const char *key, const char *text)
{
	char full[1024], copy[256];
	struct store_src src = { .read = read_text,
				 .arg = copy,
				 .len = strlen(text) };
	struct store_meta m = { .has_mtime = false };
	struct store_obj o;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	(void)snprintf(full, sizeof(full), "%s%s", rig_opts.prefix, key);
	ck_assert_int_eq(store_put(bucket, full, &src, &m, NULL, &o), 0);
}
