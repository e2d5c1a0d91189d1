/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/glue.h"
#include "harness.h"

static const struct {
	const char *line;
	int r;
	bool exiting, signaled;
	int status;
} t[] = {
	{ "7 (sh) S 1 7 7 0 -1 4194304 1 2", 0, false, false, 0 },
	{ "7 (a) b) S 1 7 7 0 -1 4194308 1 2", 0, true, false, 0 },
	{ "7 (python 3) R 1 7 7 0 -1 4195332 1", 0, true, true, 0 },
	{ "7 (sh) R 1 7 7 0 -1 4195332 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 "
	  "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 768\n",
	  0, true, true, 768 },
	{ "7 (sh) S 1 7", -EBADMSG, false, false, 0 },
	{ "", -EBADMSG, false, false, 0 },
	{ "7 (sh) S 1 7 7 0 -1 x", -EBADMSG, false, false, 0 },
};

START_TEST(a_dying_process_is_seen_in_its_flags)
{
	struct fs_who w = { .tgid = 0 };

	int status = 0;

	ck_assert_int_eq(who_parse_stat(t[_i].line, &w, &status), t[_i].r);
	ck_assert_int_eq(status, t[_i].status);
	ck_assert_int_eq(w.exiting, t[_i].exiting);
	ck_assert_int_eq(w.signaled, t[_i].signaled);
}
END_TEST

START_TEST(a_thread_belongs_to_its_process)
{
	struct fs_who w;

	ck_assert_int_eq(who_parse_tgid("Name:\tsh\nTgid:\t42\nNgid:\t0\n"),
			 42);
	ck_assert_int_eq(who_parse_tgid("Name:\tsh\n"), 0);
	who_find(gettid(), &w);
	ck_assert_int_eq(w.tgid, getpid());
	ck_assert(!w.exiting && !w.signaled);
	who_find(0, &w);
	ck_assert_int_eq(w.tgid, 0);
}
END_TEST

START_TEST(one_that_dies_has_no_memory)
{
	ck_assert(who_has_memory("Name:\tsh\nVmPeak:\t8 kB\nVmSize:\t8 kB\n"));
	ck_assert(!who_has_memory("Name:\tVmSize:\nTgid:\t42\nThreads:\t1\n"));
}
END_TEST

static void *find_myself(void *ret)
{
	who_find(gettid(), ret);
	return NULL;
}

/* It has no name of its own for the quick way. */
START_TEST(a_second_thread_belongs_to_the_same)
{
	struct fs_who w;
	pthread_t id;

	ck_assert_int_eq(pthread_create(&id, NULL, find_myself, &w), 0);
	ck_assert_int_eq(pthread_join(id, NULL), 0);
	ck_assert_int_eq(w.tgid, getpid());
}
END_TEST

START_TEST(statm_of_one_that_dies_is_all_zeros)
{
	siginfo_t info;
	struct fs_who w;
	pid_t id = fork();

	ck_assert(who_statm_has_memory("587 366 341 1 0 20 0\n"));
	ck_assert(!who_statm_has_memory("0 0 0 0 0 0 0\n"));
	ck_assert(!who_statm_has_memory(""));
	if (id == 0) {
		(void)raise(SIGKILL);
		_exit(1);
	}
	ck_assert_int_gt(id, 0);
	/* Dead, and still there to be asked about. */
	ck_assert_int_eq(waitid(P_PID, (id_t)id, &info, WEXITED | WNOWAIT), 0);
	who_find(id, &w);
	ck_assert_int_eq(w.tgid, id);
	ck_assert(w.signaled);
	ck_assert_int_eq(waitid(P_PID, (id_t)id, &info, WEXITED), 0);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, a_dying_process_is_seen_in_its_flags, 0,
			    (int)ARRAY_SIZE(t));
	tcase_add_test(c, a_thread_belongs_to_its_process);
	tcase_add_test(c, one_that_dies_has_no_memory);
	tcase_add_test(c, a_second_thread_belongs_to_the_same);
	tcase_add_test(c, statm_of_one_that_dies_is_all_zeros);
}

int main(void)
{
	return harness_run("who", add);
}
