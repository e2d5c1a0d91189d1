/* SPDX-License-Identifier: Apache-2.0 */
/* A range of one version of an object, into a sink. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"

#include "s3.h"
#include "store_int.h"

struct range {
	const struct http_resp *resp;
	uint64_t off, len; /* asked for */
	store_sink_fn *sink;
	void *arg;
	const char *if_match;
	bool is_begun;
	int err; /* why it was ended here */
	uint64_t total; /* of the object */
	uint64_t skip; /* bytes to pass over: the server sent it all */
	uint64_t left; /* bytes still to give to the sink */
};

/* "bytes 0-9/100" */
static bool content_range(const char *s, uint64_t *ret_first,
			  uint64_t *ret_total)
{
	char *end;

	if (!s || strncmp(s, "bytes ", 6) != 0)
		return false;
	*ret_first = strtoull(s + 6, &end, 10);
	if (end == s + 6 || *end != '-')
		return false;
	s = strchr(end, '/');
	return s && text_parse_u64(s + 1, ret_total) == 0;
}

static int wrong_range(void)
{
	store_set_error("the answer is not the range asked for");
	return -EPROTO;
}

/* Some servers look at the condition first and open the object then. */
static bool is_another(const struct range *g)
{
	const char *etag = http_resp_header(g->resp, "ETag");
	char ours[STORE_ETAG_MAX];

	return g->if_match && etag && s3_etag_decode(etag, ours) &&
	       strcmp(ours, g->if_match) != 0;
}

/* The headers are here: what is to come? */
static int begin(struct range *g)
{
	const struct http_resp *resp = g->resp;
	const char *length = http_resp_header(resp, "Content-Length");
	uint64_t first = 0, rest;

	g->is_begun = true;
	if (is_another(g)) {
		store_set_error("the object changed meanwhile");
		return -ESTALE;
	}
	if (resp->status == 206) {
		if (!content_range(http_resp_header(resp, "Content-Range"),
				   &first, &g->total) ||
		    first != g->off || first >= g->total)
			return wrong_range();
	} else {
		if (!length || text_parse_u64(length, &g->total))
			return wrong_range();
		g->skip = g->off < g->total ? g->off : g->total;
	}
	if (g->total > INT64_MAX)
		return wrong_range();
	rest = g->off < g->total ? g->total - g->off : 0;
	g->left = g->len < rest ? g->len : rest;
	return 0;
}

static int take(void *arg, const void *p, size_t n)
{
	struct range *g = arg;
	const char *c = p;
	int r;

	if (!g->is_begun)
		g->err = begin(g);
	if (g->err)
		return g->err;
	if (g->skip >= n) {
		g->skip -= n;
		return 0;
	}
	c += g->skip;
	n -= (size_t)g->skip;
	g->skip = 0;
	if (n > g->left)
		n = (size_t)g->left;
	r = store_sink_give(g->sink, g->arg, c, n);
	if (r == 0)
		g->left -= n;
	return r;
}

/* After a 2xx: did it bring what was asked for? */
static int finish(struct range *g, struct store_obj *o)
{
	int r = g->is_begun ? 0 : begin(g);

	if (r == 0 && g->left > 0)
		r = wrong_range();
	if (r)
		return r;
	r = s3_obj_of(g->resp, o);
	if (r)
		return r;
	o->size = g->total;
	/* The checksum of a range may be that of a part. */
	if (g->off > 0 || g->len < g->total)
		o->has_crc64 = o->has_crc32c = false;
	return 0;
}

/* The range begins at the end or past it. */
static int nothing_there(struct s3 *s3, const char *key, const char *if_match,
			 uint64_t off, struct store_obj *o)
{
	int r = s3_head_once(s3, key, if_match, o);

	if (r == 0 && o->size > off) {
		store_set_error("the object grew meanwhile");
		return -EAGAIN;
	}
	return r;
}

int s3_get(struct store *s, const char *key, const char *if_match, uint64_t off,
	   uint64_t len, store_sink_fn *sink, void *arg, struct store_obj *ret)
{
	struct s3 *s3 = (struct s3 *)s;
	struct http_resp resp;
	struct range g = { .resp = &resp,
			   .off = off,
			   .len = len,
			   .sink = sink,
			   .arg = arg,
			   .if_match = if_match };
	struct s3_req q = {
		.method = "GET", .key = key, .sink = take, .sink_arg = &g
	};
	uint64_t last = len > UINT64_MAX - off ? UINT64_MAX : off + len;
	struct store_obj o;
	char range[64];
	int r;

	if (len == 0)
		return s3_head_if(s3, key, if_match, ret);
	s3_req_header(&q, "x-amz-checksum-mode", "ENABLED");
	if (last > INT64_MAX)
		snprintf(range, sizeof(range), "bytes=%" PRIu64 "-", off);
	else
		snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64,
			 off, last - 1);
	if (off > 0 || last <= INT64_MAX)
		s3_req_header(&q, "Range", range);
	if (if_match)
		s3_req_etag(&q, "If-Match", if_match);
	r = s3_perform(s3, &q, &resp);
	if (r == 0)
		r = finish(&g, &o);
	else if (g.err)
		r = begin(&g); /* to http it was a sink that failed */
	else if (resp.status == 416)
		r = nothing_there(s3, key, if_match, off, &o);
	if (r == 0)
		*ret = o;
	http_resp_clear(&resp);
	return r;
}
