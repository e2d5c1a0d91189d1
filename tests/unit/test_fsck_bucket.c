/* SPDX-License-Identifier: Apache-2.0 */
/* The check of a bucket, over a store in memory and simulated readers. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"
#include "ckptfs/fsck.h"
#include "ckptfs/host.h"
#include "ckptfs/store.h"

#include "harness.h"
#include "sim.h"

#define HOUR (3600 * NS_PER_S)
#define PREFIX "run/"

static struct {
	struct sim *sim;
	struct store *s; /* faults before one in memory */
	struct buf said;
	struct fsck_bucket_opts opts;
	struct fsck_bucket_sums sums;
} rig;

static void told(void *arg, enum fsck_word word, const char *text)
{
	static const char *const words[] = { "note ", "found ", "mended " };

	(void)arg;
	ck_assert_int_eq(buf_addf(&rig.said, "%s%.*s\n", words[word],
				  (int)strcspn(text, ":"), text),
			 0);
}

static void setup(void)
{
	struct store *mem;

	rig.sim = sim_new(1);
	mem = store_mem_new(sim_host(rig.sim)->clk);
	ck_assert_ptr_nonnull(mem);
	rig.s = store_fault_new(mem);
	ck_assert_ptr_nonnull(rig.s);
	ck_assert_int_eq(store_probe(rig.s, PREFIX, false), 0);
	rig.said = (struct buf)BUF_INIT(1 << 16);
	rig.opts = (struct fsck_bucket_opts){ .prefix = PREFIX,
					      .orphan_ns = 24 * HOUR,
					      .readers = 3,
					      .told = told };
}

static void teardown(void)
{
	store_free(rig.s);
	sim_free(rig.sim);
	buf_clear(&rig.said);
}

static ssize_t src_read(void *arg, uint64_t off, void *p, size_t n)
{
	memcpy(p, (const char *)arg + off, n);
	return (ssize_t)n;
}

static void put_by(const char *key, const char *body, const char *write_id)
{
	struct store_src src = { .read = src_read,
				 .arg = (void *)(uintptr_t)body,
				 .len = strlen(body) };
	struct store_meta meta = { .has_mode = false };
	struct store_obj o;

	strcpy(meta.write_id, write_id);
	ck_assert_int_eq(store_put(rig.s, key, &src, &meta, NULL, &o), 0);
}

static void put(const char *key, const char *body)
{
	put_by(key, body, "ours");
}

static void check(const char *expected)
{
	rig.said.len = 0;
	ck_assert_int_eq(buf_add(&rig.said, "", 0), 0);
	ck_assert_int_eq(fsck_bucket(rig.s, sim_host(rig.sim), &rig.opts,
				     &rig.sums),
			 0);
	ck_assert_str_eq(rig.said.p, expected);
}

START_TEST(a_bucket_in_order_has_nothing_to_be_told)
{
	put(PREFIX "a", "12");
	put(PREFIX "a-b", "3");
	put(PREFIX "d/", "");
	put(PREFIX "d/f", "4");
	put(PREFIX ".ckptfs/new/x", "whatever it is, not known here");
	put("elsewhere//", "not ours to judge");
	check("");
	ck_assert_uint_eq(rig.sums.objects, 4);
	ck_assert_uint_eq(rig.sums.bytes, 4);
	ck_assert_uint_eq(rig.sums.found, 0);
}
END_TEST

START_TEST(names_that_no_mount_shows)
{
	char key[300] = PREFIX;

	put(PREFIX "/a", "");
	put(PREFIX "b//c", "");
	put(PREFIX "d/.", "");
	put(PREFIX "e/../f", "");
	memset(key + strlen(PREFIX), 'n', 256);
	put(key, "");
	key[strlen(key) - 1] = '\0';
	put(key, "255 are fine");
	put(PREFIX "g.", "");
	put(PREFIX "...", "");
	check("found run//a\nfound run/b//c\nfound run/d/.\n"
	      "found run/e/../f\nfound run/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	      "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	      "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	      "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	      "nnnnnnnnnnnnnnnnnnnnnnnnnnnn\n");
	ck_assert_uint_eq(rig.sums.found, 5);
	ck_assert_uint_eq(rig.sums.objects, 8);
}
END_TEST

/* Other names may lie between the two in the listing. */
START_TEST(a_name_that_is_both_a_file_and_a_folder)
{
	put(PREFIX "a", "");
	put(PREFIX "a-1", "");
	put(PREFIX "a-1/x", "");
	put(PREFIX "a.txt", "");
	put(PREFIX "a/b", "");
	put(PREFIX "a/c", "");
	put(PREFIX "ab", "");
	put(PREFIX "ab0", "");
	put(PREFIX "m", "");
	put(PREFIX "m/", "");
	check("found run/a-1\nfound run/a\nfound run/m\n");
}
END_TEST

START_TEST(markers_of_folders)
{
	put(PREFIX "full/", "bytes");
	put_by(PREFIX "theirs/", "", "");
	put(PREFIX "ours/", "");
	put(PREFIX "hadoop_$folder$", "");
	check("found run/full/\nnote run/hadoop_$folder$\nnote run/theirs/\n");
	ck_assert_uint_eq(rig.sums.found, 1);
	rig.opts.real_folders = true;
	check("found run/full/\nnote run/hadoop_$folder$\n");
}
END_TEST

