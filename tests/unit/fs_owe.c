/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs_owe.h"
#include "harness.h"

bool is(const char *got, const char *want)
{
	return got && strcmp(got, want) == 0;
}

int rename_to(const char *from, const char *to)
{
	return fs_rename(fs, FS_ROOT_INO, from, FS_ROOT_INO, to, 0);
}

void run(int64_t s)
{
	(void)sim_run_for(sim, s * NS_PER_S);
}

void assert_names(const char *want)
{
	run(30); /* and a listing brings nothing back */
	(void)ino_of("none");
	run(5);
	ck_assert_str_eq(names_in_mount(), want);
	ck_assert_str_eq(names_in_bucket(), want);
}

void assert_both(const char *name, const char *text)
{
	ck_assert_msg(is(text_of(name), text), "%s in the mount", name);
	ck_assert_msg(is(object_of(name), text), "%s in the bucket", name);
}

void publish(const char *name, const char *text)
{
	ck_assert_int_eq(put_file(name, text), 0);
	ck_assert(settle(60 * NS_PER_S));
}

int move_on(struct file *f, const char *from, const char *to, int flags)
{
	int r = f_open(f, from, flags);

	if (r == 0)
		r = f_write(f, "two", 0);
	if (r == 0)
		r = f_flush(f);
	if (r == 0)
		r = rename_to(from, to);
	if (r == 0)
		r = f_write(f, "three", 0);
	return r;
}

void owe(struct file *f)
{
	rig_begin(1);
	publish("a", "one");
	ck_assert_int_eq(move_on(f, "a", "b", TRUNCATED), 0);
	run(4); /* noticed, and durable */
	ck_assert_str_eq(names_in_bucket(), " a ");
}

static void close_ext(struct file *f)
{
	if (f->ext >= 0)
		simdisk_external_close(disk, f->ext);
	f->ext = -1;
}

void crash(struct file *f, int how)
{
	if (how == 0)
		rig_die();
	else
		rig_cut((unsigned)(how - 1) * 50);
	close_ext(f);
	ck_assert_int_eq(rig_open(), 0);
}
