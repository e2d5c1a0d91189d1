/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator: runs seeded programs (prog.h) until the time is over, each on
 * a machine of its own that dies on the way, comes back and drains.  A program
 * that finds a broken promise is shrunk and printed; so is its seed.
 *
 *	simulate [--seed N] [--seconds N] [--runs N] [--jobs N] [--only SET]
 *		[--go-on]
 *	simulate --replay FILE [--trace]
 *
 * SET: the sum of what is drawn beside crashes (prog.h); by itself each seed has
 * some of it.
 * The first failure ends it: exit status 1.  With --go-on none does: for how
 * much of the core is reached.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ckptfs/log.h"

#include "drive.h"
#include "memory.h"
#include "shrink.h"

#define JOBS_MOST 64

/* What the processes share. */
struct board {
	uint64_t seed[JOBS_MOST]; /* at hand */
	uint64_t runs[JOBS_MOST];
	uint64_t next[JOBS_MOST]; /* to run, counted from the first seed */
	bool stop;
};

struct options {
	uint64_t seed, runs;
	double seconds;
	unsigned jobs, what;
	const char *replay;
	bool trace, no_shrink, go_on;
};

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_until(const struct options *o, struct board *b, unsigned job,
		      double end)
{
	static struct drive d;
	static struct prog p;
	uint64_t n;

	while (!b->stop && b->next[job] < o->runs && now_s() < end) {
		n = b->next[job];
		b->next[job] += o->jobs;
		b->seed[job] = o->seed + n;
		prog_draw(&p, b->seed[job], o->what);
		(void)alarm(60); /* it hangs */
		if (!drive_run(&d, &p, o->trace)) {
			fprintf(stderr, "seed %" PRIu64 ": %s\n", p.seed,
				d.why);
			exit(1); /* with what was counted for gcov */
		}
		b->runs[job]++;
	}
	exit(0); /* what was counted for gcov is written */
}

static void report(const struct options *o, uint64_t seed)
{
	static struct prog p;

	prog_draw(&p, seed, o->what);
	if (!o->no_shrink)
		shrink(&p, 60);
	printf("seed %" PRIu64 " breaks a promise; as a program:\n", seed);
	prog_print(&p, stdout);
	printf("(simulate --replay FILE --trace tells more)\n");
}

static pid_t start_job(const struct options *o, struct board *b, unsigned job,
		       double end)
{
	pid_t pid = fork();

	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (pid == 0)
		run_until(o, b, job, end);
	return pid;
}

/* It ended in the midst of what it had to do, and that is no failure. */
static bool is_to_go_on(const struct options *o, int status)
{
	return WIFEXITED(status) &&
	       (WEXITSTATUS(status) == MEMORY_GAVE_UP || o->go_on);
}

static int run_jobs(const struct options *o, struct board *b, uint64_t *ret)
{
	double end = now_s() + o->seconds;
	pid_t pid[JOBS_MOST];
	unsigned i, left;
	int bad = 0, status;

	fflush(NULL);
	for (i = 0; i < o->jobs; i++) {
		b->next[i] = i;
		pid[i] = start_job(o, b, i, end);
	}
	for (left = o->jobs; left > 0; left--) {
		pid_t p = wait(&status);

		for (i = 0; i < o->jobs && pid[i] != p; i++)
			;
		if (i == o->jobs || status == 0)
			continue;
		if (is_to_go_on(o, status)) {
			b->runs[i]++;
			pid[i] = start_job(o, b, i, end);
			left++;
			continue;
		}
		b->stop = true;
		if (bad++ == 0)
			*ret = b->seed[i];
	}
	return bad;
}

static int run_all(const struct options *o)
{
	struct board *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double began = now_s(), took;
	uint64_t seed = 0, runs = 0;
	unsigned i;
	int bad;

	if (b == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	bad = run_jobs(o, b, &seed);
	took = now_s() - began;
	for (i = 0; i < o->jobs; i++)
		runs += b->runs[i];
	printf("%" PRIu64 " runs, each with a crash, from seed %" PRIu64
	       " on in %.0f s: %.0f a second and job\n",
	       runs, o->seed, took, (double)runs / took / o->jobs);
	if (bad)
		report(o, seed);
	return bad ? 1 : 0;
}

static int replay(const struct options *o)
{
	static struct drive d;
	static struct prog p;
	FILE *f = strcmp(o->replay, "-") == 0 ? stdin : fopen(o->replay, "re");

	if (!f || !prog_read(&p, f)) {
		fprintf(stderr, "%s: %s (line %u)\n", o->replay,
			f ? "not a program" : strerror(errno), p.n);
		return 2;
	}
	if (f != stdin)
		(void)fclose(f);
	if (drive_run(&d, &p, o->trace))
		return 0;
	fprintf(stderr, "%s: %s\n", o->replay, d.why);
	return 1;
}

static bool parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' },
		{ "runs", required_argument, NULL, 'n' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "only", required_argument, NULL, 'o' },
		{ "replay", required_argument, NULL, 'r' },
		{ "trace", no_argument, NULL, 'v' },
		{ "no-shrink", no_argument, NULL, 'k' },
		{ "go-on", no_argument, NULL, 'g' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 's')
			o->seed = strtoull(optarg, NULL, 10);
		else if (c == 't')
			o->seconds = strtod(optarg, NULL);
		else if (c == 'n')
			o->runs = strtoull(optarg, NULL, 10);
		else if (c == 'j')
			o->jobs = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'o')
			o->what = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'r')
			o->replay = optarg;
		else if (c == 'v')
			o->trace = true;
		else if (c == 'k')
			o->no_shrink = true;
		else if (c == 'g')
			o->go_on = true;
		else
			return false;
	}
	return optind == argc && o->jobs >= 1 && o->jobs <= JOBS_MOST;
}

int main(int argc, char **argv)
{
	/* a failing disk is told of many times a run */
	struct log_opts log = { .path = "/dev/null" };
	struct options o = { .runs = UINT64_MAX,
			     .seconds = 60,
			     .what = PROG_SWARM };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	o.jobs = cpus < 1 ? 1 : cpus > JOBS_MOST ? JOBS_MOST : (unsigned)cpus;
	o.seed = (uint64_t)time(NULL) * 1000000;
	if (!parse(&o, argc, argv)) {
		fprintf(stderr, "usage: simulate [--seed N] [--seconds N] "
				"[--runs N] [--jobs N] [--only SET] "
				"[--replay FILE] [--trace] [--no-shrink] "
				"[--go-on]\n");
		return 2;
	}
	log.level = o.trace ? LOG_LV_DEBUG : LOG_LV_ERR;
	log.sink = o.trace ? LOG_TO_STDERR : LOG_TO_FILE;
	if (log_init(&log) < 0)
		return 2;
	memory_init();
	return o.replay ? replay(&o) : run_all(&o);
}
