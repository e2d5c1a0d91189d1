/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs_rig.h"
#include "harness.h"
#include "nth_rig.h"

#define NAMES 5
#define NEVER 1 /* a step the program did not come to */

/* A name: its text before, after each step that was acknowledged, and now
 * perhaps.  NULL: not there. */
struct name {
	const char *name;
	const char *sure; /* the last that was acknowledged */
	const char *maybe[4]; /* what came after it and failed */
	unsigned nmaybe;
};

static struct name names[NAMES];
static unsigned nnames;

static struct name *name_add(const char *name, const char *text)
{
	names[nnames] = (struct name){ .name = name, .sure = text };
	return &names[nnames++];
}

/* A step that gives a name this text (NULL: takes it away) said r. */
static void step(struct name *n, const char *text, int r)
{
	if (r == 0) {
		n->sure = text;
		n->nmaybe = 0;
	} else if (n->nmaybe < ARRAY_SIZE(n->maybe)) {
		n->maybe[n->nmaybe++] = text;
	}
}

/* Write a file, whole: text is what it is then.  Where the write fails the job
 * may close it all the same: then it is cut short. */
static int save(struct name *n, const char *text, bool create)
{
	struct file f;
	int r, e;

	r = create ? f_create(&f, n->name, O_WRONLY | O_TRUNC) :
		     f_open(&f, n->name, O_WRONLY | O_TRUNC);
	if (r < 0) {
		step(n, text, r);
		return r;
	}
	r = f_write(&f, text, 0);
	e = f_close(&f);
	if (r < 0)
		step(n, "", e);
	if (r < 0 && e == 0)
		return r;
	step(n, text, r < 0 ? r : e);
	return r < 0 ? r : e;
}

const char *nth_name(enum nth_program p)
{
	static const char *const all[] = { "new file",
					   "overwrite while uploading",
					   "rename over", "delete pending",
					   "evict",
					   "mount after a crash",
					   "recover" };

	return all[p];
}

static void publish(const char *name, const char *text)
{
	ck_assert_int_eq(put_file(name, text), 0);
	(void)name_add(name, text);
}

/* It dies with one file new and one rewritten, both open, one closed, and one
 * deleted; and one that no barrier covers. */
static void leave_open(void)
{
	struct file fresh, changed;

	step(name_add("closed", NULL), "closed", put_file("closed", "closed"));
	ck_assert_int_eq(f_create(&fresh, "fresh", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&fresh, "half", 0), 0);
	(void)name_add("fresh", "half");
	ck_assert_int_eq(f_open(&changed, "changed", O_WRONLY | O_TRUNC), 0);
	ck_assert_int_eq(f_write(&changed, "half", 0), 0);
	step(&names[1], NULL, fs_unlink(fs, FS_ROOT_INO, "deleted"));
	ck_assert_int_eq(fs_fsyncdir(fs, FS_ROOT_INO), 0);
	step(name_add("late", NULL), "late", put_file("late", "late"));
	rig_die();
	simdisk_external_close(disk, fresh.ext);
	simdisk_external_close(disk, changed.ext);
}

/* A file that is unfinished, one that is torn, and one the store refuses. */
static void leave_kept(void)
{
	static const struct store_fault no = { .method = "put",
					       .key = "refused",
					       .err = -EACCES,
					       .act = STORE_FAULT_BEFORE };
	struct file f;

	ck_assert_int_eq(f_create(&f, "unfinished", O_WRONLY), 0);
	ck_assert_int_eq(f_write(&f, "half", 0), 0);
	(void)name_add("unfinished", "half");
	rig_die();
	simdisk_external_close(disk, f.ext);
	ck_assert_int_eq(rig_open(), 0);
	ck_assert_int_eq(put_file("torn.pt", "PK\003\004"), 0);
	(void)name_add("torn.pt", "PK\003\004");
	ck_assert_int_eq(store_fault_set(bucket, &no, 1), 0);
	ck_assert_int_eq(put_file("refused", "refused"), 0);
	(void)name_add("refused", "refused");
	(void)sim_run_for(sim, 60 * NS_PER_S);
	ck_assert_str_eq(state_of("refused"), "parked");
	ck_assert_int_eq(store_fault_set(bucket, NULL, 0), 0);
}

void nth_begin(enum nth_program p)
{
	rig_begin(7);
	nnames = 0;
	switch (p) {
	case NTH_OVERWRITE_WHILE_UPLOADING:
		publish("f", "zero");
		break;
	case NTH_RENAME_OVER:
		publish("to", "old");
		(void)name_add("from", NULL);
		break;
	case NTH_DELETE_PENDING:
		publish("old", "old");
		(void)name_add("young", NULL);
		break;
	case NTH_EVICT:
		publish("e", "evicted");
		break;
	case NTH_MOUNT:
		publish("changed", "old");
		publish("deleted", "gone");
		break;
	case NTH_RECOVER:
		break;
	default:
		(void)name_add("n", NULL);
	}
	ck_assert(settle(60 * NS_PER_S));
	(void)sim_run_for(sim, 3 * NS_PER_S); /* and durable */
	if (p == NTH_MOUNT)
		leave_open();
	else if (p == NTH_RECOVER)
		leave_kept();
}

static void rename_over(void)
{
	struct name *to = &names[0], *from = &names[1];
	int r = save(from, "new", true);

	if (r < 0)
		return;
	r = fs_rename(fs, FS_ROOT_INO, "from", FS_ROOT_INO, "to", 0);
	step(from, NULL, r);
	step(to, "new", r);
}

