/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Databases that earlier programs left: tests/fixtures/schema-N.tar.xz has the
 * one of schema N, as a killed daemon left it behind a barrier.  Whoever changes
 * the schema adds one, made of the calls that rows() names.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/host.h"
#include "ckptfs/meta.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "harness.h"
#include "meta/internal.h"

#define SOURCE "file:///srv/ckptfs-fixture/"

static struct host host;
static struct meta *m;
static char seen[1024];

static void unpack(int schema, const char *dir)
{
	const char *top = getenv("top_srcdir");
	char cmd[2048];

	(void)snprintf(cmd, sizeof(cmd),
		       "tar -xJf '%s/tests/fixtures/schema-%d.tar.xz' "
		       "--strip-components=1 --no-same-owner -C '%s'",
		       top ? top : ".", schema, dir);
	ck_assert_int_eq(system(cmd), 0);
}

static int open_it(struct meta_report *ret)
{
	static const struct meta_opts opts = { .source = SOURCE };

	return meta_open(&host, &opts, &m, ret);
}

static void begin(int schema)
{
	const char *dir = harness_tmpdir();

	unpack(schema, dir);
	host.clk = &clk_system;
	host.rng = &rng_system;
	host.thr = &thr_system;
	ck_assert_int_eq(disk_system_open(dir, &host.disk), 0);
}

static void end(void)
{
	meta_close(m);
	m = NULL;
	disk_free(host.disk);
}

static void note(uint64_t n, const char *text)
{
	size_t len = strlen(seen);

	(void)snprintf(seen + len, sizeof(seen) - len, "%llu=%.100s ",
		       (unsigned long long)n, text);
}

static int name(void *arg, const struct meta_inode *in)
{
	(void)arg;
	note(in->ino, in->name);
	return 0;
}

static int version(void *arg, const struct meta_version *v)
{
	(void)arg;
	note(v->vid,
	     v->state == META_SEALED	? v->held ? "held" : "sealed" :
	     v->state == META_PUBLISHED ? "published" :
	     v->state == META_TORN	? "torn" :
					  "?");
	return 0;
}

static int op(void *arg, const struct meta_op *o)
{
	(void)arg;
	note(o->seq, o->to[0] ? o->to : o->key);
	return 0;
}

/* A folder, an empty one, a file renamed and one deleted since they were
 * published; a new one, a link, a temporary name, one cut short, a log. */
static void rows(void)
{
	ck_assert_int_eq(meta_begin(m), 0);
	ck_assert_int_eq(meta_name_each(m, META_ROOT_INO, name, NULL), 0);
	ck_assert_int_eq(meta_name_each(m, 2, name, NULL), 0);
	ck_assert_str_eq(seen, "2=run 10=train.log 3=empty 8=kept.tmp "
			       "7=last.ckpt 6=new.ckpt 4=older.ckpt "
			       "9=torn.pt ");
	seen[0] = '\0';
	ck_assert_int_eq(meta_version_each(m, version, NULL), 0);
	ck_assert_str_eq(seen, "1=published 3=sealed 4=held 5=torn 6=sealed ");
	seen[0] = '\0';
	ck_assert_int_eq(meta_op_each(m, 0, op, NULL), 0);
	ck_assert_str_eq(seen, "5=run/new.ckpt 6=run/older.ckpt 7=run/gone "
			       "8=run/last.ckpt 9=train.log ");
	meta_end(m);
}

START_TEST(a_database_of_each_schema_opens_with_all_that_is_in_it)
{
	struct meta_report report;

	begin(_i);
	ck_assert_int_eq(open_it(&report), 0);
	ck_assert_str_eq(report.cache_id, "fe93d4a975200f43");
	ck_assert_uint_eq(report.epoch, 2);
	rows();
	end();
}
END_TEST

START_TEST(f69_a_newer_schema_is_refused_and_an_equal_one_is_not)
{
	struct meta_report report;
	char sql[40];

	begin(META_SCHEMA);
	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version=%d",
		       META_SCHEMA + _i);
	ck_assert_int_eq(open_it(&report), 0);
	ck_assert_int_eq(meta_begin(m), 0);
	ck_assert_int_eq(sqlite3_exec(m->db, sql, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(meta_commit(m), 0);
	meta_end(m);
	meta_close(m);
	m = NULL;
	ck_assert_int_eq(open_it(&report), _i ? -ENOTSUP : 0);
	end();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c,
			    a_database_of_each_schema_opens_with_all_that_is_in_it,
			    1, META_SCHEMA + 1);
	tcase_add_loop_test(c,
			    f69_a_newer_schema_is_refused_and_an_equal_one_is_not,
			    0, 2);
}

int main(void)
{
	return harness_run("fixture", add);
}
