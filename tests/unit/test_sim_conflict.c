/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another writer's object is in the place of ours: theirs stays, and ours is
 * published beside it, kept here until a word, and told of to who writes it.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "kept_rig.h"

#define HIDDEN ".ckptfs/conflict/"
/* Several parts of it. */
#define LONG "0123456789abcdefghijklmnopqrstuvwxyz"

static void setup(void)
{
	rig_begin(1);
	rig_unmount();
	rig_opts.transfer.part_size = 8;
	ck_assert_int_eq(rig_open(), 0);
}

static void teardown(void)
{
	rig_end();
}

/* ---- what lies beside */

struct beside {
	char key[1100]; /* of the last one, without the prefix of the mount */
	unsigned n;
};

static int take(void *arg, const char *key, const struct store_obj *obj)
{
	struct beside *b = arg;

	(void)obj;
	(void)snprintf(b->key, sizeof(b->key), "%s", key + strlen("run/"));
	b->n++;
	return 0;
}

static struct beside *beside(void)
{
	static struct beside b;

	memset(&b, 0, sizeof(b));
	ck_assert_int_eq(store_list(bucket, "run/" HIDDEN, NULL, false, take,
				    &b),
			 0);
	return &b;
}

static void assert_beside(const char *path, const char *want)
{
	struct beside *b = beside();
	char begin[300];

	ck_assert_uint_eq(b->n, 1);
	(void)snprintf(begin, sizeof(begin), HIDDEN "%s/", path);
	ck_assert_msg(strncmp(b->key, begin, strlen(begin)) == 0, "%s",
		      b->key);
	assert_text(object_of(b->key), want);
}

static int count(void *arg, const char *key, const char *id, int64_t begun)
{
	(void)key;
	(void)id;
	(void)begun;
	++*(unsigned *)arg;
	return 0;
}

static void assert_nothing_beside(void)
{
	unsigned n = 0;

	ck_assert(settle(600 * NS_PER_S));
	run(60);
	ck_assert_uint_eq(beside()->n, 0);
	ck_assert_int_eq(store_mpu_list(bucket, "run/", count, &n), 0);
	ck_assert_uint_eq(n, 0);
}

static void trouble(const char *method, int act, unsigned n)
{
	struct store_fault f = { .method = method,
				 .key = HIDDEN,
				 .count = n,
				 .err = -EAGAIN,
				 .act = act };

	ck_assert_int_eq(store_fault_set(bucket, &f, 1), 0);
}

static void lose(const char *path, const char *text)
{
	publish(path, "first");
	foreign(path, "theirs");
	rewrite(path, text);
}

static int look_risk(void *arg, const struct fs_pending *p)
{
	uint64_t *risk = arg;

	ck_assert(p->missing);
	if (p->at_risk)
		*risk += p->size;
	return 0;
}

/* Bytes that this machine alone has. */
static uint64_t at_risk(void)
{
	uint64_t n = 0;

	ck_assert_int_eq(fs_each_pending(fs, "", look_risk, &n), 0);
	return n;
}

/* ---- tests */

START_TEST(ours_is_published_beside_theirs)
{
	const char *text = _i ? LONG : "ours";

	lose("a", text);
	ck_assert(settle(60 * NS_PER_S));
	assert_text(object_of("a"), "theirs");
	assert_beside("a", text);
	ck_assert_str_eq(names_in_bucket(), " a ");
	ck_assert_str_eq(names_in_mount(), " a ");
	/* It is safe, and it is not what the name was to have. */
	ck_assert_str_eq(kept(), " a=conflict ");
	ck_assert_ptr_nonnull(strstr(why_of("a"), "ours lies beside it"));
	ck_assert_uint_eq(at_risk(), 0);
	ck_assert_int_eq(fs_sync(fs, "a", &(uint64_t){ 0 }, CLK_NEVER), -EIO);
	ck_assert_int_eq(fs_sync(fs, "b", &(uint64_t){ 0 }, CLK_NEVER), 0);
	/* The same after another mount, and nothing is sent again. */
	rig_unmount();
	trouble(NULL, STORE_FAULT_BEFORE, 0);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_str_eq(kept(), " a=conflict ");
	ck_assert_uint_eq(at_risk(), 0);
	take_all();
	assert_beside("a", text);
}
END_TEST

