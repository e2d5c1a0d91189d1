/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache of each schema (tests/fixtures/cache-N.tar.xz) is opened, recovered,
 * drained and decided about by this program.  Whoever changes the schema adds
 * one, before the change:
 *
 *	mkdir cache-N; CKPTFS_MAKE_FIXTURE=$PWD/cache-N tests/unit/test_sim_fixture
 *	tar --owner=0 --group=0 --sort=name -cJf cache-N.tar.xz cache-N
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture_rig.h"
#include "harness.h"
#include "kept_rig.h"
#include "meta/internal.h"

static void unpack(int schema, const char *dir)
{
	const char *top = getenv("top_srcdir");
	char cmd[2048];

	(void)snprintf(cmd, sizeof(cmd),
		       "tar -xJf '%s/tests/fixtures/cache-%d.tar.xz' "
		       "--strip-components=1 --no-same-owner -C '%s'",
		       top ? top : ".", schema, dir);
	ck_assert_int_eq(system(cmd), 0);
}

static void teardown(void)
{
	rig_end();
}

static void load(int schema)
{
	const char *dir = harness_tmpdir();

	unpack(schema, dir);
	fixture_load(dir);
	ck_assert_int_eq(rig_open(), 0);
}

static void assert_what_was_left(bool parked)
{
	ck_assert_str_eq(kept(), parked ? " conf=conflict p/parked=parked "
					  "poisoned=poisoned torn.pt=torn "
					  "unfinished=unfinished " :
					  " conf=conflict poisoned=poisoned "
					  "torn.pt=torn unfinished=unfinished ");
	assert_text(text_of("pub"), "pub");
	assert_text(text_of("pub2"), "new one");
	assert_text(text_of("to"), "moved");
	assert_text(text_of("new"), "new");
	assert_text(text_of("big"), FIXTURE_BIG);
	assert_text(text_of("conf"), "ours");
	assert_text(text_of("x.tmp"), "held");
	assert_text(text_of("dir/in"), "in");
	assert_text(text_of("p/parked"), "parked");
	assert_text(text_of("torn.pt"), FIXTURE_TORN);
	assert_text(text_of("unfinished"), "half");
	ck_assert_ptr_null(text_of("from"));
	ck_assert_ptr_null(text_of("deleted"));
	assert_text(text_of("evicted"), "gone");
}

START_TEST(a_cache_of_each_schema_is_drained)
{
	char target[1025];

	load(_i);
	assert_what_was_left(true);
	rig_die();
	ck_assert_int_eq(rig_open(), 0);
	run(200);
	/* What was closed behind the parked one waits for it. */
	ck_assert_str_eq(names_in_bucket(),
			 " conf deleted dir/in evicted from pub pub2 ");
	assert_text(object_of("pub2"), "old");
	assert_what_was_left(true);
	ck_assert_int_eq(act(FS_RECOVER_RETRY, "p/parked"), 0);
	run(200);
	ck_assert_str_eq(names_in_bucket(), " big conf dir/in evicted link new "
					    "p/parked pub pub2 to ");
	assert_text(object_of("pub2"), "new one");
	assert_text(object_of("to"), "moved");
	assert_text(object_of("big"), FIXTURE_BIG);
	assert_text(object_of("conf"), "theirs");
	assert_text(object_of("link"), "pub");
	ck_assert_int_eq(fs_readlink(fs, ino_of("link"), target), 0);
	ck_assert_str_eq(target, "pub");
	assert_what_was_left(false);
}
END_TEST

START_TEST(what_waits_in_a_cache_of_each_schema_is_decided)
{
	load(_i);
	ck_assert_int_eq(act(FS_RECOVER_RETRY, "p/parked"), 0);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "conf"), 0);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "poisoned"), 0);
	ck_assert_int_eq(act(FS_RECOVER_PUBLISH, "unfinished"), 0);
	ck_assert_int_eq(act(FS_RECOVER_DISCARD, "torn.pt"), 0);
	ck_assert_int_eq(rename_to("x.tmp", "x"), 0);
	ck_assert(settle(600 * NS_PER_S));
	run(60);
	ck_assert_str_eq(kept_in("", true), " ");
	ck_assert_str_eq(names_in_bucket(),
			 " big conf dir/in evicted link new p/parked poisoned "
			 "pub pub2 to unfinished x ");
	ck_assert_str_eq(names_in_mount(),
			 " big conf dir evicted link new p poisoned pub pub2 "
			 "to unfinished x ");
	assert_text(object_of("conf"), "ours");
	assert_text(object_of("p/parked"), "parked");
	assert_text(object_of("poisoned"), "poison");
	assert_text(object_of("unfinished"), "half");
	assert_text(object_of("x"), "held");
}
END_TEST

/* What the fixture is made of is what this program leaves, too. */
START_TEST(a_cache_of_this_program_is_drained)
{
	const char *dir = harness_tmpdir();

	fixture_make(dir);
	rig_end();
	fixture_load(dir);
	ck_assert_int_eq(rig_open(), 0);
	assert_what_was_left(true);
	run(200);
	assert_what_was_left(true);
}
END_TEST

START_TEST(one_is_made_by_order)
{
	fixture_make(getenv("CKPTFS_MAKE_FIXTURE"));
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, NULL, teardown);
	if (getenv("CKPTFS_MAKE_FIXTURE")) {
		tcase_add_test(c, one_is_made_by_order);
		return;
	}
	tcase_add_loop_test(c, a_cache_of_each_schema_is_drained, 1,
			    META_SCHEMA + 1);
	tcase_add_loop_test(c, what_waits_in_a_cache_of_each_schema_is_decided,
			    1, META_SCHEMA + 1);
	tcase_add_test(c, a_cache_of_this_program_is_drained);
}

int main(void)
{
	return harness_run("sim_fixture", add);
}
