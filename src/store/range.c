/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"

#include "range.h"
#include "store_int.h"

void range_header(uint64_t off, uint64_t len, char ret[RANGE_HEADER_LEN])
{
	const uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;

	*ret = '\0';
	if (end <= INT64_MAX)
		snprintf(ret, RANGE_HEADER_LEN, "bytes=%" PRIu64 "-%" PRIu64,
			 off, end - 1);
	else if (off > 0)
		snprintf(ret, RANGE_HEADER_LEN, "bytes=%" PRIu64 "-", off);
}

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

/* The headers are here: what is to come? */
static int begin(struct range *g)
{
	const struct http_resp *resp = g->resp;
	const char *length = http_resp_header(resp, "Content-Length");
	uint64_t first = 0, rest;

	g->is_begun = true;
	if (g->if_match && g->is_another(resp, g->if_match)) {
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

int range_take(void *arg, const void *p, size_t n)
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

int range_end(struct range *g, int r)
{
	if (r && g->err)
		return begin(g); /* to http it was a sink that failed */
	if (r == 0 && !g->is_begun)
		r = begin(g);
	return r == 0 && g->left > 0 ? wrong_range() : r;
}

int range_past_end(uint64_t off, int r, const struct store_obj *o)
{
	if (r == 0 && o->size > off) {
		store_set_error("the object grew meanwhile");
		return -EAGAIN;
	}
	return r;
}
