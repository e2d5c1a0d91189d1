/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads requests, one JSON object a line, and prints for each the URL path
 * and query and the Authorization header, parted by tabs.
 *
 * {"method":, "host":, "path":, "query":[[n,v|null]...], "headers":[[n,v]...],
 *  "payload":, "region":, "key":, "secret":, "token":, "time": seconds}
 */
#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/sign.h"

static const char *get(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static struct sign_pair *pairs(const json_t *a)
{
	struct sign_pair *v = calloc(json_array_size(a) + 1, sizeof(*v));
	size_t i;

	for (i = 0; v && i < json_array_size(a); i++) {
		const json_t *p = json_array_get(a, i);

		v[i].name = json_string_value(json_array_get(p, 0));
		v[i].value = json_string_value(json_array_get(p, 1));
	}
	return v;
}

static int dump(const json_t *o)
{
	const json_t *query = json_object_get(o, "query");
	const json_t *headers = json_object_get(o, "headers");
	struct sign_pair *q = pairs(query), *h = pairs(headers);
	struct sign_req req = {
		.method = get(o, "method"),
		.host = get(o, "host"),
		.path = get(o, "path"),
		.query = q,
		.nquery = json_array_size(query),
		.headers = h,
		.nheaders = json_array_size(headers),
		.payload = get(o, "payload"),
		.region = get(o, "region"),
		.service = "s3",
	};
	struct buf url = BUF_INIT(1 << 20);
	struct sign_result res = { 0 };
	struct cred *cred = NULL;
	int64_t s = json_integer_value(json_object_get(o, "time"));
	int r;

	r = cred_new(get(o, "key"), get(o, "secret"), get(o, "token"),
		     INT64_MAX, &cred);
	if (r == 0)
		r = sign_encode_path(req.path, &url);
	if (r == 0)
		r = buf_add(&url, "\t", 1);
	if (r == 0)
		r = sign_encode_query(q, req.nquery, &url);
	if (r == 0)
		r = sign_sigv4(&req, cred, s * NS_PER_S, &res);
	if (r == 0)
		printf("%s\t%s\n", url.p, res.authorization.p);
	sign_result_clear(&res);
	buf_clear(&url);
	cred_drop(cred);
	free(q);
	free(h);
	return r;
}

int main(void)
{
	char *line = NULL;
	size_t cap = 0;
	int r = 0;

	while (r == 0 && getline(&line, &cap, stdin) > 0) {
		json_t *o = json_loads(line, 0, NULL);

		r = o ? dump(o) : -1;
		json_decref(o);
	}
	free(line);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
