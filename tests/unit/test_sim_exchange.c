/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RENAME_EXCHANGE over a simulated machine: of anything with anything, in any
 * state; the bucket follows, and whenever the machine dies both names are as
 * before or both have changed places.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ckptfs/compiler.h"

#include "fs_rig.h"
#include "harness.h"

static int swap(const char *a, const char *b)
{
	return fs_rename(fs, FS_ROOT_INO, a, FS_ROOT_INO, b, RENAME_EXCHANGE);
}

static bool is(const char *got, const char *want)
{
	return got && strcmp(got, want) == 0;
}

static uint64_t make_dir(const char *name)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	ck_assert_int_eq(fs_mkdir(fs, &ctx, FS_ROOT_INO, name, 0777, &e), 0);
	fs_forget(fs, e.attr.ino, 1);
	return e.attr.ino;
}

static void put_in(uint64_t dir, const char *name, const char *text)
{
	struct file f;

	ck_assert_int_eq(f_create_in(&f, dir, name, O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, text, 0), 0);
	ck_assert_int_eq(f_close(&f), 0);
}

static void rest(void)
{
	ck_assert(settle(600 * NS_PER_S));
	(void)sim_run_for(sim, 2 * NS_PER_S); /* and durable */
}

/* ---- every state ---- */

enum state {
	NEW,
	PUBLISHED,
	EVICTED,
	REWRITTEN, /* published, and closed again with other bytes */
	OPEN_NEW,
	OPEN, /* published, and open for writing */
	GOING, /* its body is on its way */
	LINK,
	NEW_LINK,
	EMPTY, /* folders */
	FOLDER, /* with a file that is published and one that is not */
	FIFO,
	N_STATES
};

/* One of the two: what is under it, and how it was made. */
struct thing {
	enum state state;
	const char *text; /* of a file, or of the file "old" in a folder */
	struct file f;
	bool open;
};

static bool is_published(enum state s)
{
	return s == PUBLISHED || s == EVICTED || s == REWRITTEN || s == OPEN ||
	       s == LINK || s == FOLDER;
}

/* What the bucket is to have before the last step. */
static void begin_thing(const char *name, const struct thing *t)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	if (!is_published(t->state))
		return;
	if (t->state == FOLDER)
		put_in(make_dir(name), "old", t->text);
	else if (t->state == LINK)
		ck_assert_int_eq(fs_symlink(fs, &ctx, t->text, FS_ROOT_INO,
					    name, &e),
				 0);
	else
		ck_assert_int_eq(put_file(name, t->state == PUBLISHED ||
								t->state == EVICTED ?
							t->text :
							"before"),
				 0);
}

static void open_thing(const char *name, struct thing *t, bool anew)
{
	t->open = true;
	ck_assert_int_eq(anew ? f_create(&t->f, name, O_WRONLY) :
				f_open(&t->f, name, O_WRONLY | O_TRUNC),
			 0);
	ck_assert_int_eq(f_write(&t->f, t->text, 0), 0);
}

static void end_thing(const char *name, struct thing *t)
{
	struct fs_bulk how = { .deadline_mono_ns = CLK_NEVER };
	struct fs_bulk_sums sums;
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;

	switch (t->state) {
	case NEW:
	case GOING:
		ck_assert_int_eq(put_file(name, t->text), 0);
		break;
	case EVICTED:
		ck_assert_int_eq(fs_evict(fs, name, &how, &sums), 0);
		break;
	case REWRITTEN:
	case OPEN:
		open_thing(name, t, false);
		break;
	case OPEN_NEW:
		open_thing(name, t, true);
		break;
	case NEW_LINK:
		ck_assert_int_eq(fs_symlink(fs, &ctx, t->text, FS_ROOT_INO,
					    name, &e),
				 0);
		break;
	case EMPTY:
		(void)make_dir(name);
		break;
	case FOLDER:
		put_in(ino_of(name), "new", t->text);
		break;
	case FIFO:
		ck_assert_int_eq(fs_mknod(fs, &ctx, FS_ROOT_INO, name,
					  S_IFIFO | 0600, &e),
				 0);
		break;
	default:
		break;
	}
	if (t->state == REWRITTEN) {
		ck_assert_int_eq(f_close(&t->f), 0);
		t->open = false;
	}
}

