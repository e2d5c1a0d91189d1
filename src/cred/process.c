/* SPDX-License-Identifier: Apache-2.0 */
/* A program that prints credentials. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"
#include "ckptfs/json.h"

#include "aws_priv.h"

#define OUTPUT_MAX (64 * 1024)
#define TIME_OUT (60 * NS_PER_S)

/* A group of its own, which is killed whole; our own blocked and ignored
 * signals as they are by default. */
static int set_attr(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int r;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	r = posix_spawnattr_setsigmask(attr, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attr, &all);
	if (r == 0)
		r = posix_spawnattr_setpgroup(attr, 0);
	if (r == 0)
		r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK |
							   POSIX_SPAWN_SETSIGDEF |
							   POSIX_SPAWN_SETPGROUP);
	return r;
}

/* What it says on stderr is for its user to see, and not for a log. */
static int start(char **argv, int out, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r = posix_spawn_file_actions_init(&files);

	if (r)
		return -r;
	r = posix_spawnattr_init(&attr);
	if (r) {
		(void)posix_spawn_file_actions_destroy(&files);
		return -r;
	}
	r = set_attr(&attr);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(&files, STDIN_FILENO,
						     "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&files, out,
						     STDOUT_FILENO);
	if (r == 0)
		r = posix_spawnp(ret, argv[0], &files, &attr, argv, environ);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	return -r;
}

/* What there is now: 0 at its end, 1 if more may come. */
static int read_some(int fd, struct buf *b)
{
	char piece[4096];
	ssize_t n;
	int r = 1;

	while (r == 1) {
		n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && errno != EINTR)
			r = -errno;
		if (n == 0)
			r = 0;
		if (n > 0 && buf_add(b, piece, (size_t)n) < 0)
			r = -EFBIG;
	}
	explicit_bzero(piece, sizeof(piece));
	return r;
}

static int left_ms(const struct clk *clk, int64_t deadline)
{
	int64_t ns = deadline - clk_mono(clk);

	return ns <= 0 ? 0 : (int)(ns / NS_PER_MS) + 1;
}

/* Until it has ended; who it started may go on, and is not waited for.  Without a
 * pidfd (-1: an old kernel) until nobody can write any more. */
static int listen_to(const struct clk *clk, int out, int pidfd, struct buf *b)
{
	int64_t deadline = clk_mono(clk) + TIME_OUT;
	struct pollfd fds[2] = { { .fd = pidfd, .events = POLLIN },
				 { .fd = out, .events = POLLIN } };
	int r = 1, n;

	for (;;) {
		n = poll(fds, 2, left_ms(clk, deadline));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
		if (n < 0)
			continue;
		if (fds[1].revents)
			r = read_some(out, b);
		if (r < 0)
			return r;
		if (r == 0 && pidfd < 0)
			return 0;
		if (r == 0)
			fds[1].fd = -1;
		if (fds[0].revents) {
			r = r == 1 ? read_some(out, b) : 0;
			return r < 0 ? r : 0;
		}
	}
}

static int run(const struct clk *clk, char **argv, struct buf *b,
	       int *ret_status)
{
	int pipes[2] = { -1, -1 }, pidfd = -1, r;
	pid_t pid = -1;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	r = start(argv, pipes[1], &pid);
	(void)close(pipes[1]);
	if (r == 0) {
		pidfd = pidfd_open(pid, 0);
		r = (pidfd < 0 && errno != ENOSYS) ||
				    fcntl(pipes[0], F_SETFL, O_NONBLOCK) < 0 ?
			    -errno :
			    listen_to(clk, pipes[0], pidfd, b);
		if (r)
			(void)kill(-pid, SIGKILL);
		while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
			;
	}
	if (pidfd >= 0)
		(void)close(pidfd);
	(void)close(pipes[0]);
	return r;
}

static int take(const struct buf *b, const char *who, char why[CRED_WHY_MAX],
		struct cred **ret)
{
	struct json *j = NULL;
	int64_t version = 0;
	int r = json_parse(b->p, b->len, &j);

	if (r == -ENOMEM)
		return r;
	if (r || json_get_int(j, "Version", &version) || version != 1)
		r = cred_why(why, "%s: %s", who,
			     r ? "what it printed is no JSON" :
				 "what it printed has no \"Version\": 1");
	json_free(j);
	if (r)
		return r;
	return cred_parse_json(b->p, b->len, "SessionToken", who, why, ret);
}

static int explain(int r, int status, const char *who, char why[CRED_WHY_MAX])
{
	if (r == -ETIMEDOUT)
		return cred_why(why, "%s did not end within 60 seconds", who);
	if (r == -EFBIG)
		return cred_why(why, "%s printed too much", who);
	if (r)
		return cred_why(why, "%s: %s", who, strerror(-r));
	if (WIFSIGNALED(status))
		return cred_why(why, "%s died of signal %d", who,
				WTERMSIG(status));
	return cred_why(why, "%s ended with status %d", who,
			WEXITSTATUS(status));
}

int cred_run(const struct clk *clk, const char *who, char **argv,
	     struct buf *out, char why[CRED_WHY_MAX])
{
	int status = 0, r = buf_add(out, "", 0);

	if (r == 0)
		r = run(clk, argv, out, &status);
	if (r || status)
		return r == -ENOMEM || r == -ENOENT ?
			       r :
			       explain(r, status, who, why);
	return 0;
}

int aws_process(const struct search *s, char say[CRED_WHY_MAX],
		struct cred **ret)
{
	const char *line = aws_get(s, "credential_process");
	struct buf out = BUF_INIT(OUTPUT_MAX);
	char who[160], **argv = NULL;
	int r;

	if (!line)
		return -ENOENT;
	r = cred_split(line, &argv);
	if (r == -EINVAL)
		return cred_why(say,
				"profile \"%s\": credential_process is no "
				"command, or a quote in it is not closed (# "
				"and ; after a blank begin a comment)",
				s->profile);
	if (r)
		return r;
	/* Its arguments may be secrets. */
	snprintf(who, sizeof(who), "credential_process %.100s", argv[0]);
	r = cred_run(s->aws->clk, who, argv, &out, say);
	if (r == -ENOENT)
		r = explain(r, 0, who, say);
	if (r == 0)
		r = take(&out, who, say, ret);
	if (r == 0)
		snprintf(say, CRED_WHY_MAX, "%s of profile \"%.64s\"", who,
			 s->profile);
	if (out.p)
		explicit_bzero(out.p, out.len);
	buf_clear(&out);
	free(argv);
	return r;
}
