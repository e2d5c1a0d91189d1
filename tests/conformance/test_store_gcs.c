/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite over a server of the JSON API of Google Cloud Storage:
 * CKPTFS_TEST_GCS_ENDPOINT and CKPTFS_TEST_GCS_BUCKET name it.
 * CKPTFS_TEST_GCS_CAPS: the names of its capabilities; a probe that finds
 * others has failed.
 * CKPTFS_TEST_GCS_BARE=1: a get tells no metadata, as Google's own does not.
 * CKPTFS_TEST_GCS_MANY: objects in the test of long listings.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "ckptfs/clock.h"
#include "ckptfs/http.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "harness.h"
#include "store_suite.h"

#define SKIPPED 77
#define PART (UINT64_C(1) << 20)

/* What a store borrows.  Each test is a process, and opens one. */
static struct http *http;

static struct store *open_below(const char *prefix)
{
	static const struct http_opts plain;
	struct store_gcs_opts o = {
		.bucket = getenv("CKPTFS_TEST_GCS_BUCKET"),
		.endpoint_url = getenv("CKPTFS_TEST_GCS_ENDPOINT"),
		.prefix = prefix,
		.clk = &clk_system,
	};
	struct store *s = NULL;
	int r;

	ck_assert_int_eq(http_new(&plain, &http), 0);
	o.http = http;
	ck_assert_int_eq(store_gcs_new(&o, &s), 0);
	r = store_probe(s, prefix, false);
	ck_assert_msg(r == 0, "probe: %d %s", r, store_last_error());
	return s;
}

static struct store *open_plain(void)
{
	return open_below("");
}

static struct store *open_retry(void)
{
	static const struct store_retry_policy p = { .base_ns = NS_PER_MS,
						     .cap_ns = NS_PER_S,
						     .attempts = 5 };

	return store_retry_new(open_below("a/b c/"), &clk_system, &rng_system,
			       &thr_system, &p);
}

static struct suite_backend backends[] = {
	{ .name = "gcs", .open = open_plain, .many = 1100 },
	{ .name = "retry(gcs below a prefix)",
	  .open = open_retry,
	  .many = 10 },
};

int main(void)
{
	const char *words = getenv("CKPTFS_TEST_GCS_CAPS");
	const char *many = getenv("CKPTFS_TEST_GCS_MANY");
	unsigned caps;

	if (many)
		backends[0].many = (unsigned)strtoul(many, NULL, 10);
	if (!getenv("CKPTFS_TEST_GCS_ENDPOINT") ||
	    !getenv("CKPTFS_TEST_GCS_BUCKET") || !words) {
		fprintf(stderr, "CKPTFS_TEST_GCS_ENDPOINT, _BUCKET and _CAPS "
				"are not all set\n");
		return SKIPPED;
	}
	if (!suite_caps_of(words, &caps)) {
		fprintf(stderr, "CKPTFS_TEST_GCS_CAPS: what is '%s'?\n", words);
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		backends[i].caps = caps;
		backends[i].part = PART;
		backends[i].get_is_bare = getenv("CKPTFS_TEST_GCS_BARE");
	}
	return store_suite_run("gcs", backends, ARRAY_SIZE(backends));
}