/* Here, or in the bucket. */
static void assert_thing(const char *name, const struct thing *t, bool here)
{
	const char *(*look)(const char *path) = here ? text_of : object_of;
	char path[16];

	switch (t->state) {
	case EMPTY:
		(void)snprintf(path, sizeof(path), here ? "%s" : "%s/", name);
		if (here)
			ck_assert_uint_ne(ino_of(path), 0);
		else
			assert_text(object_of(path), "");
		break;
	case FOLDER:
		(void)snprintf(path, sizeof(path), "%s/old", name);
		assert_text(look(path), t->text);
		(void)snprintf(path, sizeof(path), "%s/new", name);
		assert_text(look(path), t->text);
		break;
	case FIFO:
		ck_assert_uint_ne(ino_of(name), 0);
		if (!here)
			ck_assert_ptr_null(object_of(name));
		break;
	case LINK:
	case NEW_LINK:
		ck_assert_uint_ne(ino_of(name), 0);
		if (!here)
			assert_text(object_of(name), t->text);
		break;
	default:
		assert_text(look(name), t->text);
	}
}

static unsigned names_of(const struct thing *t)
{
	return t->state == FOLDER ? 2 : t->state != FIFO;
}

static void close_thing(struct thing *t)
{
	if (t->open)
		ck_assert_int_eq(f_close(&t->f), 0);
	t->open = false;
}

static unsigned count_in_bucket(void)
{
	const char *p = names_in_bucket() + 1;
	unsigned n = 0;

	for (; *p; p = strchr(p, ' ') + 1)
		n++;
	return n;
}

/* Nothing is left over, not even where no mount looks. */
static int on_hidden(void *arg, const char *key, const struct store_obj *obj)
{
	(void)arg;
	(void)obj;
	ck_abort_msg("%s is left in the bucket", key);
	return 0;
}

static void assert_none_aside(void)
{
	ck_assert_int_eq(store_list(bucket, "run/.ckptfs/", NULL, false,
				    on_hidden, NULL),
			 0);
}

static void assert_swapped(const struct thing *a, const struct thing *b)
{
	assert_thing("b", a, true);
	assert_thing("a", b, true);
}

static void assert_drained(const struct thing *a, const struct thing *b)
{
	rest();
	assert_swapped(a, b);
	assert_thing("b", a, false);
	assert_thing("a", b, false);
	ck_assert_uint_eq(count_in_bucket(), names_of(a) + names_of(b));
	assert_none_aside();
}

/* how: 0: it is drained; 1: after a restart; 2: once more before that. */
static void try_pair(enum state x, enum state y, int how)
{
	struct thing a = { .state = x, .text = "one" };
	struct thing b = { .state = y, .text = "twofold" };
	uint64_t ino[2];

	rig_begin(1 + x * N_STATES + y);
	begin_thing("a", &a);
	begin_thing("b", &b);
	rest();
	end_thing("a", &a);
	end_thing("b", &b);
	if (x == GOING || y == GOING)
		(void)sim_run_for(sim, NS_PER_S + NS_PER_S / 100);
	ino[0] = ino_of("a");
	ino[1] = ino_of("b");
	ck_assert_int_eq(swap("a", "b"), 0);
	ck_assert_uint_eq(ino_of("b"), ino[0]);
	ck_assert_uint_eq(ino_of("a"), ino[1]);
	assert_swapped(&a, &b);
	if (how == 2) {
		ck_assert_int_eq(swap("b", "a"), 0);
		ck_assert_int_eq(swap("a", "b"), 0);
	}
	close_thing(&a);
	close_thing(&b);
	if (how == 1) {
		rig_die();
		ck_assert_int_eq(rig_open(), 0);
		assert_swapped(&a, &b);
	}
	assert_drained(&a, &b);
	/* The next listing is of the same mind. */
	(void)sim_run_for(sim, 20 * NS_PER_S);
	assert_drained(&a, &b);
	rig_end();
}

