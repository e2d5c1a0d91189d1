/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite over an S3 server: CKPTFS_TEST_S3_ENDPOINT and
 * CKPTFS_TEST_S3_BUCKET name it, AWS_* give credential and region.
 * CKPTFS_TEST_S3_CAPS: the names of its capabilities; a probe that finds
 * others has failed.
 * CKPTFS_TEST_S3_STYLE=virtual: the bucket is a part of the host name.
 * CKPTFS_TEST_S3_ATOMIC=1: run the races too.  versitygw loses them: of eight
 * conditional puts it lets two win, and its HEAD mixes size and etag of two
 * versions.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/http.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "harness.h"
#include "store_suite.h"

#define SKIPPED 77

/* What a store borrows.  Each test is a process, and opens one. */
static struct http *http;
static struct cred_chain *creds;

static struct store *open_s3(bool sign_payload)
{
	static const struct http_opts plain;
	struct cred_aws_opts found = { .rng = &rng_system };
	const char *style = getenv("CKPTFS_TEST_S3_STYLE");
	struct store_s3_opts o = {
		.bucket = getenv("CKPTFS_TEST_S3_BUCKET"),
		.endpoint_url = getenv("CKPTFS_TEST_S3_ENDPOINT"),
		.path_style = !style || strcmp(style, "virtual") != 0,
		.sign_payload = sign_payload,
		.clk = &clk_system,
	};
	char why[CRED_WHY_MAX];
	struct cred_aws_settings set;
	struct store *s = NULL;
	int r;

	ck_assert_int_eq(http_new(&plain, &http), 0);
	found.http = http;
	ck_assert_int_eq(cred_aws_chain(&found, &clk_system, &creds), 0);
	o.http = http;
	o.creds = creds;
	r = cred_aws_settings(&found, why, &set);
	ck_assert_msg(r == 0, "%s", why);
	o.region = set.region;
	ck_assert_int_eq(store_s3_new(&o, &s), 0);
	cred_aws_settings_clear(&set);
	r = store_probe(s, "", false);
	ck_assert_msg(r == 0, "probe: %d %s", r, store_last_error());
	return s;
}

static struct store *open_plain(void)
{
	return open_s3(false);
}

static struct store *open_signed(void)
{
	return open_s3(true);
}

static struct store *open_retry(void)
{
	static const struct store_retry_policy p = { .base_ns = NS_PER_MS,
						     .cap_ns = NS_PER_S,
						     .attempts = 5 };

	return store_retry_new(open_s3(false), &clk_system, &rng_system,
			       &thr_system, &p);
}

#define PART (UINT64_C(5) << 20)

static struct suite_backend backends[] = {
	{ .name = "s3", .open = open_plain, .many = 2100 },
	{ .name = "s3, signed bodies", .open = open_signed, .many = 10 },
	{ .name = "retry(s3)", .open = open_retry, .many = 10 },
};

int main(void)
{
	const char *words = getenv("CKPTFS_TEST_S3_CAPS");
	unsigned caps;
	size_t i;

	if (!getenv("CKPTFS_TEST_S3_ENDPOINT") ||
	    !getenv("CKPTFS_TEST_S3_BUCKET") || !words) {
		fprintf(stderr, "CKPTFS_TEST_S3_ENDPOINT, _BUCKET and _CAPS "
				"are not all set\n");
		return SKIPPED;
	}
	if (!suite_caps_of(words, &caps)) {
		fprintf(stderr, "CKPTFS_TEST_S3_CAPS: what is '%s'?\n", words);
		return 1;
	}
	for (i = 0; i < ARRAY_SIZE(backends); i++) {
		backends[i].caps = caps;
		backends[i].part = PART;
		backends[i].etag_is_content = true;
		backends[i].is_racy = !getenv("CKPTFS_TEST_S3_ATOMIC");
	}
	return store_suite_run("s3", backends, ARRAY_SIZE(backends));
}
