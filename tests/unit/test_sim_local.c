/* SPDX-License-Identifier: Apache-2.0 */
/* What programs know from a local disk: modes, times, streams of names, holes.
 * On the simulated machine. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs_rig.h"
#include "harness.h"

static void setup(void)
{
	rig_begin(1);
}

static void teardown(void)
{
	rig_end();
}

static struct fs_attr attr_of(uint64_t ino)
{
	struct fs_attr a;

	memset(&a, 0, sizeof(a));
	ck_assert_int_eq(fs_getattr(fs, ino, NULL, &a), 0);
	return a;
}

static struct fs_attr set_attr(uint64_t ino, struct fs_attr want, unsigned set)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_attr a;

	ck_assert_int_eq(fs_setattr(fs, &ctx, ino, &want, set, NULL, &a), 0);
	return a;
}

static uint64_t make_dir(uint64_t parent, const char *name)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, parent, name, 0777, &e), 0);
	return e.attr.ino;
}

START_TEST(a_folder_of_a_setgid_folder_is_one_too)
{
	uint64_t d = make_dir(FS_ROOT_INO, "d"), sub;

	(void)set_attr(d, (struct fs_attr){ .mode = 02770, .gid = 7 },
		       FS_SET_MODE | FS_SET_GID);
	sub = make_dir(d, "sub");
	ck_assert_uint_eq(attr_of(sub).mode, S_IFDIR | 02755);
	ck_assert_uint_eq(attr_of(sub).gid, 7);
	sub = make_dir(FS_ROOT_INO, "plain");
	ck_assert_uint_eq(attr_of(sub).mode, S_IFDIR | 0755);
}
END_TEST

static int64_t now(void)
{
	return clk_real(sim_host(sim)->clk);
}

static void use(const char *name, int flags)
{
	struct file f;

	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_open(&f, name, flags), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

START_TEST(atime_is_what_was_set_and_moves_as_with_relatime)
{
	struct fs_attr want = { .atime_ns = 5, .mtime_ns = 7 }, a;
	int64_t read;
	uint64_t ino;

	ck_assert_int_eq(put_file("f", "x"), 0);
	ino = ino_of("f");
	(void)set_attr(ino, want, FS_SET_ATIME | FS_SET_MTIME);
	a = attr_of(ino);
	ck_assert_int_eq(a.atime_ns, 5);
	ck_assert_int_eq(a.mtime_ns, 7);
	use("f", O_WRONLY);
	use("f", O_RDONLY | O_NOATIME);
	ck_assert_int_eq(attr_of(ino).atime_ns, 5);
	use("f", O_RDONLY);
	read = now();
	ck_assert_int_eq(attr_of(ino).atime_ns, read);
	use("f", O_RDONLY);
	ck_assert_int_eq(attr_of(ino).atime_ns, read);
	sim_advance(sim, 24 * 3600 * NS_PER_S);
	use("f", O_RDONLY);
	ck_assert_int_eq(attr_of(ino).atime_ns, now());
	rig_opts.noatime = true;
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	use("f", O_RDONLY);
	ck_assert_int_eq(attr_of(ino_of("f")).atime_ns, 7);
}
END_TEST

START_TEST(ctime_never_goes_back)
{
	struct fs_attr want = { .mode = 0600 };
	int64_t changed;
	struct file f;

	ck_assert_int_eq(f_create(&f, "f", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "x", 0), 0);
	sim_advance(sim, NS_PER_S);
	changed = set_attr(f.ino, want, FS_SET_MODE).ctime_ns;
	ck_assert_int_eq(changed, now());
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_int_eq(attr_of(ino_of("f")).ctime_ns, changed);
	ck_assert(settle(10 * NS_PER_S));
	ck_assert_int_eq(attr_of(ino_of("f")).ctime_ns, changed);
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(attr_of(ino_of("f")).ctime_ns, changed);
	/* The name that goes is a change of the file. */
	ck_assert_int_eq(f_open(&f, "f", O_RDONLY), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "f"), 0);
	ck_assert_int_eq(attr_of(f.ino).ctime_ns, now());
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

