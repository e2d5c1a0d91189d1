/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of row: what goes in comes out, also after the process died. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/disk.h"
#include "ckptfs/meta.h"

#include "harness.h"
#include "sim.h"

static struct sim *sim;
static struct meta *m;
static struct meta_report report;
static const struct meta_opts opts = { .source = "mem://" };

static void reopen(void)
{
	meta_close(m);
	m = NULL;
	if (report.epoch)
		simdisk_crash(sim_host(sim)->disk);
	ck_assert_int_eq(meta_open(sim_host(sim), &opts, &m, &report), 0);
}

static void begin(void)
{
	ck_assert_int_eq(meta_begin(m), 0);
}

static void commit(void)
{
	ck_assert_int_eq(meta_commit(m), 0);
	meta_end(m);
}

static void setup(void)
{
	memset(&report, 0, sizeof(report));
	sim = sim_new(7);
	reopen();
	begin();
}

static void teardown(void)
{
	meta_close(m);
	m = NULL;
	ck_assert_uint_eq(simdisk_open_handles(sim_host(sim)->disk), 0);
	sim_free(sim);
}

/* Commit, die, come back in a transaction. */
static void over_a_crash(void)
{
	commit();
	reopen();
	begin();
}

/* Rows as text, so that loops over them are compared at once. */
static char seen[4096];

static void note(const char *s, uint64_t n)
{
	size_t len = strlen(seen);

	(void)snprintf(seen + len, sizeof(seen) - len, "%s:%llu ", s,
		       (unsigned long long)n);
}

static int note_inode(void *arg, const struct meta_inode *row)
{
	(void)arg;
	note(row->name, row->ino);
	return 0;
}

static int note_version(void *arg, const struct meta_version *row)
{
	(void)arg;
	note("v", row->vid);
	return 0;
}

static int note_op(void *arg, const struct meta_op *row)
{
	(void)arg;
	note(row->key, row->seq);
	return 0;
}

static int note_object(void *arg, const struct meta_object *row)
{
	(void)arg;
	note(row->key, row->size);
	return 0;
}

static int note_upload(void *arg, const struct meta_upload *row)
{
	(void)arg;
	note(row->id, row->vid);
	return 0;
}

static int note_part(void *arg, const struct meta_part *row)
{
	(void)arg;
	note(row->etag, row->number);
	return 0;
}

static int note_dead(void *arg, uint64_t blob)
{
	(void)arg;
	note("b", blob);
	return 0;
}

static int stop_at_once(void *arg, uint64_t blob)
{
	(void)blob;
	return ++*(int *)arg;
}

/* ---- inodes and names */

static const char odd[] = "\x01 \xff\xfe'\"%\\\n\t\xc3(.";

static struct meta_inode an_inode(void)
{
	struct meta_inode i = {
		.kind = META_SYMLINK,
		.parent = META_ROOT_INO,
		.mode = 07654,
		.uid = 4294967295u,
		.gid = 4294967294u,
		.mtime_ns = -1,
		.ctime_ns = INT64_MAX,
		.size = UINT64_MAX,
		.vid = UINT64_MAX - 1,
		.meta_known = true,
		.marker = true,
	};

	memcpy(i.name, odd, sizeof(odd));
	memset(i.key, 0xfe, META_KEY_MAX);
	memset(i.target, 0x80, META_KEY_MAX);
	return i;
}

START_TEST(an_inode_comes_back_as_it_was)
{
	struct meta_inode i = an_inode(), got;

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	ck_assert_uint_gt(i.ino, META_ROOT_INO);
	over_a_crash();
	memset(&got, 0x55, sizeof(got));
	ck_assert_int_eq(meta_inode_get(m, i.ino, &got), 0);
	ck_assert_uint_eq(got.ino, i.ino);
	ck_assert_int_eq(got.kind, i.kind);
	ck_assert_uint_eq(got.parent, i.parent);
	ck_assert_str_eq(got.name, i.name);
	ck_assert_uint_eq(got.mode, i.mode);
	ck_assert_uint_eq(got.uid, i.uid);
	ck_assert_uint_eq(got.gid, i.gid);
	ck_assert_int_eq(got.mtime_ns, i.mtime_ns);
	ck_assert_int_eq(got.ctime_ns, i.ctime_ns);
	ck_assert_uint_eq(got.size, i.size);
	ck_assert_uint_eq(got.vid, i.vid);
	ck_assert_str_eq(got.key, i.key);
	ck_assert_str_eq(got.target, i.target);
	ck_assert(got.meta_known && got.marker);
	i.marker = false;
	i.key[0] = '\0';
	i.kind = META_FILE;
	ck_assert_int_eq(meta_inode_set(m, &i), 0);
	ck_assert_int_eq(meta_inode_get(m, i.ino, &got), 0);
	ck_assert(got.meta_known && !got.marker);
	ck_assert_str_eq(got.key, "");
	ck_assert_int_eq(got.kind, META_FILE);
	commit();
}
END_TEST