START_TEST(what_lies_in_the_hidden_folder)
{
	put(PREFIX ".ckptfs/probe-1", "old");
	sim_advance(rig.sim, 2 * HOUR);
	put(PREFIX ".ckptfs/probe-2", "under way");
	put(PREFIX ".ckptfs/conflict/a/1", "kept");
	check("found run/.ckptfs/conflict/a/1\nfound run/.ckptfs/probe-1\n");
	rig.opts.fix = true;
	check("found run/.ckptfs/conflict/a/1\nmended run/.ckptfs/probe-1\n");
	check("found run/.ckptfs/conflict/a/1\n");
	ck_assert_uint_eq(rig.sums.found - rig.sums.mended, 1);
}
END_TEST

static void begin_upload(const char *key, char id[STORE_UPLOAD_ID_MAX])
{
	struct store_meta meta = { .has_mode = false };

	ck_assert_int_eq(store_mpu_begin(rig.s, key, &meta, false, id), 0);
}

static int count(void *arg, const char *key, const char *id, int64_t begun)
{
	(void)key, (void)id, (void)begun;
	++*(unsigned *)arg;
	return 0;
}

static unsigned uploads(void)
{
	unsigned n = 0;

	ck_assert_int_eq(store_mpu_list(rig.s, "", count, &n), 0);
	return n;
}

/* Only old ones, and only when told how old. */
START_TEST(uploads_that_nobody_ended)
{
	char id[STORE_UPLOAD_ID_MAX];

	begin_upload(PREFIX "old", id);
	begin_upload("elsewhere", id);
	sim_advance(rig.sim, 30 * HOUR);
	begin_upload(PREFIX "young", id);
	sim_advance(rig.sim, HOUR);
	check("note run/young\nfound run/old\n");
	ck_assert_uint_eq(rig.sums.uploads, 2);
	rig.opts.fix = true;
	check("note run/young\nfound run/old\n");
	ck_assert_uint_eq(uploads(), 3);
	rig.opts.end_orphans = true;
	check("note run/young\nmended run/old\n");
	check("note run/young\n");
	ck_assert_uint_eq(uploads(), 2);
}
END_TEST

START_TEST(uploads_that_cannot_be_listed_or_ended)
{
	static const struct store_fault list = { .method = "mpu_list",
						 .err = -EACCES };
	static const struct store_fault abort = { .method = "mpu_abort",
						  .err = -EACCES };
	char id[STORE_UPLOAD_ID_MAX];

	begin_upload(PREFIX "old", id);
	sim_advance(rig.sim, 30 * HOUR);
	rig.opts.fix = rig.opts.end_orphans = true;
	ck_assert_int_eq(store_fault_set(rig.s, &abort, 1), 0);
	check("found run/old\n");
	ck_assert_int_eq(store_fault_set(rig.s, &list, 1), 0);
	check("found uploads in parts cannot be listed\n");
	ck_assert_uint_eq(rig.sums.found, 1);
}
END_TEST

START_TEST(every_byte_is_read_if_asked)
{
	static const struct store_fault faults[] = {
		{ .method = "get", .key = "/f07", .act = STORE_FAULT_FLIP },
		{ .method = "get",
		  .key = "/f11",
		  .err = -EACCES,
		  .act = STORE_FAULT_BEFORE },
		{ .method = "get",
		  .key = "/f13",
		  .err = -ESTALE,
		  .act = STORE_FAULT_BEFORE },
	};
	char key[64];
	int i;

	for (i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), PREFIX "d/f%02d", i);
		put(key, i ? key : "");
	}
	ck_assert_int_eq(store_fault_set(rig.s, faults, 3), 0);
	check("");
	ck_assert_uint_eq(rig.sums.read, 0);
	rig.opts.read_data = true;
	check("found run/d/f07\nfound run/d/f11\n");
	ck_assert_uint_eq(rig.sums.read, 38);
	ck_assert_uint_eq(rig.sums.unsummed, 0);
	rig.opts.readers = 1;
	check("found run/d/f07\nfound run/d/f11\n");
}
END_TEST

/* What is half read is not told as read, and everything is freed. */
START_TEST(a_listing_that_fails_is_the_answer)
{
	static const struct store_fault fault = { .method = "list",
						  .err = -ENETUNREACH,
						  .act = STORE_FAULT_AFTER };
	static const struct store_fault hidden = { .method = "list",
						   .key = ".ckptfs",
						   .err = -EACCES };
	char key[64];
	int i;

	for (i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), PREFIX "f%02d", i);
		put(key, key);
	}
	rig.opts.read_data = true;
	ck_assert_int_eq(store_fault_set(rig.s, &fault, 1), 0);
	ck_assert_int_eq(fsck_bucket(rig.s, sim_host(rig.sim), &rig.opts,
				     &rig.sums),
			 -ENETUNREACH);
	ck_assert_int_eq(store_fault_set(rig.s, &hidden, 1), 0);
	ck_assert_int_eq(fsck_bucket(rig.s, sim_host(rig.sim), &rig.opts,
				     &rig.sums),
			 -EACCES);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_bucket_in_order_has_nothing_to_be_told);
	tcase_add_test(c, names_that_no_mount_shows);
	tcase_add_test(c, a_name_that_is_both_a_file_and_a_folder);
	tcase_add_test(c, markers_of_folders);
	tcase_add_test(c, what_lies_in_the_hidden_folder);
	tcase_add_test(c, uploads_that_nobody_ended);
	tcase_add_test(c, uploads_that_cannot_be_listed_or_ended);
	tcase_add_test(c, every_byte_is_read_if_asked);
	tcase_add_test(c, a_listing_that_fails_is_the_answer);
}

int main(void)
{
	return harness_run("fsck_bucket", add);
}
