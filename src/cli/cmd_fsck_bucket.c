/* SPDX-License-Identifier: Apache-2.0 */
/* ckptfs fsck SOURCE: is the bucket as a mount wants it? */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/fsck.h"
#include "ckptfs/http.h"
#include "ckptfs/log.h"
#include "ckptfs/rng.h"
#include "ckptfs/store.h"
#include "ckptfs/text.h"
#include "ckptfs/thr.h"

#include "cmd.h"
#include "cmd_fsck.h"
#include "offline.h"

/* A mount that is at work takes less for one; what is older, nobody knows. */
#define ORPHAN_NS (7 * 24 * 3600 * NS_PER_S)

static void on_told(void *arg, enum fsck_word word, const char *text)
{
	static const char *const words[] = { [FSCK_NOTE] = "note: ",
					     [FSCK_FOUND] = "found: ",
					     [FSCK_MENDED] = "mended: " };

	(void)arg;
	(void)fputs(words[word], stdout);
	cmd_put_safe(stdout, text);
	(void)fputc('\n', stdout);
	(void)fflush(stdout); /* reading all may take hours */
}

static int verdict(const struct offline *off, const struct fsck_wish *wish,
		   const struct fsck_bucket_sums *s)
{
	uint64_t left = s->found - s->mended;
	char size[TEXT_QTY_LEN];

	text_size(s->bytes, size);
	cmd_put_safe(stdout, off->d.src.name);
	(void)printf(": %llu objects, %s, %llu uploads in parts",
		     (unsigned long long)s->objects, size,
		     (unsigned long long)s->uploads);
	if (wish->read_data)
		(void)printf(", %llu read (%llu without a checksum)",
			     (unsigned long long)s->read,
			     (unsigned long long)s->unsummed);
	text_size(s->old_bytes, size);
	if (wish->versions)
		(void)printf(", %llu old versions, %s, %llu marks of deletes",
			     (unsigned long long)s->old_versions, size,
			     (unsigned long long)s->marks);
	if (s->found == 0)
		(void)puts(": all is well");
	else if (left == 0)
		(void)printf(": %llu mended, all is well now\n",
			     (unsigned long long)s->mended);
	else
		(void)printf(": %llu found, %llu mended\n",
			     (unsigned long long)s->found,
			     (unsigned long long)s->mended);
	return left ? CLI_FAILED : CLI_DONE;
}

static int check(struct offline *off, const struct fsck_wish *wish)
{
	const struct host host = { .clk = &clk_system,
				   .rng = &rng_system,
				   .thr = &thr_system };
	const struct fsck_bucket_opts fo = {
		.prefix = off->d.src.prefix,
		.real_folders = off->d.src.kind == SOURCE_DIR,
		.fix = wish->fix,
		.orphan_ns = wish->has_older ? wish->older_ns : ORPHAN_NS,
		.end_orphans = wish->has_older,
		.read_data = wish->read_data,
		.versions = wish->versions,
		.readers = off->o.max_downloads,
		.told = on_told,
	};
	struct fsck_bucket_sums sums;
	int r = store_probe(off->d.store, off->d.src.prefix, !wish->fix);

	if (r == 0)
		r = fsck_bucket(off->d.store, &host, &fo, &sums);
	if (r < 0)
		return daemon_say_unreached(&off->d, r);
	return verdict(off, wish, &sums);
}

int fsck_bucket_run(const struct fsck_wish *wish)
{
	const struct log_opts lo = { .level = LOG_LV_ERR,
				     .sink = LOG_TO_STDERR };
	struct offline off;
	int status = offline_bucket("fsck", wish->source, wish->dash_o, &off);

	if (status == CLI_DONE && log_init(&lo) < 0)
		status = CLI_FAILED;
	if (status == CLI_DONE)
		status = check(&off, wish);
	offline_close(&off);
	return status;
}