START_TEST(the_root_is_there_from_the_beginning)
{
	struct meta_inode got;

	ck_assert_int_eq(meta_inode_get(m, META_ROOT_INO, &got), 0);
	ck_assert_int_eq(got.kind, META_DIR);
	ck_assert_uint_eq(got.parent, 0);
	got.size = 9;
	ck_assert_int_eq(meta_inode_set(m, &got), 0);
	over_a_crash();
	ck_assert_int_eq(meta_inode_get(m, META_ROOT_INO, &got), 0);
	ck_assert_uint_eq(got.size, 9);
	commit();
}
END_TEST

START_TEST(an_inode_that_is_not_there_is_said_so)
{
	struct meta_inode i = an_inode();

	i.ino = 77;
	ck_assert_int_eq(meta_inode_get(m, 77, &i), -ENOENT);
	ck_assert_int_eq(meta_inode_set(m, &i), -ENOENT);
	ck_assert_int_eq(meta_inode_del(m, 77), -ENOENT);
	commit(); /* none of that spoils the transaction */
}
END_TEST

START_TEST(a_number_never_comes_back)
{
	struct meta_inode i = an_inode();
	struct meta_version v = { .state = META_SEALED };
	struct meta_op o = { .kind = META_OP_DEL };
	uint64_t ino, vid, seq, last;

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_op_last(m, &last), 0);
	ck_assert_uint_eq(last, 0);
	ck_assert_int_eq(meta_op_add(m, &o), 0);
	ino = i.ino;
	vid = v.vid;
	seq = o.seq;
	ck_assert_int_eq(meta_inode_del(m, ino), 0);
	ck_assert_int_eq(meta_version_del(m, vid), 0);
	ck_assert_int_eq(meta_op_del(m, seq), 0);
	over_a_crash();
	ck_assert_int_eq(meta_op_last(m, &last), 0);
	ck_assert_uint_eq(last, seq);
	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_op_add(m, &o), 0);
	ck_assert_uint_gt(i.ino, ino);
	ck_assert_uint_gt(v.vid, vid);
	ck_assert_uint_gt(o.seq, seq);
	commit();
}
END_TEST

START_TEST(names_are_bytes_and_come_in_order)
{
	static const char *const names[] = { "b", "a\xff", "a", "\x01", odd };
	struct meta_inode i = { .kind = META_FILE, .parent = 5 };
	uint64_t ino, first = 0;
	size_t k;

	for (k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		memcpy(i.name, names[k], strlen(names[k]) + 1);
		ck_assert_int_eq(meta_inode_add(m, &i), 0);
		first = first ? first : i.ino;
		ck_assert_int_eq(meta_name_add(m, 5, names[k], i.ino), 0);
	}
	ck_assert_int_eq(meta_name_add(m, 5, "a", 1), -EEXIST);
	ck_assert_int_eq(meta_name_add(m, 6, "a", first), 0);
	over_a_crash();
	ck_assert_int_eq(meta_name_get(m, 5, odd, &ino), 0);
	ck_assert_uint_eq(ino, first + 4);
	ck_assert_int_eq(meta_name_get(m, 5, "A", &ino), -ENOENT);
	seen[0] = '\0';
	ck_assert_int_eq(meta_name_each(m, 5, note_inode, NULL), 0);
	i.name[0] = '\0';
	{
		char want[200];
		unsigned long long f = first;

		(void)snprintf(want, sizeof(want),
			       "\x01:%llu %s:%llu a:%llu a\xff:%llu b:%llu ",
			       f + 3, odd, f + 4, f + 2, f + 1, f);
		ck_assert_str_eq(seen, want);
	}
	ck_assert_int_eq(meta_name_del(m, 5, odd), 0);
	ck_assert_int_eq(meta_name_del(m, 5, odd), -ENOENT);
	ck_assert_int_eq(meta_name_get(m, 5, odd, &ino), -ENOENT);
	commit();
}
END_TEST

