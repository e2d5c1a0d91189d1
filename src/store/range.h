/* SPDX-License-Identifier: Apache-2.0 */
/* A range of one version of an object, as the answer to a GET brings it. */
#ifndef STORE_RANGE_H
#define STORE_RANGE_H

#include "ckptfs/http.h"
#include "ckptfs/store.h"

#define RANGE_HEADER_LEN 64

struct range {
	/* Set by the caller. */
	const struct http_resp *resp; /* of the request */
	uint64_t off, len; /* asked for */
	store_sink_fn *sink;
	void *arg;
	const char *if_match; /* an etag, or NULL */
	/* Does the answer say that it is of another version than if_match? */
	bool (*is_another)(const struct http_resp *resp, const char *if_match);
	/* Zeroed by the caller; known once range_end() says 0. */
	uint64_t total; /* bytes of the object */
	/* Its own. */
	bool is_begun;
	int err; /* why it was ended here */
	uint64_t skip; /* bytes to pass over: the server sent it all */
	uint64_t left; /* bytes still to give to the sink */
};

/* The value of the header Range; "": all of it, no header. */
void range_header(uint64_t off, uint64_t len, char ret[RANGE_HEADER_LEN])
	NONNULL(3);
/* The sink of the request, with the range as sink_arg. */
int range_take(void *arg, const void *p, size_t n);
/* The request came to r: did it bring what was asked for? */
int range_end(struct range *g, int r) NONNULL(1) MUST_USE;
/* After 416, a range that begins at the end or past it: looking at the object
 * came to r and, with 0, o.  0: it is so. */
int range_past_end(uint64_t off, int r, const struct store_obj *o) NONNULL(3)
	MUST_USE;

#endif
