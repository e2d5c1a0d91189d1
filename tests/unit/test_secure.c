/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of docs/security.md over the whole file system, by number. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ckptfs/rng.h"
#include "ckptfs/store.h"

#include "fs_rig.h"
#include "harness.h"

/* ---- names on the disk */

static const char *const hostile[] = {
	"..\\..\\etc\\passwd", "%2e%2e%2f", "a\nb", "~root", "-rf", "$(id)",
	"con", "a b", "\xc3\xa4", "\xff\xfe", "lock", "db", "db-wal", "barrier",
	"blobs", "lost+found", ".", "..",
};

static bool is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static int check_blob(void *arg, const char *name, bool is_dir)
{
	unsigned *n = arg;

	ck_assert_msg(!is_dir && is_hex(name, 16), "blobs/../%s", name);
	++*n;
	return 0;
}

static int check_folder(void *arg, const char *name, bool is_dir)
{
	char path[64];

	ck_assert_msg(is_dir && is_hex(name, 2), "blobs/%s", name);
	(void)snprintf(path, sizeof(path), "blobs/%s", name);
	return disk_list(disk, path, check_blob, arg);
}

static int check_top(void *arg, const char *name, bool is_dir)
{
	static const char *const all[] = { "blobs",   "lost+found", "db",
					   "db-wal",  "barrier",    "ballast",
					   "db-journal" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (strcmp(name, all[i]) == 0)
			return 0;
	ck_abort_msg("%s lies in the cache", name);
	return 0;
}

START_TEST(s06_names_on_the_disk_come_from_numbers)
{
	unsigned n = 0, made = 0;
	size_t i;

	rig_begin(1);
	for (i = 0; i < ARRAY_SIZE(hostile); i++) {
		/* The kernel would not pass these two on. */
		if (hostile[i][strspn(hostile[i], ".")] == '\0')
			continue;
		made += put_file(hostile[i], "x") == 0;
	}
	(void)settle(60 * NS_PER_S);
	ck_assert_uint_gt(made, 10);
	ck_assert_int_eq(disk_list(disk, "", check_top, NULL), 0);
	ck_assert_int_eq(disk_list(disk, "blobs", check_folder, &n), 0);
	ck_assert_uint_ge(n, made);
	rig_end();
}
END_TEST

/* ---- keys of others */

static const struct {
	const char *key; /* without the prefix */
	const char *path; /* where it shows; NULL: nowhere */
} keys[] = {
	{ "plain", "plain" },	  { "d/f", "d/f" },
	{ "..", NULL },		  { ".", NULL },
	{ "../x", NULL },	  { "d/../../x", NULL },
	{ "d/./y", NULL },	  { "/etc/passwd", NULL },
	{ "d//z", NULL },	  { "e/", "e" },
	{ ".ckptfs/conflicts/a", NULL }, { "d/.ckptfs/a", NULL },
	{ "line\nfeed", "line\nfeed" },	 { "\x01\x1f", "\x01\x1f" },
	{ "ret\r", "ret\r" },	  { "\xff\xfe", "\xff\xfe" },
	{ "a\xcc\x88", "a\xcc\x88" },	 { "\xc3\xa4", "\xc3\xa4" },
	{ "Case", "Case" },	  { "case", "case" },
	{ "both", NULL },	  { "both/under", "both/under" },
};

static ssize_t read_x(void *arg, uint64_t off, void *p, size_t n)
{
	memset(p, 'x', n);
	return (ssize_t)n;
}

static void put_key(const char *key)
{
	const struct store_src src = { .read = read_x, .len = 3 };
	static const struct store_meta none = { .has_mode = false };
	char full[STORE_KEY_MAX + 1];
	struct store_obj o;

	(void)snprintf(full, sizeof(full), "run/%s", key);
	ck_assert_int_eq(store_put(bucket, full, &src, &none, NULL, &o), 0);
}

/* Each shows as what it is or not at all, and none of them leads elsewhere. */
START_TEST(s07_keys_are_names_or_hidden)
{
	struct fs_file_info info;
	char name[257], full[1100];
	size_t i;

	rig_machine(1);
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		put_key(keys[i].key);
	memset(name, 'n', 256);
	name[256] = '\0';
	put_key(name + 1);
	put_key(name); /* longer than a name may be */
	ck_assert_int_eq(rig_open(), 0);
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!keys[i].path)
			continue;
		ck_assert_msg(ino_of(keys[i].path), "%s", keys[i].key);
		ck_assert_int_eq(fs_path_info(fs, keys[i].path, &info), 0);
		(void)snprintf(full, sizeof(full), "run/%s", keys[i].path);
		if (!info.is_dir)
			ck_assert_str_eq(info.key, full);
	}
	ck_assert_uint_ne(ino_of(name + 1), 0);
	ck_assert_uint_eq(ino_of("etc"), 0);
	ck_assert_uint_eq(ino_of("x"), 0);
	ck_assert_uint_eq(ino_of("d/y"), 0);
	ck_assert_uint_eq(ino_of("d/z"), 0);
	ck_assert_uint_eq(ino_of("d/.ckptfs"), 0);
	assert_text(text_of("both/under"), "xxx");
	rig_end();
}
END_TEST

/* ---- numbers nobody can guess */

#define PROCESSES 4
#define EACH (250000 / harness_step())

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* A child that went on with its parent's state would give its numbers. */
START_TEST(s28_numbers_are_drawn_once_over_forks)
{
	size_t each = EACH, n = PROCESSES * each, i;
	uint64_t *all = mmap(NULL, n * sizeof(*all), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, p;

	ck_assert_ptr_ne(all, MAP_FAILED);
	(void)rng_u64(&rng_system);
	for (p = 0; p < PROCESSES; p++) {
		if (fork() != 0)
			continue;
		for (i = 0; i < each; i++)
			all[(size_t)p * each + i] = rng_u64(&rng_system);
		_exit(0);
	}
	for (p = 0; p < PROCESSES; p++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	qsort(all, n, sizeof(*all), by_value);
	for (i = 1; i < n; i++)
		ck_assert_uint_ne(all[i], all[i - 1]);
	(void)munmap(all, n * sizeof(*all));
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, s06_names_on_the_disk_come_from_numbers);
	tcase_add_test(c, s07_keys_are_names_or_hidden);
	tcase_add_test(c, s28_numbers_are_drawn_once_over_forks);
}

int main(void)
{
	return harness_run("secure", add);
}