START_TEST(unlinked_inodes_are_found)
{
	struct meta_inode i = an_inode();
	char want[600];

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	i.parent = 0;
	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	seen[0] = '\0';
	ck_assert_int_eq(meta_inode_each_unlinked(m, note_inode, NULL), 0);
	(void)snprintf(want, sizeof(want), "%s:%llu ", odd,
		       (unsigned long long)i.ino);
	ck_assert_str_eq(seen, want);
	commit();
}
END_TEST

/* ---- versions, uploads, parts */

static struct meta_version a_version(void)
{
	return (struct meta_version){
		.epoch = UINT32_MAX,
		.ino = UINT64_MAX,
		.state = META_PARKED,
		.blob = UINT64_C(1) << 63,
		.size = UINT64_MAX - 2,
		.mtime_ns = INT64_MIN,
		.seal_ctime_ns = -7,
		.sealed_real_ns = 8,
		.mode = 0777,
		.crc64 = UINT64_MAX,
		.replaces = 9,
		.used_real_ns = 10,
	};
}

static void assert_same_version(const struct meta_version *a,
				const struct meta_version *b)
{
	ck_assert_uint_eq(a->vid, b->vid);
	ck_assert_uint_eq(a->epoch, b->epoch);
	ck_assert_uint_eq(a->ino, b->ino);
	ck_assert_int_eq(a->state, b->state);
	ck_assert_uint_eq(a->blob, b->blob);
	ck_assert_int_eq(a->complete, b->complete);
	ck_assert_int_eq(a->passthrough, b->passthrough);
	ck_assert_int_eq(a->provisional, b->provisional);
	ck_assert_int_eq(a->held, b->held);
	ck_assert_int_eq(a->append_only, b->append_only);
	ck_assert_int_eq(a->sparse, b->sparse);
	ck_assert_uint_eq(a->size, b->size);
	ck_assert_int_eq(a->mtime_ns, b->mtime_ns);
	ck_assert_int_eq(a->seal_ctime_ns, b->seal_ctime_ns);
	ck_assert_int_eq(a->sealed_real_ns, b->sealed_real_ns);
	ck_assert_uint_eq(a->mode, b->mode);
	ck_assert_uint_eq(a->crc64, b->crc64);
	ck_assert_uint_eq(a->replaces, b->replaces);
	ck_assert_int_eq(a->used_real_ns, b->used_real_ns);
}

START_TEST(a_version_comes_back_as_it_was)
{
	struct meta_version v = a_version(), got;

	/* Each flag by itself, then all. */
	v.complete = _i == 0 || _i == 6;
	v.passthrough = _i == 1 || _i == 6;
	v.provisional = _i == 2 || _i == 6;
	v.held = _i == 3 || _i == 6;
	v.append_only = _i == 4 || _i == 6;
	v.sparse = _i == 5 || _i == 6;
	ck_assert_int_eq(meta_version_add(m, &v), 0);
	over_a_crash();
	memset(&got, 0x55, sizeof(got));
	ck_assert_int_eq(meta_version_get(m, v.vid, &got), 0);
	assert_same_version(&got, &v);
	v.state = META_UNFINISHED;
	v.held = !v.held;
	v.blob = 1;
	ck_assert_int_eq(meta_version_set(m, &v), 0);
	ck_assert_int_eq(meta_version_get(m, v.vid, &got), 0);
	assert_same_version(&got, &v);
	v.vid++;
	ck_assert_int_eq(meta_version_set(m, &v), -ENOENT);
	ck_assert_int_eq(meta_version_get(m, v.vid, &got), -ENOENT);
	ck_assert_int_eq(meta_version_del(m, v.vid), -ENOENT);
	commit();
}
END_TEST

START_TEST(versions_come_by_number)
{
	struct meta_version v = a_version();

	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_version_add(m, &v), 0);
	ck_assert_int_eq(meta_version_del(m, v.vid - 1), 0);
	seen[0] = '\0';
	ck_assert_int_eq(meta_version_each(m, note_version, NULL), 0);
	ck_assert_str_eq(seen, "v:1 v:3 ");
	commit();
}
END_TEST

