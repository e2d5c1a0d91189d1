/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

static char root[64];
static pid_t owner;

static int drop(const char *path, const struct stat *st, int flag,
		struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void drop_root(void)
{
	if (root[0] && getpid() == owner)
		(void)nftw(root, drop, 16, FTW_DEPTH | FTW_PHYS);
}

const char *harness_tmpdir(void)
{
	static char dir[96];

	snprintf(dir, sizeof(dir), "%s/XXXXXX", root);
	if (!mkdtemp(dir))
		ck_abort_msg("mkdtemp %s: %m", dir);
	return dir;
}

unsigned harness_step(void)
{
	const char *text = getenv("CKPTFS_TEST_STEP");
	unsigned long n = text ? strtoul(text, NULL, 10) : 1;

	return n >= 1 && n <= 1000 ? (unsigned)n : 1;
}

int harness_loops(int n)
{
	return 1 + (n - 1) / (int)harness_step();
}

void harness_add_abort(TCase *c, const TTest *t, int from, int to)
{
	const char *mode = getenv("CK_FORK");

	if (!mode || strcmp(mode, "no") != 0)
		tcase_add_loop_test_raise_signal(c, t, SIGABRT, from, to);
}

int harness_run(const char *name, void (*add)(TCase *c))
{
	Suite *s = suite_create(name);
	TCase *c = tcase_create(name);
	SRunner *r = srunner_create(s);
	int failed;

	snprintf(root, sizeof(root), "/tmp/ckptfs-test-XXXXXX");
	if (!mkdtemp(root))
		return EXIT_FAILURE;
	owner = getpid();
	atexit(drop_root);
	tcase_set_timeout(c, 60);
	add(c);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
