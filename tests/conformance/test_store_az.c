/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite over a server of Azure's blobs: CKPTFS_TEST_AZ_ENDPOINT,
 * _ACCOUNT, _KEY (the account's) and _CONTAINER name it.
 * CKPTFS_TEST_AZ_SAS: a shared access signature, in the place of the key in one
 * of the runs.
 * CKPTFS_TEST_AZ_CAPS: the names of its capabilities; a probe that finds
 * others has failed.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/http.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "harness.h"
#include "store_suite.h"

#define SKIPPED 77
#define PART (UINT64_C(1) << 18)

/* What a store borrows.  Each test is a process, and opens one. */
static struct http *http;
static struct cred_chain *creds;

static struct store *open_below(const char *prefix)
{
	static const struct http_opts plain;
	const struct cred_azure_opts c = {
		.account = getenv("CKPTFS_TEST_AZ_ACCOUNT"),
	};
	struct store_az_opts o = {
		.account = c.account,
		.container = getenv("CKPTFS_TEST_AZ_CONTAINER"),
		.endpoint_url = getenv("CKPTFS_TEST_AZ_ENDPOINT"),
		.prefix = prefix,
		.clk = &clk_system,
	};
	struct store *s = NULL;
	int r;

	ck_assert_int_eq(http_new(&plain, &http), 0);
	ck_assert_int_eq(cred_azure_chain(&c, &clk_system, &creds), 0);
	o.http = http;
	o.creds = creds;
	ck_assert_int_eq(store_az_new(&o, &s), 0);
	r = store_probe(s, prefix, false);
	ck_assert_msg(r == 0, "probe: %d %s", r, store_last_error());
	return s;
}

static struct store *open_plain(void)
{
	setenv("AZURE_STORAGE_KEY", getenv("CKPTFS_TEST_AZ_KEY"), 1);
	return open_below("");
}

static struct store *open_retry(void)
{
	static const struct store_retry_policy p = { .base_ns = NS_PER_MS,
						     .cap_ns = NS_PER_S,
						     .attempts = 5 };

	setenv("AZURE_STORAGE_SAS_TOKEN", getenv("CKPTFS_TEST_AZ_SAS"), 1);
	return store_retry_new(open_below("a/b c/"), &clk_system, &rng_system,
			       &thr_system, &p);
}

static struct suite_backend backends[] = {
	{ .name = "azure", .open = open_plain, .many = 150 },
	{ .name = "retry(azure below a prefix, by SAS)",
	  .open = open_retry,
	  .many = 10 },
};

int main(void)
{
	static const char *const names[] = {
		"CKPTFS_TEST_AZ_ENDPOINT", "CKPTFS_TEST_AZ_ACCOUNT",
		"CKPTFS_TEST_AZ_CONTAINER", "CKPTFS_TEST_AZ_KEY",
		"CKPTFS_TEST_AZ_SAS", "CKPTFS_TEST_AZ_CAPS",
	};
	unsigned caps;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (getenv(names[i]))
			continue;
		fprintf(stderr, "%s is not set\n", names[i]);
		return SKIPPED;
	}
	if (!suite_caps_of(getenv("CKPTFS_TEST_AZ_CAPS"), &caps)) {
		fprintf(stderr, "CKPTFS_TEST_AZ_CAPS: what is that?\n");
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		backends[i].caps = caps;
		backends[i].part = PART;
	}
	return store_suite_run("az", backends, ARRAY_SIZE(backends));
}
