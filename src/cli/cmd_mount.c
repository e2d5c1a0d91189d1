/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ckptfs/control.h"
#include "ckptfs/daemon.h"
#include "ckptfs/options.h"
#include "ckptfs/source.h"

#include "commands.h"
#include "mountinfo.h"
#include "unmount.h"

static void usage(FILE *f)
{
	fputs("usage: ckptfs mount SOURCE MOUNTPOINT [-o OPTION[=VALUE],…] "
	      "[-f]\n"
	      "SOURCE: s3://BUCKET[/PREFIX] or file:///FOLDER.  Returns when "
	      "the mount is usable;\n-f stays in the foreground.  Options:\n",
	      f);
	options_help(f);
}

struct parsed {
	struct options o;
	struct source src;
	const char *source, *where;
	bool foreground;
};

static int complain(const char *what)
{
	fprintf(stderr, "ckptfs: %s\n", what);
	return -EINVAL;
}

/* -o lists come last and win; the config file they name comes first. */
static int read_options(struct parsed *p, const char *const *lists, size_t n)
{
	char err[OPTIONS_ERR_MAX];
	struct options peek;
	size_t i;
	int r = options_init(&peek);

	if (r == 0)
		r = options_env(&peek, err);
	for (i = 0; r == 0 && i < n; i++)
		r = options_list(&peek, lists[i], err);
	if (r == 0)
		r = options_init(&p->o);
	if (r == 0 && peek.config_file)
		r = options_file(&p->o, peek.config_file, err);
	if (r == 0)
		r = options_env(&p->o, err);
	for (i = 0; r == 0 && i < n; i++)
		r = options_list(&p->o, lists[i], err);
	options_clear(&peek);
	return r < 0 ? complain(err) : 0;
}

static int parse(int argc, char **argv, struct parsed *p)
{
	const char *lists[64];
	char err[SOURCE_ERR_MAX];
	size_t n = 0;
	int i;

	for (i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (strcmp(a, "-f") == 0)
			p->foreground = true;
		else if (strncmp(a, "-o", 2) == 0 && (a[2] || i + 1 < argc) &&
			 n < 64)
			lists[n++] = a[2] ? a + 2 : argv[++i];
		else if (strcmp(a, "-n") == 0 || strcmp(a, "-s") == 0 ||
			 strcmp(a, "-v") == 0)
			continue; /* mount(8) passes them on */
		else if (a[0] == '-')
			return complain("unknown flag; see 'ckptfs mount "
					"--help'");
		else if (!p->source)
			p->source = a;
		else if (!p->where)
			p->where = a;
		else
			return complain("too many words; see 'ckptfs mount "
					"--help'");
	}
	if (!p->where)
		return complain("give a source and a mount point: ckptfs mount "
				"s3://BUCKET /mnt/ckpt");
	if (read_options(p, lists, n) < 0)
		return -EINVAL;
	return source_parse(p->source, &p->src, err) < 0 ? complain(err) : 0;
}

static int nothing(void *arg, const char *line, size_t n)
{
	(void)arg;
	(void)line;
	(void)n;
	return 0;
}

/* A dead mount is taken over, a live one never. */
static int clear_mountpoint(const char *where)
{
	char *mp = mountinfo_of(where);
	struct stat st;
	int r = 0;

	while (r == 0 && mp && strcmp(mp, where) == 0) {
		if (control_call(where, "{\"do\":\"status\"}", nothing, NULL) >=
		    0) {
			fprintf(stderr, "ckptfs: %s is a live ckptfs mount "
				"already: 'ckptfs umount %s' first\n",
				where, where);
			r = -EBUSY;
			break;
		}
		r = unmount_now(where, true);
		free(mp);
		mp = mountinfo_of(where);
	}
	free(mp);
	if (r == 0 && (stat(where, &st) < 0 || !S_ISDIR(st.st_mode))) {
		fprintf(stderr, "ckptfs: %s: no such folder: make the mount "
			"point first\n",
			where);
		r = -ENOTDIR;
	}
	return r;
}

/* In the parent: what the daemon says, once. */
static int await_ready(int fd, pid_t pid)
{
	char line[2048];
	FILE *f = fdopen(fd, "r");
	int st;

	if (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "ok") == 0) {
			(void)fclose(f);
			return EXIT_DONE;
		}
		if (strncmp(line, "error ", 6) == 0)
			fprintf(stderr, "ckptfs: %s\n", line + 6);
	} else {
		fputs("ckptfs: the daemon died before the mount was usable: "
		      "see the log (or run with -f)\n",
		      stderr);
	}
	if (f)
		(void)fclose(f);
	(void)waitpid(pid, &st, 0);
	return EXIT_FAILED;
}

static int in_background(struct daemon_args *a)
{
	int fds[2], null;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return EXIT_FAILED;
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		return EXIT_FAILED;
	if (pid > 0) {
		(void)close(fds[1]);
		return await_ready(fds[0], pid);
	}
	(void)close(fds[0]);
	(void)setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
	}
	if (chdir("/") < 0)
		_exit(EXIT_FAILED);
	a->ready_fd = fds[1];
	exit(daemon_run(a));
}

int cmd_mount(int argc, char **argv)
{
	struct parsed p = { 0 };
	struct daemon_args a = { .ready_fd = -1 };
	char *where = NULL;
	int i, r = EXIT_USAGE;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return EXIT_DONE;
		}
	}
	if (parse(argc, argv, &p) == 0) {
		r = EXIT_FAILED;
		where = absolute_path(p.where);
		if (where && clear_mountpoint(where) == 0) {
			a.opts = &p.o;
			a.source = &p.src;
			a.mountpoint = where;
			a.foreground = p.foreground;
			r = p.foreground ? daemon_run(&a) : in_background(&a);
		}
	}
	free(where);
	options_clear(&p.o);
	source_clear(&p.src);
	return r;
}