START_TEST(what_has_no_name_any_more_can_be_changed)
{
	struct fs_attr want = { .mode = 0700, .mtime_ns = 5 }, a;
	uint64_t d = make_dir(FS_ROOT_INO, "d");
	struct file f;

	/* The kernel knows both still, by their numbers. */
	ck_assert_int_eq(put_file("f", "x"), 0);
	ck_assert_int_eq(f_open(&f, "f", O_RDONLY), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(10 * NS_PER_S));
	fs_ref(fs, f.ino);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "f"), 0);
	ck_assert_int_eq(fs_rmdir(fs, FS_ROOT_INO, "d"), 0);
	a = set_attr(d, want, FS_SET_MODE | FS_SET_MTIME);
	ck_assert_uint_eq(a.mode, S_IFDIR | 0700);
	ck_assert_int_eq(attr_of(d).mtime_ns, 5);
	ck_assert_uint_eq(attr_of(d).nlink, 0);
	a = set_attr(f.ino, want, FS_SET_MODE);
	ck_assert_uint_eq(attr_of(f.ino).mode, S_IFREG | 0700);
	fs_forget(fs, f.ino, 1);
	fs_forget(fs, d, 1);
	ck_assert(settle(10 * NS_PER_S));
	ck_assert_str_eq(names_in_bucket(), " ");
}
END_TEST

struct names {
	char text[64];
	unsigned room; /* for so many */
	uint64_t next;
};

static int take_name(void *arg, const char *name, const struct fs_attr *a,
		     uint64_t next)
{
	struct names *n = arg;

	(void)a;
	if (n->room == 0)
		return 1;
	n->room--;
	n->next = next;
	if (name[0] != '.')
		strncat(n->text, name, sizeof(n->text) - strlen(n->text) - 1);
	return 0;
}

START_TEST(a_rewound_stream_gives_what_there_is_by_then)
{
	struct names n = { .room = 4 };
	struct fs_dir *d;

	ck_assert_int_eq(put_file("a", "x"), 0);
	ck_assert_int_eq(put_file("b", "x"), 0);
	ck_assert_int_eq(put_file("c", "x"), 0);
	ck_assert_int_eq(fs_opendir(fs, FS_ROOT_INO, &d), 0);
	ck_assert_int_eq(fs_readdir(fs, d, 0, take_name, &n), 0);
	ck_assert_str_eq(n.text, "ab");
	ck_assert_int_eq(put_file("d", "x"), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "c"), 0);
	n.room = 9;
	ck_assert_int_eq(fs_readdir(fs, d, n.next, take_name, &n), 0);
	ck_assert_str_eq(n.text, "ab"); /* of those at its beginning */
	n = (struct names){ .room = 9 };
	ck_assert_int_eq(fs_readdir(fs, d, 0, take_name, &n), 0);
	ck_assert_str_eq(n.text, "abd");
	fs_closedir(fs, d);
}
END_TEST

