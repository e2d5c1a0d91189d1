/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fixture_rig.h"
#include "harness.h"
#include "kept_rig.h"

#define FIRST 100 /* an etag that no probe has taken */

/* ---- between the simulated disk and a real folder */

struct copy {
	const char *top; /* the real folder */
	char path[512]; /* below both */
};

static void save_file(const struct copy *c)
{
	char to[1024], buf[65536];
	int fd = disk_open(disk, c->path, O_RDONLY, 0);
	uint64_t off = 0;
	ssize_t n;
	FILE *f;

	(void)snprintf(to, sizeof(to), "%s/%s", c->top, c->path);
	f = fopen(to, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fd, 0);
	while ((n = disk_pread(disk, fd, buf, sizeof(buf), off)) > 0) {
		ck_assert_uint_eq(fwrite(buf, 1, (size_t)n, f), (size_t)n);
		off += (uint64_t)n;
	}
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(fclose(f), 0);
	disk_close(disk, fd);
}

static int save_one(void *arg, const char *name, bool is_dir)
{
	struct copy *c = arg;
	size_t n = strlen(c->path);
	char to[1024];

	if (strcmp(name, "ballast") == 0)
		return 0;
	(void)snprintf(c->path + n, sizeof(c->path) - n, "%s%s", n ? "/" : "",
		       name);
	(void)snprintf(to, sizeof(to), "%s/%s", c->top, c->path);
	if (!is_dir)
		save_file(c);
	else if (mkdir(to, 0755) == 0 || errno == EEXIST)
		ck_assert_int_eq(disk_list(disk, c->path, save_one, c), 0);
	c->path[n] = '\0';
	return 0;
}

static void load_file(struct disk *real, const char *path)
{
	int from = disk_open(real, path, O_RDONLY, 0), to;
	char buf[65536];
	uint64_t off = 0;
	ssize_t n;

	ck_assert_int_ge(from, 0);
	to = disk_open(disk, path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(to, 0);
	while ((n = disk_pread(real, from, buf, sizeof(buf), off)) > 0) {
		ck_assert_int_eq(disk_pwrite(disk, to, buf, (size_t)n, off), 0);
		off += (uint64_t)n;
	}
	ck_assert_int_eq(n, 0);
	disk_close(disk, to);
	disk_close(real, from);
}

struct load {
	struct disk *real;
	char path[512];
};

static int load_one(void *arg, const char *name, bool is_dir)
{
	struct load *l = arg;
	size_t n = strlen(l->path);

	(void)snprintf(l->path + n, sizeof(l->path) - n, "%s%s", n ? "/" : "",
		       name);
	if (is_dir) {
		ck_assert_int_eq(disk_mkdir(disk, l->path, 0700), 0);
		ck_assert_int_eq(disk_list(l->real, l->path, load_one, l), 0);
	} else {
		load_file(l->real, l->path);
	}
	l->path[n] = '\0';
	return 0;
}

/* ---- making one */

static void broken(void)
{
	static const struct store_fault all[] = {
		{ .method = "put", .err = -EAGAIN, .act = STORE_FAULT_BEFORE },
		{ .method = "copy", .err = -EAGAIN, .act = STORE_FAULT_BEFORE },
		{ .method = "del", .err = -EAGAIN, .act = STORE_FAULT_BEFORE },
		{ .method = "mpu_part",
		  .skip = 2,
		  .err = -EAGAIN,
		  .act = STORE_FAULT_BEFORE },
	};

	ck_assert_int_eq(store_fault_set(bucket, all, ARRAY_SIZE(all)), 0);
}

static void put_in(const char *dir, const char *name, const char *text)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;
	struct file f;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, dir, 0755, &e), 0);
	ck_assert_int_eq(f_create_in(&f, e.attr.ino, name, O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

/* What the bucket has when the network goes. */
static void make_published(void)
{
	const struct fs_bulk how = { .deadline_mono_ns =
					     sim_now(sim) + 900 * NS_PER_S };
	struct fs_bulk_sums s;

	publish("pub", "pub");
	publish("pub2", "old");
	publish("evicted", "gone");
	publish("from", "moved");
	publish("deleted", "x");
	publish("conf", "first");
	run(3);
	ck_assert_int_eq(fs_evict(fs, "evicted", &how, &s), 0);
	foreign("conf", "theirs");
	rewrite("conf", "ours");
	run(60);
	ck_assert_str_eq(state_of("conf"), "conflict");
	refuse("p/parked");
	put_in("p", "parked", "parked");
	run(60);
	ck_assert_str_eq(state_of("p/parked"), "parked");
}

static void make_pending(void)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	broken();
	ck_assert_int_eq(put_file("new", "new"), 0);
	rewrite("pub2", "new one");
	ck_assert_int_eq(rename_to("from", "to"), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "deleted"), 0);
	ck_assert_int_eq(put_file("big", FIXTURE_BIG), 0);
	ck_assert_int_eq(put_file("x.tmp", "held"), 0);
	tear("torn.pt", FIXTURE_TORN);
	ck_assert_int_eq(fs_symlink(fs, &ctx, "pub", FS_ROOT_INO, "link", &e),
			 0);
	put_in("dir", "in", "in");
	run(60);
}

