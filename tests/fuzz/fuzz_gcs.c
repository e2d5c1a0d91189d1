/* SPDX-License-Identifier: Apache-2.0 */
/* The gcs back end and a server that answers what it likes (answers.h). */
#include "config.h"

#include <stdlib.h>

#include "store/gcs.h"

#include "answers.h"

#define ID "0123456789abcdef0123456789abcdef"

static const char *server;

void require_our_server(const char *url)
{
	const char *p = fuzz_after(url, server);
	const char *q = p ? fuzz_after(p, "/upload") : NULL;

	FUZZ_REQUIRE(p != NULL, "%s", url);
	if (strcmp(p, "/batch/storage/v1") == 0)
		return;
	p = fuzz_after(q ? q : p, "/storage/v1/b/bkt/o");
	FUZZ_REQUIRE(p && (!*p || *p == '/' || *p == '?'), "%s", url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct fuzz_names names = {
		.id = ID, .etags = { "7", "8", "101", "103" }
	};
	static const struct store_cond conds[] = { { .if_absent = true },
						   { .if_match = "7" } };
	struct store_gcs_opts o = { .bucket = "bkt",
				    .prefix = PREFIX,
				    .clk = &fuzz_clk,
				    .http = &fuzz_http };
	struct cred_chain *creds;
	struct store *s = NULL;
	uint8_t what, how;

	answers = (struct fuzz_in){ data, n };
	what = fuzz_u8(&answers);
	how = fuzz_u8(&answers);
	o.endpoint_url = how & 1 ? NULL : "http://127.0.0.1:9";
	server = how & 1 ? "https://storage.googleapis.com" : o.endpoint_url;
	creds = fuzz_creds(!(how & 2));
	o.creds = how & 4 ? NULL : creds;
	if (store_gcs_new(&o, &s) < 0)
		abort();
	((struct gcs *)s)->is_source_blind = how & 8;
	((struct gcs *)s)->chunk = how & 16 ? 4 : 0;
	s->caps = STORE_CAP_PUT_COND | STORE_CAP_DEL_COND | STORE_CAP_COPY |
		  STORE_CAP_COMMIT_META | STORE_CAP_DEL_MANY |
		  STORE_CAP_DEL_MANY_COND;
	fuzz_call(s, what, how & 64 ? &conds[how >> 7] : NULL, &names);
	store_free(s);
	cred_chain_free(creds);
	return 0;
}