static struct meta_part a_part(uint64_t vid, unsigned number, const char *etag)
{
	struct meta_part p = { .vid = vid,
			       .number = number,
			       .off = UINT64_MAX,
			       .len = 1,
			       .crc64 = UINT64_MAX - 1,
			       .xxh_lo = UINT64_MAX - 3,
			       .xxh_hi = UINT64_MAX - 4 };

	memcpy(p.etag, etag, strlen(etag) + 1);
	return p;
}

static int keep_part(void *arg, const struct meta_part *row)
{
	*(struct meta_part *)arg = *row;
	return 3;
}

START_TEST(parts_come_by_number_and_go_with_their_version)
{
	struct meta_version v = a_version();
	struct meta_part p, got;
	uint64_t vid;

	ck_assert_int_eq(meta_version_add(m, &v), 0);
	vid = v.vid;
	p = a_part(vid, 2, "two");
	ck_assert_int_eq(meta_part_set(m, &p), 0);
	p = a_part(vid, 10000, "");
	ck_assert_int_eq(meta_part_set(m, &p), 0);
	p = a_part(vid, 1, "one");
	ck_assert_int_eq(meta_part_set(m, &p), 0);
	p = a_part(vid + 1, 1, "another's");
	ck_assert_int_eq(meta_part_set(m, &p), 0);
	p = a_part(vid, 10000, "now sent");
	ck_assert_int_eq(meta_part_set(m, &p), 0);
	over_a_crash();
	seen[0] = '\0';
	ck_assert_int_eq(meta_part_each(m, vid, note_part, NULL), 0);
	ck_assert_str_eq(seen, "one:1 two:2 now sent:10000 ");
	ck_assert_int_eq(meta_part_each(m, vid, keep_part, &got), 3);
	ck_assert_uint_eq(got.vid, vid);
	ck_assert_uint_eq(got.off, UINT64_MAX);
	ck_assert_uint_eq(got.len, 1);
	ck_assert_uint_eq(got.crc64, UINT64_MAX - 1);
	ck_assert_uint_eq(got.xxh_lo, UINT64_MAX - 3);
	ck_assert_uint_eq(got.xxh_hi, UINT64_MAX - 4);
	ck_assert_int_eq(meta_version_del(m, vid), 0);
	seen[0] = '\0';
	ck_assert_int_eq(meta_part_each(m, vid, note_part, NULL), 0);
	ck_assert_str_eq(seen, "");
	ck_assert_int_eq(meta_part_each(m, vid + 1, note_part, NULL), 0);
	ck_assert_str_eq(seen, "another's:1 ");
	ck_assert_int_eq(meta_part_del_all(m, vid + 1), 0);
	ck_assert_int_eq(meta_part_del_all(m, vid + 1), 0);
	commit();
}
END_TEST

START_TEST(an_upload_outlives_its_version_until_it_is_aborted)
{
	struct meta_version v = a_version();
	struct meta_upload u = { .begun_real_ns = -3, .part_size = 1 }, got;

	ck_assert_int_eq(meta_version_add(m, &v), 0);
	u.vid = v.vid;
	memcpy(u.key, odd, sizeof(odd));
	ck_assert_int_eq(meta_upload_set(m, &u), 0);
	memset(u.id, 'x', sizeof(u.id) - 1);
	ck_assert_int_eq(meta_upload_set(m, &u), 0);
	over_a_crash();
	ck_assert_int_eq(meta_upload_get(m, v.vid, &got), 0);
	ck_assert_uint_eq(got.vid, v.vid);
	ck_assert_str_eq(got.key, odd);
	ck_assert_str_eq(got.id, u.id);
	ck_assert_int_eq(got.begun_real_ns, -3);
	ck_assert_uint_eq(got.part_size, 1);
	u.vid = 400;
	memcpy(u.id, "y", 2);
	ck_assert_int_eq(meta_upload_set(m, &u), 0);
	ck_assert_int_eq(meta_upload_del(m, v.vid), 0);
	ck_assert_int_eq(meta_upload_del(m, v.vid), -ENOENT);
	ck_assert_int_eq(meta_upload_get(m, v.vid, &got), -ENOENT);
	seen[0] = '\0';
	ck_assert_int_eq(meta_upload_each(m, note_upload, NULL), 0);
	ck_assert_str_eq(seen, "y:400 ");
	commit();
}
END_TEST

/* ---- the line */

