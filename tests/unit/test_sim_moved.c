/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another writer whose objects nobody was shown yet: nothing of his goes; over a
 * simulated machine.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

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

struct text {
	const char *p;
};

static ssize_t read_text(void *arg, uint64_t off, void *p, size_t n)
{
	const struct text *t = arg;

	memcpy(p, t->p + off, n);
	return (ssize_t)n;
}

static void theirs(const char *path, const char *text)
{
	struct text t = { text };
	struct store_src src = { .read = read_text, .arg = &t,
				 .len = strlen(text) };
	struct store_meta m = { .mode = 0 };
	struct store_obj o;
	char key[64];

	(void)snprintf(key, sizeof(key), "run/%s", path);
	ck_assert_int_eq(store_put(bucket, key, &src, &m, NULL, &o), 0);
}

static int move(const char *from, const char *to)
{
	return fs_rename(fs, FS_ROOT_INO, from, FS_ROOT_INO, to, 0);
}

/* All is done, and listed again. */
static void rest(void)
{
	int i;

	ck_assert(settle(60 * NS_PER_S));
	for (i = 0; i < 3; i++) {
		(void)ino_of("a");
		(void)ino_of("d/a");
		(void)sim_run_for(sim, 11 * NS_PER_S);
	}
}

static void make_folder(const char *name)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, name, 0755, &e), 0);
	fs_forget(fs, e.attr.ino, 1);
}