START_TEST(anything_changes_places_with_anything)
{
	rig_tree = _i / N_STATES / 3;
	for (enum state y = NEW; y < N_STATES; y++)
		try_pair((enum state)(_i / 3 % N_STATES), y, _i % 3);
	rig_tree = false;
}
END_TEST

/* ---- what is refused ---- */

START_TEST(what_does_not_go_changes_nothing)
{
	uint64_t d;

	rig_begin(1);
	d = make_dir("d");
	put_in(d, "f", "text");
	ck_assert_int_eq(put_file("a", "one"), 0);
	ck_assert_int_eq(swap("a", "none"), -ENOENT);
	ck_assert_int_eq(swap("none", "a"), -ENOENT);
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "d", d, "f",
				   RENAME_EXCHANGE),
			 -EINVAL);
	ck_assert_int_eq(fs_rename(fs, d, "f", FS_ROOT_INO, "d",
				   RENAME_EXCHANGE),
			 -EINVAL);
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "a", FS_ROOT_INO, "d",
				   RENAME_EXCHANGE | RENAME_NOREPLACE),
			 -EINVAL);
	ck_assert_int_eq(swap("a", "a"), 0);
	rest();
	ck_assert_str_eq(names_in_bucket(), " a d/f ");
	rig_end();
}
END_TEST

/* ---- temporary names ---- */

/* What is held back under one gets its place by the exchange, and the other one
 * keeps its own. */
START_TEST(what_was_held_is_published_in_place_of_the_other)
{
	static const char *const held[] = { "x.tmp", "b" };

	rig_begin(1);
	ck_assert_int_eq(put_file("b", "old"), 0);
	rest();
	ck_assert_int_eq(put_file("x.tmp", "fresh"), 0);
	ck_assert_int_eq(swap(held[_i], held[!_i]), 0);
	rest();
	assert_text(text_of("b"), "fresh");
	assert_text(text_of("x.tmp"), "old");
	assert_text(object_of("b"), "fresh");
	assert_text(object_of("x.tmp"), "old");
	rig_end();
}
END_TEST

/* Published, and one that is not closed yet: the old name keeps its object until
 * that is; but not if it is a temporary one, which has no successor. */
START_TEST(an_old_name_keeps_its_object_until_the_other_comes)
{
	const char *name = _i ? "x.tmp" : "b";
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(put_file("first", "old"), 0);
	rest();
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "first", FS_ROOT_INO, name,
				   0),
			 0);
	rest();
	assert_text(object_of(name), "old");
	ck_assert_int_eq(f_create(&f, "a", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "fresh", 0), 0);
	ck_assert_int_eq(swap("a", name), 0);
	(void)sim_run_for(sim, 5 * NS_PER_S);
	assert_text(object_of("a"), "old");
	if (_i)
		ck_assert_ptr_null(object_of(name));
	else
		assert_text(object_of(name), "old");
	ck_assert_int_eq(f_close(&f), 0);
	rest();
	assert_text(object_of("a"), "old");
	assert_text(text_of(name), "fresh");
	if (!_i)
		assert_text(object_of(name), "fresh");
	rig_end();
}
END_TEST

/* One that is not closed yet took the name of a published one: where no folder
 * can be beside that object, it goes before the folder comes. */