START_TEST(an_operation_comes_back_as_it_was)
{
	struct meta_op o = { .kind = META_OP_RENAME_DIR,
			     .ino = UINT64_MAX,
			     .vid = UINT64_MAX - 1,
			     .bound = 3,
			     .open_seq = 4,
			     .why = "it's \"no\"" },
		       got;

	memset(o.key, 0xff, META_KEY_MAX);
	memcpy(o.to, odd, sizeof(odd));
	o.final = _i == 0 || _i == 5;
	o.cut = _i == 1 || _i == 5;
	o.begun = _i == 2 || _i == 5;
	o.unordered = _i == 3 || _i == 5;
	o.parked = _i == 4 || _i == 5;
	ck_assert_int_eq(meta_op_add(m, &o), 0);
	over_a_crash();
	memset(&got, 0x55, sizeof(got));
	ck_assert_int_eq(meta_op_get(m, o.seq, &got), 0);
	ck_assert_uint_eq(got.seq, o.seq);
	ck_assert_int_eq(got.kind, o.kind);
	ck_assert_uint_eq(got.ino, o.ino);
	ck_assert_uint_eq(got.vid, o.vid);
	ck_assert_uint_eq(got.bound, o.bound);
	ck_assert_uint_eq(got.open_seq, o.open_seq);
	ck_assert_str_eq(got.key, o.key);
	ck_assert_str_eq(got.to, o.to);
	ck_assert_str_eq(got.why, o.why);
	ck_assert_int_eq(got.final, o.final);
	ck_assert_int_eq(got.cut, o.cut);
	ck_assert_int_eq(got.begun, o.begun);
	ck_assert_int_eq(got.unordered, o.unordered);
	ck_assert_int_eq(got.parked, o.parked);
	o.kind = META_OP_PUT;
	o.final = !o.final;
	memcpy(o.key, "k", 2);
	ck_assert_int_eq(meta_op_set(m, &o), 0);
	ck_assert_int_eq(meta_op_get(m, o.seq, &got), 0);
	ck_assert_int_eq(got.kind, META_OP_PUT);
	ck_assert_int_eq(got.final, o.final);
	ck_assert_str_eq(got.key, "k");
	o.seq++;
	ck_assert_int_eq(meta_op_set(m, &o), -ENOENT);
	ck_assert_int_eq(meta_op_get(m, o.seq, &got), -ENOENT);
	ck_assert_int_eq(meta_op_del(m, o.seq), -ENOENT);
	commit();
}
END_TEST

START_TEST(operations_come_in_order_from_where_one_asks)
{
	struct meta_op o = { .kind = META_OP_DEL };
	uint64_t last;
	int i;

	for (i = 0; i < 5; i++) {
		o.key[0] = (char)('a' + i);
		ck_assert_int_eq(meta_op_add(m, &o), 0);
	}
	ck_assert_int_eq(meta_op_del(m, 2), 0);
	ck_assert_int_eq(meta_op_del(m, 5), 0);
	seen[0] = '\0';
	ck_assert_int_eq(meta_op_each(m, 0, note_op, NULL), 0);
	ck_assert_str_eq(seen, "a:1 c:3 d:4 ");
	seen[0] = '\0';
	ck_assert_int_eq(meta_op_each(m, 3, note_op, NULL), 0);
	ck_assert_str_eq(seen, "d:4 ");
	ck_assert_int_eq(meta_op_last(m, &last), 0);
	ck_assert_uint_eq(last, 5);
	commit();
}
END_TEST

/* ---- objects and dead blobs */

START_TEST(an_object_comes_back_as_it_was)
{
	struct meta_object o = { .ino = UINT64_MAX,
				 .vid = 2,
				 .bound = 3,
				 .etag = "\"e'tag\"",
				 .size = UINT64_MAX,
				 .mtime_ns = -5,
				 .has_crc64 = _i,
				 .crc64 = UINT64_MAX,
				 .commit_end_ns = 6 },
			   got;

	memset(o.key, 0x81, META_KEY_MAX);
	ck_assert_int_eq(meta_object_set(m, &o), 0);
	over_a_crash();
	memset(&got, 0x55, sizeof(got));
	ck_assert_int_eq(meta_object_get(m, o.key, &got), 0);
	ck_assert_str_eq(got.key, o.key);
	ck_assert_uint_eq(got.ino, o.ino);
	ck_assert_uint_eq(got.vid, o.vid);
	ck_assert_uint_eq(got.bound, o.bound);
	ck_assert_str_eq(got.etag, o.etag);
	ck_assert_uint_eq(got.size, o.size);
	ck_assert_int_eq(got.mtime_ns, o.mtime_ns);
	ck_assert_int_eq(got.has_crc64, _i);
	ck_assert_uint_eq(got.crc64, o.crc64);
	ck_assert_int_eq(got.commit_end_ns, 6);
	o.size = 1;
	ck_assert_int_eq(meta_object_set(m, &o), 0);
	ck_assert_int_eq(meta_object_get(m, o.key, &got), 0);
	ck_assert_uint_eq(got.size, 1);
	ck_assert_int_eq(meta_object_del(m, o.key), 0);
	ck_assert_int_eq(meta_object_del(m, o.key), -ENOENT);
	ck_assert_int_eq(meta_object_get(m, o.key, &got), -ENOENT);
	commit();
}
END_TEST