static void delete_pending(void)
{
	struct name *old = &names[0], *young = &names[1];
	if (save(young, "young", true) == 0)
		step(young, NULL, fs_unlink(fs, FS_ROOT_INO, "young"));
	step(old, NULL, fs_unlink(fs, FS_ROOT_INO, "old"));
}

static void evict(bool for_ever)
{
	const struct fs_bulk how = { .deadline_mono_ns =
					     sim_now(sim) + 5 * NS_PER_S };
	struct fs_bulk_sums s;

	(void)!fs_evict(fs, "e", &how, &s);
	/* Fetched again; who reads waits for ever, too. */
	if (!for_ever)
		(void)text_of("e");
}

static void on_done(void *arg, const struct fs_kept *k, int err,
		    const char *text)
{
	int *ret = arg;

	(void)k;
	(void)text;
	if (*ret == 0)
		*ret = err;
}

static int decide(enum fs_recover what, const char *path)
{
	const struct fs_recover_what which = { .path = path };
	int err = 0, r = fs_recover(fs, what, &which, on_done, &err);

	return r < 0 ? r : err;
}

static void recover(void)
{
	(void)decide(FS_RECOVER_PUBLISH, "unfinished");
	step(&names[1], NULL, decide(FS_RECOVER_DISCARD, "torn.pt"));
	(void)decide(FS_RECOVER_RETRY, "refused");
}

void nth_run(enum nth_program p, bool for_ever)
{
	switch (p) {
	case NTH_OVERWRITE_WHILE_UPLOADING:
		(void)save(&names[0], "one", false);
		(void)sim_run_for(sim, NS_PER_S + NS_PER_S / 10);
		(void)save(&names[0], "two", false);
		break;
	case NTH_RENAME_OVER:
		rename_over();
		break;
	case NTH_DELETE_PENDING:
		delete_pending();
		break;
	case NTH_EVICT:
		evict(for_ever);
		break;
	case NTH_MOUNT:
		if (rig_open() == 0)
			break;
		/* A disk that fails now has perhaps not what it had then. */
		step(&names[4], NULL, -EIO);
		return;
	case NTH_RECOVER:
		recover();
		break;
	default:
		(void)save(&names[0], "new", true);
	}
	(void)sim_run_for(sim, 30 * NS_PER_S);
}

/* ---- afterwards */

static bool same(const char *a, const char *b)
{
	return a ? b && strcmp(a, b) == 0 : !b;
}

static bool is_allowed(const struct name *n, const char *text)
{
	unsigned i;

	for (i = 0; i < n->nmaybe; i++)
		if (same(n->maybe[i], text))
			return true;
	return same(n->sure, text);
}

struct told {
	const char *path;
	bool is_told;
};

static int on_pending(void *arg, const struct fs_pending *p)
{
	struct told *t = arg;

	t->is_told |= p->missing && strcmp(p->path, t->path) == 0;
	return 0;
}

/* Status says that this is not in the bucket. */
static bool is_told(const char *path)
{
	struct told t = { .path = path };

	ck_assert_int_eq(fs_each_pending(fs, "", on_pending, &t), 0);
	return t.is_told;
}

static void check_name(const struct name *n, const char *what)
{
	char here[64] = "", there[64] = "";
	const char *h = text_of(n->name), *t;

	if (h)
		(void)snprintf(here, sizeof(here), "%s", h);
	t = object_of(n->name);
	if (t)
		(void)snprintf(there, sizeof(there), "%s", t);
	ck_assert_msg(!t || is_allowed(n, there) || is_told(n->name),
		      "%s: %s is \"%s\" in the bucket", what, n->name, there);
	/* What was not acknowledged may be unfinished, of whatever length. */
	if (n->nmaybe && strcmp(state_of(n->name), "unfinished") == 0)
		return;
	ck_assert_msg(is_allowed(n, h ? here : NULL),
		      "%s: %s is \"%s\" in the mount, %s", what, n->name,
		      h ? here : "(none)", state_of(n->name));
	ck_assert_msg(same(h ? here : NULL, t ? there : NULL) ||
			      is_told(n->name),
		      "%s: %s is \"%s\" (%s), but \"%s\" in the bucket, and "
		      "status says nothing",
		      what, n->name, h ? here : "(none)", state_of(n->name),
		      t ? there : "(none)");
}

void nth_check(enum nth_program p, bool lives_on, const char *what)
{
	unsigned i;
	int r;

	(void)p;
	if (!lives_on || !fs) {
		rig_die();
		r = rig_open();
		ck_assert_msg(r == 0, "%s: not mounted again: %d", what, r);
	}
	(void)settle(900 * NS_PER_S);
	(void)sim_run_for(sim, 20 * NS_PER_S);
	for (i = 0; i < nnames; i++)
		check_name(&names[i], what);
}

void nth_end(void)
{
	rig_end();
}

#define RETURNED 100

void nth_leave(int ret)
{
	_exit(RETURNED + ret);
}

int nth_fork(int (*fn)(void *arg), void *arg, const char *what)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		nth_leave(fn(arg));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "%s: signal %d", what,
		      WTERMSIG(status));
	status = WEXITSTATUS(status);
	ck_assert_msg(status >= RETURNED, "%s: status %d", what, status);
	return status - RETURNED;
}