static void put_below(const char *dir, const char *name, const char *text)
{
	struct file f;

	ck_assert_int_eq(f_create_in(&f, ino_of(dir), name, O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

/* What he put into a folder goes with it, unless a file of ours has that name. */
START_TEST(theirs_do_not_move_below_ours)
{
	make_folder("d");
	rest();
	ck_assert_int_eq(move("d", "g"), 0);
	theirs("d/a", "theirs");
	if (_i != 1)
		put_below("g", "a", "ours");
	if (_i == 2) { /* nor does what comes to their place replace them */
		make_folder("d");
		put_below("d", "a", "another");
	}
	ck_assert(settle(60 * NS_PER_S));
	if (_i == 1)
		put_below("g", "a", "ours");
	rest();
	assert_text(text_of("g/a"), "ours");
	if (_i != 1) {
		assert_text(object_of("g/a"), "ours");
		assert_text(object_of("d/a"), "theirs");
	} else {
		assert_text(object_of("g/a"), "theirs");
		ck_assert_str_eq(state_of("g/a"), "conflict");
	}
}
END_TEST

/* What a listing brought, or took away, and could not be recorded, is as it was
 * until the next one. */
START_TEST(a_listing_that_is_not_recorded_shows_nothing)
{
	theirs("old", "theirs");
	(void)sim_run_for(sim, 20 * NS_PER_S);
	assert_text(text_of("old"), "theirs");
	(void)sim_run_for(sim, 20 * NS_PER_S);
	theirs("a", "new");
	theirs("old", "replaced");
	simdisk_fail(disk, SIM_PWRITE, 1, -EIO, true);
	(void)ino_of("old");
	(void)sim_run_for(sim, NS_PER_S);
	simdisk_heal(disk);
	ck_assert_str_eq(names_in_mount(), " old ");
	(void)sim_run_for(sim, 20 * NS_PER_S);
	(void)ino_of("old");
	(void)sim_run_for(sim, NS_PER_S);
	assert_text(text_of("a"), "new");
	assert_text(text_of("old"), "replaced");
}
END_TEST

static void evict_all(const char *path)
{
	struct fs_bulk how = { .deadline_mono_ns = CLK_NEVER };
	struct fs_bulk_sums s;

	ck_assert_int_eq(fs_evict(fs, path, &how, &s), 0);
}

static void remove_theirs(const char *key)
{
	ck_assert_int_eq(store_del(bucket, key, NULL), 0);
}

/* As the file itself, or with its folder. */
static const char *const old_name[] = { "a", "d/a" };
static const char *const new_name[] = { "b", "g/a" };

static void publish_and_lose(int way)
{
	char key[64];

	make_folder("d");
	if (way == 0)
		ck_assert_int_eq(put_file("a", "ours"), 0);
	else
		put_below("d", "a", "ours");
	put_below("d", "other", "stays");
	rest();
	(void)snprintf(key, sizeof(key), "run/%s", old_name[way]);
	remove_theirs(key);
}

static void move_it(int way)
{
	ck_assert_int_eq(way == 0 ? move("a", "b") : move("d", "g"), 0);
}

/* Others deleted what we rename: it goes to its new name from here, whoever
 * wants room, and whenever the daemon dies. */
START_TEST(f53_what_is_renamed_goes_there_from_here)
{
	struct store_fault down = { .method = "put",
				    .err = -EAGAIN,
				    .act = STORE_FAULT_BEFORE };
	int way = _i % 2, how = _i / 2;

	publish_and_lose(way);
	if (how > 0)
		ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	move_it(way);
	if (how > 0) {
		(void)sim_run_for(sim, 60 * NS_PER_S);
		evict_all("");
		assert_text(text_of(new_name[way]), "ours");
	}
	if (how == 2) {
		rig_die();
		ck_assert_int_eq(rig_open(), 0);
	}
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	rest();
	assert_text(object_of(new_name[way]), "ours");
	ck_assert_str_eq(state_of(new_name[way]), "published");
	ck_assert_str_eq(names_in_bucket(), way == 0 ? " b d/other " :
						       " g/a g/other ");
	evict_all("");
	assert_text(text_of(new_name[way]), "ours");
}
END_TEST

/* What is not here is gone, and so is its name. */
START_TEST(what_is_renamed_and_not_here_is_gone)
{
	publish_and_lose(_i);
	evict_all("");
	move_it(_i);
	rest();
	(void)ino_of(new_name[_i]);
	(void)sim_run_for(sim, 11 * NS_PER_S);
	ck_assert_uint_eq(ino_of(new_name[_i]), 0);
	ck_assert_ptr_null(object_of(new_name[_i]));
}
END_TEST

/* It is changed, renamed on and opened meanwhile, and has one object. */
START_TEST(what_is_renamed_on_meanwhile_has_one_object)
{
	struct store_fault down = { .method = "put",
				    .err = -EAGAIN,
				    .act = STORE_FAULT_BEFORE };
	struct file f, r;

	publish_and_lose(0);
	ck_assert_int_eq(store_fault_set(bucket, &down, 1), 0);
	ck_assert_int_eq(f_open(&r, "a", O_RDONLY), 0);
	move_it(0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	if (_i == 1) {
		ck_assert_int_eq(f_open(&f, "b", O_RDWR), 0);
		ck_assert_int_eq(f_write(&f, "OU", 0), 0);
		ck_assert_int_eq(f_close(&f), 0);
	}
	if (_i <= 2)
		ck_assert_int_eq(move("b", "c"), 0);
	if (_i == 2)
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, "c"), 0);
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
	ck_assert_int_eq(f_close(&r), 0);
	rest();
	ck_assert_str_eq(names_in_bucket(), _i == 2 ? " d/other " :
					    _i == 3 ? " b d/other " :
						      " c d/other ");
	if (_i < 2)
		assert_text(object_of("c"), _i ? "OUrs" : "ours");
}
END_TEST

/* What was copied is told by its bytes, where no write-id of ours does. */
START_TEST(a_copy_of_theirs_whose_answer_is_lost_is_no_conflict)
{
	static const struct store_fault lost[] = {
		{ .method = "copy",
		  .count = 1,
		  .err = -ETIMEDOUT,
		  .act = STORE_FAULT_AFTER },
		{ .method = "head",
		  .count = 1,
		  .err = -ETIMEDOUT,
		  .act = STORE_FAULT_BEFORE },
	};

	theirs("d/a", "theirs");
	(void)sim_run_for(sim, 20 * NS_PER_S);
	assert_text(text_of("d/a"), "theirs");
	ck_assert_int_eq(store_fault_set(bucket, lost, 2), 0);
	ck_assert_int_eq(move("d", "g"), 0);
	ck_assert(settle(600 * NS_PER_S));
	assert_text(object_of("g/a"), "theirs");
	ck_assert_ptr_null(object_of("d/a"));
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, theirs_do_not_move_below_ours, 0, 3);
	tcase_add_test(c, a_listing_that_is_not_recorded_shows_nothing);
	tcase_add_loop_test(c, f53_what_is_renamed_goes_there_from_here, 0, 6);
	tcase_add_loop_test(c, what_is_renamed_and_not_here_is_gone, 0, 2);
	tcase_add_loop_test(c, what_is_renamed_on_meanwhile_has_one_object, 0,
			    4);
	tcase_add_test(c,
		       a_copy_of_theirs_whose_answer_is_lost_is_no_conflict);
}

int main(void)
{
	return harness_run("sim_moved", add);
}