START_TEST(room_is_that_of_the_cache_disk)
{
	struct disk_space sp;
	struct fs_statfs s;

	ck_assert_int_eq(put_file("f", "x"), 0);
	ck_assert_int_eq(disk_space(disk, &sp), 0);
	ck_assert_int_eq(fs_statfs(fs, &s), 0);
	ck_assert_uint_eq(s.blocks, sp.total / s.block);
	ck_assert_uint_eq(s.avail, sp.avail / s.block);
	ck_assert_uint_lt(s.avail, s.blocks);
}
END_TEST

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* By any handle: what was closed stays as it was until the next close. */
START_TEST(a_hole_is_none_in_what_was_closed)
{
	static const int flags[] = { O_RDWR, O_WRONLY,
				     O_WRONLY | O_APPEND };
	char got[16] = "";
	struct file f;

	ck_assert_int_eq(put_file("f", "0123456789"), 0);
	if (_i >= 3) /* what the bucket has, else what waits for it */
		ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(f_open(&f, "f", flags[_i % 3]), 0);
	ck_assert_int_eq(fs_fallocate(fs, f.o.file, PUNCH, 2, 3), 0);
	sim_run_for(sim, 60 * NS_PER_S);
	assert_text(object_of("f"), "0123456789");
	/* A seal between, and the file goes on. */
	ck_assert_int_eq(f_flush(&f), 0);
	ck_assert_int_eq(fs_fallocate(fs, f.o.file, PUNCH, 1, 1), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("f"), "0");
	ck_assert_int_eq(f_open(&f, "f", O_RDONLY), 0);
	ck_assert_int_eq(f_read(&f, got, sizeof(got)), 10);
	ck_assert_mem_eq(got, "0\0\0\0\00056789", 10);
	ck_assert_int_eq(fs_fallocate(fs, f.o.file, PUNCH, 2, 3), -EBADF);
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

START_TEST(modes_of_fallocate)
{
	static const struct {
		int mode, want;
		uint64_t size;
		const char *text;
	} rows[] = {
		{ 0, 0, 12, "0123456789\0\0" },
		{ FALLOC_FL_KEEP_SIZE, 0, 10, "0123456789" },
		{ PUNCH, 0, 10, "01234567\0\0" },
		{ FALLOC_FL_ZERO_RANGE, 0, 12, "01234567\0\0\0\0" },
		{ FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 10,
		  "01234567\0\0" },
		{ FALLOC_FL_PUNCH_HOLE, -EOPNOTSUPP, 10, "0123456789" },
		{ FALLOC_FL_COLLAPSE_RANGE, -EOPNOTSUPP, 10, "0123456789" },
		{ FALLOC_FL_INSERT_RANGE, -EOPNOTSUPP, 10, "0123456789" },
	};
	char got[16] = "";
	struct file f;

	ck_assert_int_eq(f_create(&f, "f", O_RDWR), 0);
	ck_assert_int_eq(f_write(&f, "0123456789", 0), 0);
	ck_assert_int_eq(fs_fallocate(fs, f.o.file, rows[_i].mode, 8, 4),
			 rows[_i].want);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_uint_eq(attr_of(ino_of("f")).size, rows[_i].size);
	ck_assert_int_eq(f_open(&f, "f", O_RDONLY), 0);
	ck_assert_int_eq(f_read(&f, got, sizeof(got)), (int)rows[_i].size);
	ck_assert_mem_eq(got, rows[_i].text, rows[_i].size);
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

static uint64_t make_node(uint64_t parent, const char *name, mode_t mode)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mknod(fs, &ctx, parent, name, mode, &e), 0);
	return e.attr.ino;
}

/* Names of the bucket once all is settled and everything was listed again. */
static const char *settled_names(void)
{
	struct fs_dir *d;

	ck_assert(settle(60 * NS_PER_S));
	sim_advance(sim, 20 * NS_PER_S);
	ck_assert_int_eq(fs_opendir(fs, FS_ROOT_INO, &d), 0);
	fs_closedir(fs, d);
	ck_assert(settle(60 * NS_PER_S));
	return names_in_bucket();
}