/* Not in the bucket, and at risk, as long as the store does not take it. */
START_TEST(ours_is_at_risk_until_it_is_there)
{
	struct store_fault no = { .method = "put",
				  .key = HIDDEN,
				  .err = -EACCES,
				  .act = STORE_FAULT_BEFORE };

	if (_i)
		ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	else
		trouble("put", STORE_FAULT_BEFORE, 0);
	lose("a", "ours");
	run(120);
	ck_assert_str_eq(kept(), " a=conflict ");
	ck_assert_ptr_nonnull(strstr(why_of("a"), _i ? "ours is refused there" :
						       "ours is on its way"));
	ck_assert_uint_eq(at_risk(), 4);
	/* others do not wait for it */
	ck_assert_int_eq(put_file("b", "x"), 0);
	run(60);
	assert_text(object_of("b"), "x");
	take_all();
	if (_i)
		ck_assert_int_eq(act(FS_RECOVER_RETRY, "a"), 0);
	ck_assert(settle(600 * NS_PER_S));
	assert_beside("a", "ours");
	ck_assert_uint_eq(at_risk(), 0);
}
END_TEST

/* The process dies at any call to the disk; an answer is lost, too. */
START_TEST(it_gets_there_whenever_the_daemon_dies)
{
	uint64_t n;

	for (n = 1;; n += harness_step()) {
		rig_end();
		setup();
		publish("a", "first");
		foreign("a", "theirs");
		rewrite("a", _i % 2 ? LONG : "ours");
		if (_i >= 2)
			trouble(_i % 2 ? "mpu_commit" : "put",
				STORE_FAULT_AFTER, 1);
		simdisk_halt_after(disk, n);
		(void)settle(60 * NS_PER_S);
		if (!simdisk_halted(disk))
			break;
		rig_die();
		ck_assert_int_eq(rig_open(), 0);
		ck_assert(settle(600 * NS_PER_S));
		assert_text(object_of("a"), "theirs");
		assert_beside("a", _i % 2 ? LONG : "ours");
		ck_assert_str_eq(kept(), " a=conflict ");
		run(60);
	}
	ck_assert_uint_gt(n, 10); /* calls there are */
}
END_TEST

enum { DISCARD, PUBLISH, UNLINK };

static void decide(int how)
{
	switch (how) {
	case DISCARD:
		ck_assert_int_eq(act(FS_RECOVER_DISCARD, "a"), 0);
		break;
	case PUBLISH:
		ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "a"), 0);
		break;
	case UNLINK:
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "a"), 0);
		break;
	}
}

/* Whatever is decided, and whenever, of ours nothing is left beside. */
START_TEST(what_lies_beside_goes_with_the_decision)
{
	int how = _i % 3, when = _i / 3 % 3;
	const char *text = _i / 9 ? LONG : "ours";

	if (when == 1) /* it is on its way */
		trouble(NULL, STORE_FAULT_BEFORE, 0);
	else if (when == 2) /* it is there, and nobody knows */
		trouble(_i / 9 ? "mpu_commit" : "put", STORE_FAULT_AFTER, 0);
	lose("a", text);
	run(60);
	ck_assert_str_eq(kept(), " a=conflict ");
	if (when == 2)
		trouble("head", STORE_FAULT_BEFORE, 0);
	decide(how);
	if (_i % 2) {
		rig_die();
		ck_assert_int_eq(rig_open(), 0);
	}
	take_all();
	assert_nothing_beside();
	ck_assert_str_eq(kept(), " ");
	assert_text(object_of("a"), how == PUBLISH ? text : "theirs");
	run(60);
	assert_text(text_of("a"), how == PUBLISH ? text : "theirs");
}
END_TEST

