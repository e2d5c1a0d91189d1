/* SPDX-License-Identifier: Apache-2.0 */
/* The rename of a folder whose objects the store copies one by one: side by
 * side, in order, and taken up after a death; over a simulated machine, and a
 * store that takes its time. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fs_rig.h"
#include "harness.h"

#define FILES 24
#define TAKES (100 * NS_PER_MS)
#define WORKERS 6

static const struct store_ops *real;
static struct store_ops slow;

/* What ended, in order: 'c' or 'd', and the key. */
static char done[2 * FILES + 8][32];
static unsigned n_done, going, most;
static unsigned refuse; /* so many copies of f07 */
static bool stuck; /* that of f00 takes ten times as long */

static void begin(void)
{
	if (++going > most)
		most = going;
	sim_yield(sim, TAKES);
}

static void end(char what, const char *key, int r)
{
	going--;
	if (r == 0 && n_done < ARRAY_SIZE(done))
		(void)snprintf(done[n_done++], sizeof(done[0]), "%c %s", what,
			       key);
}

static int slow_copy(struct store *s, const char *from, const char *from_etag,
		     const char *to, const struct store_meta *m,
		     const struct store_cond *cond, struct store_obj *ret)
{
	int r;

	begin();
	if (stuck && strstr(from, "f00"))
		sim_yield(sim, 9 * TAKES);
	r = -EIO;
	if (refuse && strstr(from, "f07"))
		refuse--;
	else
		r = real->copy(s, from, from_etag, to, m, cond, ret);
	end('c', to, r);
	return r;
}

static int slow_del(struct store *s, const char *key,
		    const struct store_cond *cond)
{
	int r;

	begin();
	r = real->del(s, key, cond);
	end('d', key, r);
	return r;
}

static void make_folder(const char *name, unsigned files)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;
	char file[16];
	struct file f;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, name, 0777, &e), 0);
	for (unsigned i = 0; i < files; i++) {
		(void)snprintf(file, sizeof(file), "f%02u", i);
		ck_assert_int_eq(f_create_in(&f, e.attr.ino, file, O_WRONLY),
				 0);
		ck_assert_int_eq(f_write(&f, file, 0), 0);
		ck_assert_int_eq(f_close(&f), 0);
	}
	ck_assert(settle(60 * NS_PER_S));
}

static void become_slow(void)
{
	real = bucket->ops;
	slow = *real;
	slow.copy = slow_copy;
	slow.del = slow_del;
	bucket->ops = &slow;
	n_done = going = most = 0;
}

static void setup(void)
{
	rig_machine(1);
	rig_opts.transfer.max_uploads = WORKERS;
	ck_assert_int_eq(rig_open(), 0);
	make_folder("old", FILES);
	become_slow();
}

static void teardown(void)
{
	bucket->ops = real;
	rig_end();
}

static unsigned place(const char *what)
{
	for (unsigned i = 0; i < n_done; i++)
		if (strcmp(done[i], what) == 0)
			return i;
	ck_abort_msg("%s did not happen", what);
}

static unsigned place_of(char what, const char *dir, unsigned file)
{
	char want[32];

	(void)snprintf(want, sizeof(want), "%c run/%s/f%02u", what, dir, file);
	return place(want);
}

static void move(void)
{
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "old", FS_ROOT_INO, "new",
				   0),
			 0);
}

static void assert_moved(void)
{
	char path[16], want[16];

	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(path, sizeof(path), "new/f%02u", i);
		(void)snprintf(want, sizeof(want), "f%02u", i);
		assert_text(object_of(path), want);
		(void)snprintf(path, sizeof(path), "old/f%02u", i);
		ck_assert_ptr_null(object_of(path));
	}
}

/* All workers but one. */
START_TEST(the_copies_of_a_folder_go_side_by_side)
{
	int64_t began = sim_now(sim);

	move();
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_eq(most, WORKERS - 1);
	/* One after the other 4.8 s. */
	ck_assert_int_lt(sim_now(sim) - began, 2 * NS_PER_S);
	assert_moved();
}
END_TEST

/* No delete before all copies; the newest is copied when all else is there, and
 * deleted while all else is. */
START_TEST(the_newest_comes_last_and_goes_first)
{
	move();
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_eq(place_of('c', "new", FILES - 1), FILES - 1);
	ck_assert_uint_eq(place_of('d', "old", FILES - 1), FILES);
	for (unsigned i = 0; i < FILES; i++) {
		unsigned at = place_of('c', "new", i);

		ck_assert_uint_lt(at, FILES);
		ck_assert_uint_lt(at, i + WORKERS);
	}
}
END_TEST

/* Whoever reads the folder meanwhile finds a beginning of it, nearly. */
START_TEST(one_that_takes_long_is_not_overtaken_by_all)
{
	stuck = true;
	move();
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_eq(place_of('c', "new", 0), 15);
	assert_moved();
}
END_TEST

/* Each folder's, among those of others. */
START_TEST(a_folders_newest_waits_for_all_that_is_older)
{
	struct fs_ctx ctx = ctx_of();
	uint64_t top = ino_of("old");
	struct fs_entry e;
	struct file f;

	bucket->ops = real;
	ck_assert_int_eq(fs_mkdir(fs, &ctx, top, "d", 0777, &e), 0);
	ck_assert_int_eq(f_create_in(&f, e.attr.ino, "x", O_WRONLY), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_int_eq(f_create_in(&f, top, "z", O_WRONLY), 0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	become_slow();
	move();
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_eq(place("c run/new/d/x"), FILES);
	ck_assert_uint_eq(place("c run/new/z"), FILES + 1);
	ck_assert_uint_eq(place("d run/old/z"), FILES + 2);
	ck_assert_uint_eq(place("d run/old/d/x"), FILES + 3);
}
END_TEST

/* What is done is not done again, and of what was under way nothing is left. */
START_TEST(it_goes_on_after_a_death)
{
	move();
	(void)sim_run_for(sim, NS_PER_S + (int64_t)(_i + 1) * 2 * TAKES);
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	ck_assert(settle(60 * NS_PER_S));
	ck_assert_uint_le(n_done, 2 * (FILES + WORKERS));
	bucket->ops = real;
	assert_moved();
	bucket->ops = &slow;
}
END_TEST

/* One that is refused for a while holds up the deletes, and nothing is lost. */
START_TEST(a_copy_that_fails_is_made_again)
{
	refuse = 2;
	move();
	ck_assert(settle(300 * NS_PER_S));
	ck_assert_uint_eq(refuse, 0);
	ck_assert_uint_ge(place_of('d', "old", FILES - 1), FILES);
	assert_moved();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, the_copies_of_a_folder_go_side_by_side);
	tcase_add_test(c, the_newest_comes_last_and_goes_first);
	tcase_add_test(c, one_that_takes_long_is_not_overtaken_by_all);
	tcase_add_test(c, a_folders_newest_waits_for_all_that_is_older);
	tcase_add_loop_test(c, it_goes_on_after_a_death, 0, 6);
	tcase_add_test(c, a_copy_that_fails_is_made_again);
}

int main(void)
{
	return harness_run("sim crew", add);
}
