/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes room for a tree that is fetched, and where it ends.  On simulated
 * disks.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "harness.h"
#include "prefetch_rig.h"

START_TEST(what_is_too_large_is_not_begun)
{
	make_slow();
	rig_opts.download_limit = 0;
	rig_opts.cache_size = 10 * MIB;
	reopen();
	ck_assert_int_eq(put_file("own", "text"), 0);
	ck_assert_int_eq(prefetch(""), -ENOSPC);
	ck_assert_uint_eq(sums.bytes, 12 * MIB);
	/* Less what is not in the bucket yet. */
	ck_assert_uint_eq(sums.room, 10 * MIB - 4);
	ck_assert_uint_eq(fetched(), 0);
	ck_assert_uint_eq(used(), 4);
	ck_assert_int_eq(prefetch("a"), 0);
	ck_assert_int_eq(prefetch("b"), 0);
	ck_assert_uint_eq(used(), 8 * MIB + 4);
	/* That makes room of the others, and no more than is needed. */
	ck_assert(settle(60 * NS_PER_S));
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(prefetch("c"), 0);
	ck_assert_uint_eq(here("a"), 0);
	ck_assert_uint_eq(here("b"), 4 * MIB);
	ck_assert_uint_eq(here("c"), 4 * MIB);
	/* Of what it is told to fetch it lets nothing go. */
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(prefetch(""), -ENOSPC);
	ck_assert_uint_eq(here("b"), 4 * MIB);
	ck_assert_uint_eq(here("c"), 4 * MIB);
}
END_TEST

START_TEST(what_is_much_too_large_is_not_begun)
{
	put_foreign("run/d/a", 24 * MIB);
	put_foreign("run/d/b", 24 * MIB);
	put_foreign("run/d/c", 24 * MIB);
	rig_opts.cache_size = 70 * MIB;
	reopen();
	ck_assert_int_eq(prefetch(""), -ENOSPC);
	ck_assert_uint_eq(sums.room, 70 * MIB);
	ck_assert_uint_eq(fetched(), 0);
}
END_TEST

START_TEST(what_cannot_go_makes_no_room)
{
	static char block[4 * MIB];
	struct file f;
	int mapped;

	put_foreign("run/d/a", 4 * MIB);
	put_foreign("run/d/b", 4 * MIB);
	reopen();
	ck_assert_int_eq(f_create(&f, "old", O_WRONLY), 0);
	ck_assert_int_eq(
		simdisk_external_write(disk, f.ext, block, sizeof(block), 0),
		0);
	ck_assert_int_eq(f_close(&f), 0);
	ck_assert(settle(60 * NS_PER_S));
	mapped = intrude(ino_of("old"));
	rig_opts.cache_size = 10 * MIB;
	reopen();
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(prefetch("d/a"), 0);
	sim_advance(sim, NS_PER_S);
	ck_assert_int_eq(prefetch("d"), -ENOSPC);
	ck_assert_uint_eq(here("d/a"), 4 * MIB);
	ck_assert_uint_eq(here("d/b"), 0);
	simdisk_external_close(disk, mapped);
	ck_assert_int_eq(prefetch("d"), 0);
	ck_assert_uint_eq(here("d"), 8 * MIB);
	ck_assert_uint_eq(here("old"), 0);
}
END_TEST

START_TEST(the_disk_has_an_end_too)
{
	struct disk_space sp;

	make_slow();
	rig_opts.download_limit = 0;
	rig_opts.cache_min_free = 100 * MIB;
	reopen();
	ck_assert_int_eq(disk_space(disk, &sp), 0);
	simdisk_set_capacity(disk, sp.total - sp.avail + 106 * MIB);
	ck_assert_int_eq(prefetch(""), -ENOSPC);
	ck_assert_uint_le(sums.room, 6 * MIB);
	ck_assert_uint_gt(sums.room, 4 * MIB);
	ck_assert_int_eq(prefetch("a"), 0);
	ck_assert_int_eq(disk_space(disk, &sp), 0);
	ck_assert_uint_ge(sp.avail, 100 * MIB);
}
END_TEST

static void write_much(void)
{
	static char block[MIB];
	struct file f;
	unsigned i;

	ck_assert_int_eq(f_create(&f, "mine.tmp", O_WRONLY), 0);
	for (i = 0; i < 6; i++)
		ck_assert_int_eq(simdisk_external_write(disk, f.ext, block, MIB,
							i * MIB),
				 0);
	ck_assert_int_eq(f_close(&f), 0);
}

START_TEST(it_ends_where_room_is_taken_meanwhile)
{
	make_slow();
	rig_opts.cache_size = 13 * MIB;
	reopen();
	meanwhile = write_much;
	ck_assert_int_eq(prefetch(""), -ENOSPC);
	ck_assert_ptr_null(meanwhile);
	ck_assert_uint_le(used(), 13 * MIB);
	ck_assert_uint_lt(sums.done_files, 3);
	/* Nothing is left by halves. */
	ck_assert_uint_eq(used(), 6 * MIB + sums.done_files * 4 * MIB);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, prefetch_begin, rig_end);
	tcase_add_test(c, what_is_too_large_is_not_begun);
	tcase_add_test(c, what_is_much_too_large_is_not_begun);
	tcase_add_test(c, what_cannot_go_makes_no_room);
	tcase_add_test(c, the_disk_has_an_end_too);
	tcase_add_test(c, it_ends_where_room_is_taken_meanwhile);
}

int main(void)
{
	return harness_run("sim_prefetch_room", add);
}