START_TEST(the_bucket_hears_nothing_of_fifos)
{
	uint64_t d = make_dir(FS_ROOT_INO, "d");
	uint64_t fifo = make_node(d, "p", S_IFIFO | 0666);
	struct fs_ctx ctx = ctx_of();
	struct file f;
	struct fs_entry e;

	ck_assert_uint_eq(attr_of(fifo).mode, S_IFIFO | 0644);
	ck_assert_int_eq(fs_mknod(fs, &ctx, d, "p", S_IFSOCK, &e), -EEXIST);
	ck_assert_int_eq(fs_mknod(fs, &ctx, d, "c", S_IFCHR, &e), -EPERM);
	ck_assert_str_eq(state_of("d/p"), "local");
	ck_assert_str_eq(settled_names(), " d/ ");
	/* Of what the bucket has in a folder the last one leaves a marker. */
	ck_assert_int_eq(f_create_in(&f, d, "f", O_WRONLY), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_str_eq(settled_names(), " d/f ");
	ck_assert_int_eq(fs_unlink(fs, d, "f"), 0);
	ck_assert_str_eq(settled_names(), " d/ ");
	ck_assert_int_eq(fs_rmdir(fs, FS_ROOT_INO, "d"), -ENOTEMPTY);
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_uint_eq(ino_of("d/p"), fifo);
	ck_assert_uint_eq(attr_of(fifo).mode, S_IFIFO | 0644);
	ck_assert_int_eq(fs_unlink(fs, d, "p"), 0);
	ck_assert_int_eq(fs_rmdir(fs, FS_ROOT_INO, "d"), 0);
	ck_assert_str_eq(settled_names(), " ");
}
END_TEST

/* Waiting for its upload (0), or in the bucket (1). */
START_TEST(a_fifo_takes_the_name_of_a_file)
{
	uint64_t d = make_dir(FS_ROOT_INO, "d");
	struct file f;

	ck_assert_int_eq(f_create_in(&f, d, "f", O_WRONLY), 0);
	ck_assert_int_eq(f_close(&f), 0);
	if (_i == 1)
		ck_assert_str_eq(settled_names(), " d/f ");
	(void)make_node(FS_ROOT_INO, "s", S_IFSOCK | 0600);
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "s", d, "f", 0), 0);
	ck_assert_uint_eq(attr_of(ino_of("d/f")).mode, S_IFSOCK | 0600);
	ck_assert_str_eq(settled_names(), " d/ ");
	/* And gives it back. */
	ck_assert_int_eq(put_file("g", "x"), 0);
	if (_i == 1)
		ck_assert_str_eq(settled_names(), " d/ g ");
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "g", d, "f", 0), 0);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("d/f"), "x");
	ck_assert_ptr_null(object_of("g"));
	assert_text(text_of("d/f"), "x");
	/* From a folder with something else in it that is local. */
	(void)make_node(d, "p", S_IFIFO | 0600);
	ck_assert_int_eq(fs_rename(fs, d, "f", FS_ROOT_INO, "g", 0), 0);
	ck_assert_str_eq(settled_names(), " d/ g ");
}
END_TEST

static const char *long_name(size_t n)
{
	static char text[256];

	memset(text, 'n', n);
	text[n] = '\0';
	return text;
}

/* The rows in memory (0), or after a mount (1). */
START_TEST(a_folder_stays_where_its_files_have_keys)
{
	uint64_t top = make_dir(FS_ROOT_INO, "d"), d = top, deep;
	char path[META_KEY_MAX + 1];
	struct store_obj o;
	struct file f;
	unsigned i;

	for (i = 0; i < 2; i++)
		d = make_dir(d, long_name(250));
	ck_assert_int_eq(f_create_in(&f, d, "f", O_WRONLY), 0);
	ck_assert_int_eq(f_close(&f), 0);
	deep = make_dir(FS_ROOT_INO, long_name(250));
	deep = make_dir(deep, long_name(250));
	if (_i == 1) {
		ck_assert(settle(60 * NS_PER_S));
		rig_unmount();
		ck_assert_int_eq(rig_open(), 0);
		(void)snprintf(path, sizeof(path), "%.250s/%.250s",
			       long_name(250), long_name(250));
		ck_assert_uint_eq(ino_of(path), deep);
	}
	/* "run/", 250 + 250 and 2, and what is below "d": 504. */
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "d", deep, long_name(15),
				   0),
			 -ENAMETOOLONG);
	ck_assert_uint_eq(ino_of("d"), top);
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "d", deep, long_name(14),
				   0),
			 0);
	ck_assert(settle(60 * NS_PER_S));
	(void)snprintf(path, sizeof(path),
		       "%.250s/%.250s/%.14s/%.250s/%.250s/f",
		       long_name(250), long_name(250), long_name(250),
		       long_name(250), long_name(250));
	ck_assert_uint_eq(strlen(path), META_KEY_MAX - strlen("run/"));
	ck_assert_int_eq(object_head(path, &o), 0);
}
END_TEST