START_TEST(the_next_one_that_is_late_takes_its_place)
{
	lose("a", "ours");
	if (_i == 0)
		ck_assert(settle(60 * NS_PER_S));
	rewrite("a", "ours again");
	ck_assert(settle(60 * NS_PER_S));
	run(60);
	ck_assert_str_eq(kept(), " a=conflict ");
	assert_beside("a", "ours again");
	assert_text(text_of("a"), "ours again");
	assert_text(object_of("a"), "theirs");
}
END_TEST

/* fsync and close of who had it open; not of who opens it then. */
START_TEST(writers_are_told)
{
	struct file f, g, r;

	publish("a", "first");
	foreign("a", "theirs");
	rewrite("a", "ours");
	ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(f_open(&r, "a", O_RDONLY), 0);
	ck_assert_int_eq(fs_fsync(fs, f.o.file, false), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(fs_fsync(fs, f.o.file, false), -ESTALE);
	ck_assert_int_eq(f_write(&f, ", and more", 4), 0);
	ck_assert_int_eq(fs_fsync(fs, f.o.file, false), -ESTALE);
	ck_assert_int_eq(fs_fsync(fs, r.o.file, false), 0);
	ck_assert_int_eq(f_open(&g, "a", O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(fs_fsync(fs, g.o.file, false), 0);
	ck_assert_int_eq(f_close(&g), 0);
	ck_assert_int_eq(f_close(&r), 0);
	ck_assert_int_eq(f_close(&f), -ESTALE);
	/* and nothing of it is lost */
	ck_assert(settle(60 * NS_PER_S));
	run(60);
	assert_beside("a", "ours, and more");
	ck_assert_str_eq(kept(), " a=conflict ");
}
END_TEST

START_TEST(a_close_that_waits_for_the_bucket_is_told)
{
	rig_unmount();
	rig_opts.close_mode = FS_REMOTE;
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(put_file("a", "first"), 0);
	foreign("a", "theirs");
	{
		struct file f;

		ck_assert_int_eq(f_open(&f, "a", O_WRONLY | O_TRUNC), 0);
		ck_assert_int_eq(f_write(&f, "ours", 0), 0);
		ck_assert_int_eq(f_close(&f), -ESTALE);
	}
	ck_assert(settle(60 * NS_PER_S));
	assert_beside("a", "ours");
}
END_TEST

/* A path that leaves no room for the write-id is cut to its folders. */
START_TEST(a_long_path_is_cut)
{
	struct fs_ctx ctx = ctx_of();
	char part[200], key[1024] = "";
	uint64_t dir = FS_ROOT_INO;
	struct fs_entry e;
	struct file f;
	int i;

	memset(part, 'x', sizeof(part) - 1);
	part[sizeof(part) - 1] = '\0';
	for (i = 0; i < 5; i++) {
		ck_assert_int_eq(fs_mkdir(fs, &ctx, dir, part, 0755, &e), 0);
		dir = e.attr.ino;
		(void)snprintf(key + strlen(key), sizeof(key) - strlen(key),
			       "%s/", part);
	}
	memcpy(key + strlen(key), "f", 2);
	foreign(key, "theirs");
	ck_assert_int_eq(f_create_in(&f, dir, "f", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "ours", 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_eq(beside()->n, 1);
	assert_text(object_of(beside()->key), "ours");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, ours_is_published_beside_theirs, 0, 2);
	tcase_add_loop_test(c, ours_is_at_risk_until_it_is_there, 0, 2);
	tcase_add_loop_test(c, it_gets_there_whenever_the_daemon_dies, 0, 4);
	tcase_add_loop_test(c, what_lies_beside_goes_with_the_decision, 0, 18);
	tcase_add_loop_test(c, the_next_one_that_is_late_takes_its_place, 0,
			    2);
	tcase_add_test(c, writers_are_told);
	tcase_add_test(c, a_close_that_waits_for_the_bucket_is_told);
	tcase_add_test(c, a_long_path_is_cut);
}

int main(void)
{
	return harness_run("sim_conflict", add);
}
