/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"

#include "cmd.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "mount", cmd_mount, "mount a bucket as a folder" },
	{ "status", cmd_status, "what is in the bucket, what is not, and why" },
	{ "sync", cmd_sync, "wait until everything is in the bucket" },
	{ "umount", cmd_umount, "the same, then unmount" },
	{ "prefetch", cmd_prefetch, "fetch files before they are read" },
	{ "evict", cmd_evict, "let go of local copies" },
	{ "limit", cmd_limit, "set the bandwidth of a mount in use" },
	{ "recover", cmd_recover, "decide about what is torn, parked, …" },
	{ "fsck", cmd_fsck, "check a bucket, or the cache of one" },
	{ "probe", cmd_probe, "try credentials and bucket before a mount" },
};

/* Control characters of one byte, or of two (U+0080 to U+009F). */
static size_t is_order(const char *s)
{
	unsigned char a = (unsigned char)s[0], b = (unsigned char)s[1];

	if (a < 0x20 || a == 0x7f)
		return 1;
	return a == 0xc2 && b >= 0x80 && b < 0xa0 ? 2 : 0;
}

static void put_safe(FILE *f, const char *s, char keep)
{
	size_t n;

	for (; *s; s += n ? n : 1) {
		n = *s == keep ? 0 : is_order(s);
		(void)fputc(n ? '?' : *s, f);
	}
}

void cmd_put_safe(FILE *f, const char *s)
{
	put_safe(f, s, ' ');
}

void cmd_say(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	(void)fputs("ckptfs: ", stderr);
	put_safe(stderr, text ? text : "out of memory", '\n');
	(void)fputc('\n', stderr);
	free(text);
}

int cmd_usage(const char *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("ckptfs: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fprintf(stderr, "\nusage: ckptfs%s%s …; --help tells more.\n",
		      *command ? " " : "", command);
	va_end(ap);
	return CLI_USAGE;
}

bool cmd_timeout(const char *command, const char *text, int64_t *ret_ns)
{
	if (text_parse_duration(text, ret_ns) == 0)
		return true;
	(void)cmd_usage(command,
			"--timeout %.100s is no good: give digits and ms, s, m "
			"or h, as in 90s",
			text);
	return false;
}

static void print_help(FILE *f)
{
	size_t i;

	(void)fputs("usage: ckptfs COMMAND …\n\n"
		    "A bucket as a folder, made for checkpoints: writes go at "
		    "the speed of the local\ndisk and reach the bucket in the "
		    "background, in order, whole or not at all.\n\n",
		    f);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		(void)fprintf(f, "  %-8s %s\n", commands[i].name,
			      commands[i].help);
	(void)fputs("\n  ckptfs mount s3://bucket/run7 /mnt/ckpt "
		    "-o cache_size=200G\n"
		    "  ckptfs status /mnt/ckpt\n"
		    "  ckptfs umount /mnt/ckpt\n\n"
		    "ckptfs COMMAND --help tells more.  Exit status: 0 done, 1 "
		    "failed or something is\nnot done, 2 wrong usage, 3 timed "
		    "out.\n",
		    f);
}

static int unknown(const char *name)
{
	const char *names[ARRAY_SIZE(commands)], *near;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	near = text_nearest(name, names, ARRAY_SIZE(names));
	if (near)
		return cmd_usage("",
				 "there is no command %.100s; did you mean "
				 "%s?",
				 name, near);
	return cmd_usage("", "there is no command %.100s", name);
}

int cli_main(int argc, char **argv)
{
	const char *self = argc > 0 ? strrchr(argv[0], '/') : NULL;
	size_t i;

	self = self ? self + 1 : argc > 0 ? argv[0] : "";
	if (strcmp(self, "mount.ckptfs") == 0 ||
	    strcmp(self, "mount.fuse.ckptfs") == 0)
		return cmd_mount_helper(argc, argv);
	if (argc < 2) {
		print_help(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return CLI_DONE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		(void)printf("ckptfs %s\n", PACKAGE_VERSION);
		return CLI_DONE;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	/* mount -t fuse.ckptfs calls us with a source and a folder. */
	if (strstr(argv[1], "://"))
		return cmd_mount_helper(argc, argv);
	return unknown(argv[1]);
}