START_TEST(blocks_tell_of_holes_as_long_as_the_bytes_are_here)
{
	const uint64_t size = 100 * 4096;
	struct fs_bulk how = { .deadline_mono_ns = CLK_NEVER };
	struct fs_attr want = { .size = size }, a;
	struct fs_bulk_sums sums;
	struct file f;

	ck_assert_int_eq(put_file("f", "x"), 0);
	a = set_attr(ino_of("f"), want, FS_SET_SIZE);
	ck_assert_uint_eq(a.size, size);
	ck_assert_uint_eq(attr_of(ino_of("f")).blocks, 8);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_eq(attr_of(ino_of("f")).blocks, 8);
	/* Opened to be written, and left. */
	ck_assert_int_eq(f_open(&f, "f", O_RDWR), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert_uint_eq(attr_of(ino_of("f")).blocks, 8);
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_uint_eq(attr_of(ino_of("f")).blocks, 8);
	/* In the bucket there are none; of no blocks it would be one hole. */
	ck_assert_int_eq(fs_evict(fs, "f", &how, &sums), 0);
	ck_assert_uint_eq(attr_of(ino_of("f")).blocks, size / 512);
	ck_assert_int_eq(f_open(&f, "f", O_RDONLY), 0);
	ck_assert_uint_eq(attr_of(f.ino).blocks, size / 512);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
}
END_TEST

static bool direct_writes(void *arg)
{
	(void)arg;
	return true;
}

/* As another user (0), and as root (1). */
START_TEST(who_writes_clears_setuid)
{
	static const struct fs_kernel kernel = { .direct_writes =
							 direct_writes };
	uint32_t all = S_IFREG | 06755, left = _i ? all : S_IFREG | 0755;
	struct fs_attr want = { .mode = 06755 };
	struct fs_ctx ctx = ctx_of();
	struct file f;

	fs_set_kernel(fs, &kernel); /* no passthrough */
	ctx.uid = _i ? 0 : 4711;
	ck_assert_int_eq(put_file("f", "x"), 0);
	(void)set_attr(ino_of("f"), want, FS_SET_MODE);
	ck_assert_int_eq(f_open(&f, "f", O_WRONLY), 0);
	ck_assert_int_eq(f.o.io, FS_IO_DIRECT);
	ck_assert_uint_eq(attr_of(f.ino).mode, all);
	ck_assert_int_eq(fs_writes_direct(fs, &ctx, f.o.file), 0);
	ck_assert_uint_eq(attr_of(f.ino).mode, left);
	ck_assert_int_eq(f_close(&f), 0);
	/* By truncation alone. */
	(void)set_attr(f.ino, want, FS_SET_MODE);
	ck_assert_int_eq(fs_open(fs, &ctx, f.ino, O_WRONLY | O_TRUNC, &f.o), 0);
	ck_assert_uint_eq(attr_of(f.ino).mode, left);
	ck_assert_int_eq(f_close(&f), 0);
	/* Through the page cache the kernel says so itself. */
	(void)set_attr(f.ino, want, FS_SET_MODE);
	ck_assert_int_eq(f_open(&f, "f", O_RDWR), 0);
	ck_assert_int_eq(fs_writes_direct(fs, &ctx, f.o.file), 0);
	ck_assert_uint_eq(attr_of(f.ino).mode, all);
	ck_assert_int_eq(f_close(&f), 0);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_folder_of_a_setgid_folder_is_one_too);
	tcase_add_test(c, atime_is_what_was_set_and_moves_as_with_relatime);
	tcase_add_test(c, ctime_never_goes_back);
	tcase_add_test(c, what_has_no_name_any_more_can_be_changed);
	tcase_add_test(c, a_rewound_stream_gives_what_there_is_by_then);
	tcase_add_test(c, room_is_that_of_the_cache_disk);
	tcase_add_loop_test(c, a_hole_is_none_in_what_was_closed, 0, 6);
	tcase_add_loop_test(c, modes_of_fallocate, 0, 8);
	tcase_add_test(c, the_bucket_hears_nothing_of_fifos);
	tcase_add_loop_test(c, a_fifo_takes_the_name_of_a_file, 0, 2);
	tcase_add_loop_test(c, a_folder_stays_where_its_files_have_keys, 0, 2);
	tcase_add_loop_test(c, who_writes_clears_setuid, 0, 2);
	tcase_add_test(c, blocks_tell_of_holes_as_long_as_the_bytes_are_here);
}

int main(void)
{
	return harness_run("sim_local", add);
}