START_TEST(a_folder_comes_where_a_replaced_object_is)
{
	bool back = _i / 2 % 2, sealed = _i / 8;
	struct file f;

	rig_tree = _i / 4 % 2;
	rig_begin(1);
	ck_assert_int_eq(put_file("b", "old"), 0);
	put_in(make_dir("c"), "in", "text");
	rest();
	ck_assert_int_eq(f_create(&f, "e", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "fresh", 0), 0);
	ck_assert_int_eq(sealed ? f_flush(&f) : 0, 0);
	ck_assert_int_eq(fs_rename(fs, FS_ROOT_INO, "e", FS_ROOT_INO, "b", 0),
			 0);
	ck_assert_int_eq(swap("b", "c"), 0);
	ck_assert_int_eq(f_write(&f, "again", 0), 0);
	ck_assert_int_eq(back ? swap("b", "c") : 0, 0);
	if (_i % 2)
		(void)sim_run_for(sim, 5 * NS_PER_S);
	ck_assert_int_eq(f_close(&f), 0);
	rest();
	assert_text(object_of(back ? "b" : "c"), "again");
	assert_text(object_of(back ? "c/in" : "b/in"), "text");
	ck_assert_str_eq(names_in_bucket(), back ? " b c/in " : " b/in c ");
	rig_end();
	rig_tree = false;
}
END_TEST

/* ---- deaths ---- */

static const char *const old_a = "one", *const old_b = "twofold";

/* At any moment each name has one of the two, and each of the two a name, or
 * is aside. */
static void assert_never_lost(unsigned long n)
{
	char a[16] = "", b[16] = "";

	if (object_of("a"))
		(void)snprintf(a, sizeof(a), "%s", object_of("a"));
	if (object_of("b"))
		(void)snprintf(b, sizeof(b), "%s", object_of("b"));
	ck_assert_msg(is(a, old_a) || is(a, old_b),
		      "call %lu: a is \"%s\" in the bucket", n, a);
	ck_assert_msg(is(b, old_a) || is(b, old_b),
		      "call %lu: b is \"%s\" in the bucket", n, b);
}

/* Whether it was hit. */
static bool dies_after(unsigned long n, int keep, bool published)
{
	bool hit, was_b;
	int r;

	rig_begin(n);
	ck_assert_int_eq(put_file("a", old_a), 0);
	ck_assert_int_eq(put_file("b", old_b), 0);
	if (published)
		rest();
	else
		(void)sim_run_for(sim, NS_PER_S / 2);
	simdisk_halt_after(disk, n);
	r = swap("a", "b");
	(void)sim_run_for(sim, 20 * NS_PER_S);
	hit = simdisk_halted(disk);
	if (keep < 0)
		rig_die();
	else
		rig_cut((unsigned)keep);
	if (published)
		assert_never_lost(n);
	ck_assert_int_eq(rig_open(), 0);
	was_b = is(text_of("a"), old_b);
	if (keep < 0 && r == 0)
		ck_assert_msg(was_b, "call %lu: it was promised", n);
	if (published || keep < 0) {
		ck_assert_msg(is(text_of("a"), was_b ? old_b : old_a) &&
				      is(text_of("b"), was_b ? old_a : old_b),
			      "call %lu: half of it", n);
		ck_assert_msg(settle(600 * NS_PER_S), "call %lu: stuck", n);
		assert_never_lost(n);
		ck_assert_msg(is(object_of("a"), was_b ? old_b : old_a) &&
				      is(object_of("b"), was_b ? old_a : old_b),
			      "call %lu: not so in the bucket", n);
		assert_none_aside();
	}
	rig_end();
	return hit;
}

START_TEST(whenever_it_dies_it_is_whole_or_not_at_all)
{
	static const int keeps[] = { -1, 0, 50, 100 };
	unsigned long n = (unsigned long)_i % harness_step();

	while (dies_after(n, keeps[_i % 4], _i < 4))
		n += harness_step();
	ck_assert_uint_gt(n, 40);
}
END_TEST

/* ---- an answer that is lost, a version that is withdrawn ---- */