static const struct {
	const char *prefix, *want;
} prefixes[] = {
	{ "", "a:0 a!:1 a/:2 a/b:3 a/b/c:4 a0:5 \xff:6 \xff\xff:7 " },
	{ "a", "a:0 a!:1 a/:2 a/b:3 a/b/c:4 a0:5 " },
	{ "a/", "a/:2 a/b:3 a/b/c:4 " },
	{ "a/b/", "a/b/c:4 " },
	{ "\xff", "\xff:6 \xff\xff:7 " },
	{ "\xff\xff\xff", "" },
	{ "b", "" },
};

START_TEST(objects_come_by_prefix_in_order)
{
	static const char *const keys[] = { "a",     "a!", "a/",   "a/b",
					    "a/b/c", "a0", "\xff", "\xff\xff" };
	struct meta_object o = { .ino = 1 };
	size_t i;

	for (i = sizeof(keys) / sizeof(keys[0]); i-- > 0;) {
		memset(o.key, 0, sizeof(o.key));
		memcpy(o.key, keys[i], strlen(keys[i]));
		o.size = i;
		ck_assert_int_eq(meta_object_set(m, &o), 0);
	}
	seen[0] = '\0';
	ck_assert_int_eq(meta_object_each(m, prefixes[_i].prefix, note_object,
					  NULL),
			 0);
	ck_assert_str_eq(seen, prefixes[_i].want);
	commit();
}
END_TEST

START_TEST(dead_blobs_are_a_set)
{
	int n = 0;

	ck_assert_int_eq(meta_dead_add(m, 5), 0);
	ck_assert_int_eq(meta_dead_add(m, 3), 0);
	ck_assert_int_eq(meta_dead_add(m, 5), 0);
	over_a_crash();
	seen[0] = '\0';
	ck_assert_int_eq(meta_dead_each(m, note_dead, NULL), 0);
	ck_assert_str_eq(seen, "b:3 b:5 ");
	ck_assert_int_eq(meta_dead_each(m, stop_at_once, &n), 1);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(meta_dead_del(m, 3), 0);
	ck_assert_int_eq(meta_dead_del(m, 3), -ENOENT);
	seen[0] = '\0';
	ck_assert_int_eq(meta_dead_each(m, note_dead, NULL), 0);
	ck_assert_str_eq(seen, "b:5 ");
	commit();
}
END_TEST

/* ---- transactions */

START_TEST(what_is_not_committed_is_gone)
{
	struct meta_inode i = an_inode(), got;
	struct meta_object o = { .key = "k" };
	uint64_t commits = meta_commits(m), ino;

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	ck_assert_int_eq(meta_name_add(m, 1, "x", i.ino), 0);
	ck_assert_int_eq(meta_object_set(m, &o), 0);
	ck_assert_int_eq(meta_dead_add(m, 1), 0);
	meta_end(m);
	ck_assert_uint_eq(meta_commits(m), commits);
	begin();
	ck_assert_int_eq(meta_inode_get(m, i.ino, &got), -ENOENT);
	ck_assert_int_eq(meta_name_get(m, 1, "x", &ino), -ENOENT);
	ck_assert_int_eq(meta_object_get(m, "k", &o), -ENOENT);
	seen[0] = '\0';
	ck_assert_int_eq(meta_dead_each(m, note_dead, NULL), 0);
	ck_assert_str_eq(seen, "");
	commit();
	ck_assert_uint_eq(meta_commits(m), commits + 1);
	begin();
	meta_end(m);
}
END_TEST

