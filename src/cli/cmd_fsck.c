/* SPDX-License-Identifier: Apache-2.0 */
/* ckptfs fsck --cache: is the cache of a source whole? */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/fsck.h"
#include "ckptfs/log.h"
#include "ckptfs/text.h"

#include "cmd.h"
#include "offline.h"

static void print_help(void)
{
	(void)puts(
		"usage: ckptfs fsck --cache SOURCE [--fix] [-o OPTION=VALUE,…]\n\n"
		"Check the cache of a SOURCE that is not mounted: its "
		"database, and that each version\nhas its bytes and each blob "
		"its version.  The bucket is not asked.\n\n"
		"  --cache  the source whose cache it is\n"
		"  --fix    mend what can be mended.  No byte is deleted: what "
		"no row knows goes to\n           lost+found, a lost or damaged "
		"database is made anew from the blobs\n           (ckptfs "
		"recover list has them then), and what the bucket has, too, "
		"is\n           fetched again\n"
		"  -o       the options it was mounted with (cache_dir, "
		"endpoint_url, …)\n\n"
		"Exit status: 0 all is well, or is now; 1 something is not; 2 "
		"wrong usage.");
}

static void on_found(void *arg, const char *text, bool mended)
{
	(void)arg;
	(void)fputs(mended ? "mended: " : "found: ", stdout);
	cmd_put_safe(stdout, text);
	(void)fputc('\n', stdout);
}

static int failed(const struct offline *off, int r)
{
	cmd_say("%s: %s", off->d.cache_path,
		r == -EBUSY	  ? "it is the cache of another source" :
		r == -ENOTSUP ? "a newer ckptfs made it: use that one" :
					strerror(-r));
	return CLI_FAILED;
}

static int verdict(const struct offline *off, const struct fsck_sums *s,
		   bool fix)
{
	uint64_t left = s->found - s->mended;
	char size[TEXT_QTY_LEN];

	text_size(s->bytes, size);
	(void)printf("%s: %llu versions, %llu blobs, %s: ", off->d.cache_path,
		     (unsigned long long)s->versions,
		     (unsigned long long)s->blobs, size);
	if (s->found == 0)
		(void)puts("all is well");
	else if (left == 0)
		(void)printf("%llu mended, all is well now\n",
			     (unsigned long long)s->mended);
	else
		(void)printf("%llu found, %llu mended%s\n",
			     (unsigned long long)s->found,
			     (unsigned long long)s->mended,
			     fix ? "" : "; --fix mends what can be mended");
	return left ? CLI_FAILED : CLI_DONE;
}

static int run(const char *source, const char *dash_o, bool fix)
{
	const struct log_opts lo = { .level = LOG_LV_ERR,
				     .sink = LOG_TO_STDERR };
	struct fsck_opts fo = { .fix = fix, .found = on_found };
	struct offline off;
	struct fsck_sums sums;
	int r, status = offline_open("fsck", source, dash_o, &off);

	if (status == CLI_DONE && log_init(&lo) < 0)
		status = CLI_FAILED;
	if (status == CLI_DONE) {
		fo.source = off.d.normal;
		fo.prefix = off.d.src.prefix;
		r = fsck_cache(&off.d.host, &fo, &sums);
		status = r < 0 ? failed(&off, r) : verdict(&off, &sums, fix);
	}
	offline_close(&off);
	return status;
}

int cmd_fsck(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "cache", required_argument, NULL, 'c' },
		{ "fix", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	const char *source = NULL, *dash_o = NULL;
	bool fix = false;
	int c;

	while ((c = getopt_long(argc, argv, "hc:fo:", longs, NULL)) != -1) {
		switch (c) {
		case 'h':
			print_help();
			return CLI_DONE;
		case 'c':
			source = optarg;
			break;
		case 'f':
			fix = true;
			break;
		case 'o':
			dash_o = optarg;
			break;
		default:
			return cmd_usage("fsck", "that is no way to call it");
		}
	}
	if (!source)
		return cmd_usage("fsck",
				 "only caches can be checked yet: fsck --cache "
				 "SOURCE");
	if (optind < argc)
		return cmd_usage("fsck", "what is %.100s?", argv[optind]);
	return run(source, dash_o, fix);
}
