/* SPDX-License-Identifier: Apache-2.0 */
/* ckptfs fsck, and its half --cache: is the cache of a source whole? */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/fsck.h"
#include "ckptfs/log.h"
#include "ckptfs/text.h"

#include "cmd.h"
#include "cmd_fsck.h"
#include "offline.h"

static void print_help(void)
{
	(void)puts(
		"usage: ckptfs fsck SOURCE [--read-data] [--versions] [--fix "
		"[--older-than TIME]] [-o OPTION=VALUE,…]\n"
		"       ckptfs fsck --cache SOURCE [--fix] [-o "
		"OPTION=VALUE,…]\n\n"
		"Check the bucket of a SOURCE, mounted or not: names that no "
		"mount can show,\nuploads that were never ended, what waits "
		"in .ckptfs/ for a decision.\n\n"
		"  --read-data   read every object, and compare its bytes with "
		"the checksum that the\n                bucket has\n"
		"  --versions    tell the old versions, too, and what was "
		"deleted, where the bucket\n                keeps them\n"
		"  --older-than TIME\n                uploads begun longer "
		"ago are nobody's (ms s m h; otherwise 168h)\n"
		"  --fix         remove what mounts left when they tried what "
		"they may do; with\n                --older-than end such "
		"uploads, too.  Nothing that can be read\n                is "
		"deleted\n\n"
		"With --cache, check the cache of a SOURCE that is not "
		"mounted: its database, and\nthat each version has its bytes "
		"and each blob its version.  The bucket is not asked.\n\n"
		"  --fix         mend what can be mended.  No byte is deleted: "
		"what no row knows goes\n                to lost+found, a "
		"lost or damaged database is made anew from the\n"
		"                blobs (ckptfs recover list has them then), and "
		"what the bucket\n                has, too, is fetched "
		"again\n\n"
		"  -o            the options it was mounted with (cache_dir, "
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

static int run_cache(const struct fsck_wish *wish)
{
	const struct log_opts lo = { .level = LOG_LV_ERR,
				     .sink = LOG_TO_STDERR };
	struct fsck_opts fo = { .fix = wish->fix, .found = on_found };
	struct offline off;
	struct fsck_sums sums;
	int r, status = offline_open("fsck", wish->source, wish->dash_o, &off);

	if (status == CLI_DONE && log_init(&lo) < 0)
		status = CLI_FAILED;
	if (status == CLI_DONE) {
		fo.source = off.d.normal;
		fo.prefix = off.d.src.prefix;
		r = fsck_cache(&off.d.host, &fo, &sums);
		status = r < 0 ? failed(&off, r) :
				 verdict(&off, &sums, wish->fix);
	}
	offline_close(&off);
	return status;
}

static int run(const struct fsck_wish *wish)
{
	if (!wish->source)
		return cmd_usage("fsck", "which SOURCE?  (of a "
				 "cache: --cache SOURCE)");
	if (wish->cache &&
	    (wish->read_data || wish->versions || wish->has_older))
		return cmd_usage("fsck", "--read-data, --versions and "
					 "--older-than are for buckets, not "
					 "for a --cache");
	return wish->cache ? run_cache(wish) : fsck_bucket_run(wish);
}

int cmd_fsck(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "cache", no_argument, NULL, 'c' },
		{ "fix", no_argument, NULL, 'f' },
		{ "older-than", required_argument, NULL, 't' },
		{ "read-data", no_argument, NULL, 'r' },
		{ "versions", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct fsck_wish wish = { .source = NULL };
	int c;

	while ((c = getopt_long(argc, argv, "ho:", longs, NULL)) != -1) {
		switch (c) {
		case 'h':
			print_help();
			return CLI_DONE;
		case 'c':
			wish.cache = true;
			break;
		case 'f':
			wish.fix = true;
			break;
		case 'o':
			wish.dash_o = optarg;
			break;
		case 'r':
			wish.read_data = true;
			break;
		case 'v':
			wish.versions = true;
			break;
		case 't':
			if (text_parse_duration(optarg, &wish.older_ns) < 0)
				return cmd_usage("fsck",
						 "--older-than %.100s is no "
						 "good: give digits and ms, s, "
						 "m or h, as in 48h",
						 optarg);
			wish.has_older = true;
			break;
		default:
			return cmd_usage("fsck", "that is no way to call it");
		}
	}
	if (optind < argc)
		wish.source = argv[optind++];
	if (optind < argc)
		return cmd_usage("fsck", "what is %.100s?", argv[optind]);
	return run(&wish);
}
