/* SPDX-License-Identifier: Apache-2.0 */
/* The s3 back end and a server that answers what it likes (answers.h). */
#include "config.h"

#include <stdlib.h>

#include "store/s3.h"

#include "answers.h"

static bool is_aws;

void require_our_server(const char *url)
{
	const char *p = fuzz_after(url, is_aws ? "https://bkt.s3." :
					    "http://127.0.0.1:9/bkt");
	size_t n = 0;

	FUZZ_REQUIRE(p != NULL, "%s", url);
	if (is_aws) {
		n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-"
			      "abcdefghijklmnopqrstuvwxyz0123456789");
		FUZZ_REQUIRE(fuzz_ends_in(p, n, ".amazonaws.com") ||
				     fuzz_ends_in(p, n, ".amazonaws.com.cn"),
			     "%s", url);
	}
	FUZZ_REQUIRE(p[n] == '/' || p[n] == '?', "%s", url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct fuzz_names names = {
		.id = "id", .etags = { "e0", "e1", "p1", "p3" }
	};
	static const struct store_cond conds[] = { { .if_absent = true },
						   { .if_match = "e0" } };
	struct store_s3_opts o = { .bucket = "bkt",
				   .clk = &fuzz_clk,
				   .http = &fuzz_http };
	struct cred_chain *creds;
	struct store *s = NULL;
	uint8_t what, how;

	answers = (struct fuzz_in){ data, n };
	what = fuzz_u8(&answers);
	how = fuzz_u8(&answers);
	is_aws = how & 1;
	o.endpoint_url = is_aws ? NULL : "http://127.0.0.1:9";
	creds = fuzz_creds(!(how & 2));
	o.creds = how & 4 ? NULL : creds;
	if (store_s3_new(&o, &s) < 0)
		abort();
	((struct s3 *)s)->has_crc = how & 8;
	((struct s3 *)s)->has_crc_parts = how & 16;
	((struct s3 *)s)->is_del_blind = how & 32;
	s->caps = STORE_CAP_PUT_COND | STORE_CAP_DEL_COND | STORE_CAP_COPY |
		  STORE_CAP_COPY_PART | STORE_CAP_COMMIT_META |
		  STORE_CAP_DEL_MANY | STORE_CAP_DEL_MANY_COND;
	fuzz_call(s, what, how & 64 ? &conds[how >> 7] : NULL, &names);
	store_free(s);
	cred_chain_free(creds);
	return 0;
}