START_TEST(a_copy_whose_answer_is_lost_is_found)
{
	struct store_fault lost = { .method = "copy",
				    .skip = (unsigned)_i,
				    .count = 1,
				    .err = -ETIMEDOUT,
				    .act = STORE_FAULT_AFTER };

	rig_begin(1);
	ck_assert_int_eq(put_file("a", old_a), 0);
	ck_assert_int_eq(put_file("b", old_b), 0);
	rest();
	ck_assert_int_eq(store_fault_set(bucket, &lost, 1), 0);
	ck_assert_int_eq(swap("a", "b"), 0);
	rest();
	assert_text(object_of("a"), old_b);
	assert_text(object_of("b"), old_a);
	assert_none_aside();
	rig_end();
}
END_TEST

/* One of them is deleted before the bucket heard of the exchange. */
START_TEST(what_is_deleted_behind_it_is_gone)
{
	const char *gone = _i % 2 ? "a" : "b", *left = _i % 2 ? "b" : "a";

	rig_begin(1);
	ck_assert_int_eq(put_file("a", old_a), 0);
	if (_i & 2)
		rest();
	ck_assert_int_eq(put_file("b", old_b), 0);
	if (_i & 4)
		rest();
	ck_assert_int_eq(swap("a", "b"), 0);
	ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, gone), 0);
	rest();
	ck_assert_ptr_null(object_of(gone));
	assert_text(object_of(left), _i % 2 ? old_a : old_b);
	assert_none_aside();
	rig_end();
}
END_TEST

/* The seal of one is taken back, for somebody writes it on: it comes later,
 * under the name it has by then, and the other one is where it belongs. */
START_TEST(what_is_written_on_comes_later)
{
	const char *first = _i % 2 ? "a" : "b", *other = _i % 2 ? "b" : "a";
	struct file f;

	rig_begin(1);
	ck_assert_int_eq(put_file(other, old_b), 0);
	if (_i & 2)
		ck_assert_int_eq(put_file(first, "before"), 0);
	rest();
	ck_assert_int_eq(_i & 2 ? f_open(&f, first, O_RDWR | O_TRUNC) :
				  f_create(&f, first, O_RDWR),
			 0);
	ck_assert_int_eq(f_write(&f, old_a, 0), 0);
	ck_assert_int_eq(f_flush(&f), 0);
	ck_assert_int_eq(swap("a", "b"), 0);
	ck_assert_int_eq(f_write(&f, "!", 3), 0);
	(void)sim_run_for(sim, 60 * NS_PER_S);
	assert_text(object_of(first), old_b);
	if (_i & 4) {
		ck_assert_int_eq(fs_unlink(fs, FS_ROOT_INO, other), 0);
		ck_assert_int_eq(f_close(&f), 0);
		rest();
		ck_assert_ptr_null(object_of(other));
	} else {
		ck_assert_int_eq(f_close(&f), 0);
		rest();
		assert_text(object_of(other), "one!");
	}
	assert_text(object_of(first), old_b);
	assert_none_aside();
	rig_end();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, anything_changes_places_with_anything, 0,
			    2 * 3 * N_STATES);
	tcase_add_test(c, what_does_not_go_changes_nothing);
	tcase_add_loop_test(c, what_was_held_is_published_in_place_of_the_other,
			    0, 2);
	tcase_add_loop_test(c, a_folder_comes_where_a_replaced_object_is, 0,
			    16);
	tcase_add_loop_test(
		c, an_old_name_keeps_its_object_until_the_other_comes, 0, 2);
	tcase_add_loop_test(c, whenever_it_dies_it_is_whole_or_not_at_all, 0,
			    8);
	tcase_add_loop_test(c, a_copy_whose_answer_is_lost_is_found, 0, 3);
	tcase_add_loop_test(c, what_is_deleted_behind_it_is_gone, 0, 8);
	tcase_add_loop_test(c, what_is_written_on_comes_later, 0, 8);
}

int main(void)
{
	return harness_run("sim_exchange", add);
}