START_TEST(a_taken_name_leaves_the_rest_of_the_transaction)
{
	struct meta_inode i = an_inode();
	uint64_t ino;

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	ck_assert_int_eq(meta_name_add(m, 1, "x", i.ino), 0);
	ck_assert_int_eq(meta_name_add(m, 1, "x", 9), -EEXIST);
	ck_assert_int_eq(meta_name_add(m, 1, "y", i.ino), 0);
	over_a_crash();
	ck_assert_int_eq(meta_name_get(m, 1, "x", &ino), 0);
	ck_assert_uint_eq(ino, i.ino);
	ck_assert_int_eq(meta_name_get(m, 1, "y", &ino), 0);
	commit();
}
END_TEST

START_TEST(a_failed_write_spoils_one_transaction_only)
{
	struct disk *disk = sim_host(sim)->disk;
	struct meta_inode i = an_inode(), got;

	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	simdisk_fail(disk, SIM_PWRITE, 1, _i ? -ENOSPC : -EIO, true);
	ck_assert_int_eq(meta_commit(m), _i ? -ENOSPC : -EIO);
	meta_end(m);
	simdisk_heal(disk);
	begin();
	ck_assert_int_eq(meta_inode_get(m, i.ino, &got), -ENOENT);
	ck_assert_int_eq(meta_inode_add(m, &i), 0);
	over_a_crash();
	ck_assert_int_eq(meta_inode_get(m, i.ino, &got), 0);
	commit();
}
END_TEST

/* ---- life */

START_TEST(another_source_is_refused)
{
	struct meta_opts other = { .source = "s3://other" };
	struct meta *m2 = NULL;
	struct meta_report rep;

	commit();
	meta_close(m);
	m = NULL;
	simdisk_crash(sim_host(sim)->disk);
	ck_assert_int_eq(meta_open(sim_host(sim), &other, &m2, &rep), -EBUSY);
	ck_assert_ptr_null(m2);
}
END_TEST

START_TEST(each_mount_is_an_epoch_of_one_cache)
{
	struct meta_report was = report;

	ck_assert(was.fresh);
	ck_assert_uint_eq(was.epoch, 1);
	ck_assert_uint_eq(strlen(was.cache_id), 16);
	commit();
	reopen();
	ck_assert(!report.fresh && report.same_boot && !report.cut);
	ck_assert_uint_eq(report.epoch, 2);
	ck_assert_str_eq(report.cache_id, was.cache_id);
	meta_close(m);
	m = NULL;
	simdisk_power_cut(sim_host(sim)->disk, 0);
	reopen();
	ck_assert(!report.fresh && !report.same_boot && report.cut);
	ck_assert_uint_eq(report.epoch, 3);
	ck_assert_str_eq(report.cache_id, was.cache_id);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, an_inode_comes_back_as_it_was);
	tcase_add_test(c, the_root_is_there_from_the_beginning);
	tcase_add_test(c, an_inode_that_is_not_there_is_said_so);
	tcase_add_test(c, a_number_never_comes_back);
	tcase_add_test(c, names_are_bytes_and_come_in_order);
	tcase_add_test(c, unlinked_inodes_are_found);
	tcase_add_loop_test(c, a_version_comes_back_as_it_was, 0, 7);
	tcase_add_test(c, versions_come_by_number);
	tcase_add_test(c, parts_come_by_number_and_go_with_their_version);
	tcase_add_test(c, an_upload_outlives_its_version_until_it_is_aborted);
	tcase_add_loop_test(c, an_operation_comes_back_as_it_was, 0, 6);
	tcase_add_test(c, operations_come_in_order_from_where_one_asks);
	tcase_add_loop_test(c, an_object_comes_back_as_it_was, 0, 2);
	tcase_add_loop_test(c, objects_come_by_prefix_in_order, 0,
			    sizeof(prefixes) / sizeof(prefixes[0]));
	tcase_add_test(c, dead_blobs_are_a_set);
	tcase_add_test(c, what_is_not_committed_is_gone);
	tcase_add_test(c, a_taken_name_leaves_the_rest_of_the_transaction);
	tcase_add_loop_test(c, a_failed_write_spoils_one_transaction_only, 0,
			    2);
	tcase_add_test(c, another_source_is_refused);
	tcase_add_test(c, each_mount_is_an_epoch_of_one_cache);
}

int main(void)
{
	return harness_run("meta_rows", add);
}