/* The last: the mount takes nothing new after it. */
static void make_poisoned(void)
{
	struct file f;

	ck_assert_int_eq(f_create(&f, "poisoned", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "poison", 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	simdisk_fail(disk, SIM_FDATASYNC, 1, -EIO, false);
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), -EIO);
	simdisk_heal(disk);
	f_release(&f);
	ck_assert_str_eq(state_of("poisoned"), "poisoned");
	run(10);
}

void fixture_make(const char *dir)
{
	struct copy c = { .top = dir };
	struct file open;
	unsigned i;

	rig_machine(1);
	rig_opts.transfer.part_size = 8;
	for (i = 0; i < FIRST; i++)
		foreign("zero", "");
	ck_assert_int_eq(store_del(bucket, "run/zero", NULL), 0);
	ck_assert_int_eq(rig_open(), 0);
	make_published();
	make_pending();
	ck_assert_int_eq(f_create(&open, "unfinished", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&open, "half", 0), 0);
	run(3);
	make_poisoned();
	rig_die();
	ck_assert_int_eq(disk_list(disk, "", save_one, &c), 0);
}

/* ---- loading one */

/* The bucket has these, as it had them when the fixture was made. */
static const struct object {
	const char *key, *text;
} objects[] = {
	{ "pub", "pub" },     { "pub2", "old" },  { "evicted", "gone" },
	{ "from", "moved" },  { "deleted", "x" }, { "conf", "theirs" },
};

static const char *text_in_bucket(const char *key)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(objects); i++)
		if (strcmp(objects[i].key, key) == 0)
			return objects[i].text;
	return NULL;
}

struct wanted {
	char key[128], etag[64];
};

struct all_wanted {
	struct wanted w[16];
	size_t n;
};

static int want(void *arg, const struct meta_object *o)
{
	struct all_wanted *all = arg;
	struct wanted *w = &all->w[all->n++];
	const char *key = strchr(o->key, '/') + 1;

	ck_assert_uint_le(all->n, ARRAY_SIZE(all->w));
	ck_assert_uint_lt(strlen(key), sizeof(w->key));
	ck_assert_uint_lt(strlen(o->etag), sizeof(w->etag));
	memcpy(w->key, key, strlen(key) + 1);
	memcpy(w->etag, o->etag, strlen(o->etag) + 1);
	return 0;
}

static int by_etag(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return strcmp(x->etag, y->etag);
}

/* Etags are numbers that grow: put it until it has its own. */
static void put_as(const struct wanted *w)
{
	const char *text = text_in_bucket(w->key);
	struct store_obj o;
	int r;

	do {
		foreign(w->key, text ? text : "");
		r = object_head(w->key, &o);
		ck_assert_int_eq(r, 0);
	} while (strcmp(o.etag, w->etag) < 0);
	ck_assert_str_eq(o.etag, w->etag);
}

static void fill_bucket(void)
{
	const struct meta_opts mo = { .source = "mem://" };
	struct all_wanted all = { .n = 0 };
	size_t i;

	ck_assert_int_eq(meta_open(sim_host(sim), &mo, &meta, &rig_report), 0);
	ck_assert_int_eq(meta_begin(meta), 0);
	ck_assert_int_eq(meta_object_each(meta, "", want, &all), 0);
	meta_end(meta);
	meta_close(meta);
	meta = NULL;
	qsort(all.w, all.n, sizeof(all.w[0]), by_etag);
	for (i = 0; i < all.n; i++)
		put_as(&all.w[i]);
	foreign("conf", "theirs");
}

void fixture_load(const char *dir)
{
	struct load l = { .path = "" };

	rig_machine(2);
	rig_opts.transfer.part_size = 8;
	ck_assert_int_eq(disk_system_open(dir, &l.real), 0);
	ck_assert_int_eq(disk_list(l.real, "", load_one, &l), 0);
	disk_free(l.real);
	/* Another machine, and another boot. */
	ck_assert_int_eq(disk_syncfs(disk), 0);
	simdisk_power_cut(disk, 100);
	fill_bucket();
}
