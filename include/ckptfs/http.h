/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP exchange over a pool of connections.
 *
 * http_perform() makes exactly one attempt.  It knows nothing of retries,
 * signatures or clouds, follows no redirect and adds no header of its own
 * but Host, User-Agent, Accept and Content-Length.  HTTP/1.1 only.  A kept
 * connection that turns out dead before anything was answered is replaced
 * once, silently but for resp->resent, unless the request says otherwise.
 * A request that may be raced, and of which nothing moves for eight times as
 * long as is usual (at least 1 s, at most half of low_speed_s), goes out once
 * more over a connection of its own; the first good answer counts.
 *
 * Threads: any number may call http_perform() at once.  The pool's lock is a
 * leaf; sources, sinks and the pacer are called with nothing held.
 */
#ifndef CKPTFS_HTTP_H
#define CKPTFS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ckptfs/buf.h"

#define HTTP_HEADERS_MAX (64 * 1024)
#define HTTP_BODY_MAX (64 * 1024)

struct http;

/* All optional: zeroed is fine.  Strings are copied. */
struct http_opts {
	const char *ca_bundle; /* PEM file; NULL: the system's */
	bool no_verify; /* trust any certificate */
	unsigned connect_timeout_ms; /* 0: 10 s */
	/* Less than this many bytes per second for this long: -ETIMEDOUT.
	 * 0: 128 bytes per second, 1 where quiet_s is said, for 30 s.  There
	 * is no other time limit. */
	unsigned low_speed_bytes;
	unsigned low_speed_s;
	/*
	 * Called before n more bytes are passed on, from the threads that
	 * move them; may sleep, to keep all requests together within a rate.
	 * 0, or a negative errno that ends the request as the source's would.
	 */
	int64_t (*pace)(void *arg, bool upload, size_t n);
	void *pace_arg;
};

struct http_header {
	const char *name;
	const char *value;
};

/*
 * Bytes to send.  read() returns n, or a negative errno: -ECANCELED stays,
 * every other becomes -EIO.  Offsets rise, or start over from an earlier one.
 */
struct http_body {
	ssize_t (*read)(void *arg, uint64_t off, void *p, size_t n);
	void *arg;
	uint64_t len;
};

/* Borrowed for the length of the call. */
struct http_req {
	const char *method;
	const char *url; /* encoded; sent as it is, dots and all */
	const struct http_header *headers;
	size_t nheaders;
	const struct http_body *body; /* NULL: none, not even a length */
	/*
	 * The bytes of a 2xx answer, in order; non-zero ends the request:
	 * -ECANCELED stays, every other becomes -EIO.  NULL: into resp->body.
	 */
	int (*sink)(void *arg, const void *p, size_t n);
	void *sink_arg;
	size_t body_max; /* of resp->body; 0: HTTP_BODY_MAX */
	bool expect_continue; /* ask before the body is sent */
	bool once; /* not sent again: what it begins is not to be begun twice */
	/*
	 * Whether it may be raced: asked once at most, when it is time.  For
	 * what can be done twice at once.  NULL: it may not.  The source is
	 * then read from the same thread, in turns.
	 */
	bool (*may_race)(void *arg);
	void *race_arg;
	bool is_direct; /* whatever proxy the environment names: for hosts that
			   only this machine reaches */
	unsigned quiet_s; /* instead of low_speed_s, when longer */
	unsigned timeout_ms; /* for the whole exchange; 0: none */
};

/* Zeroed before first use; http_resp_clear() when done with it. */
struct http_resp {
	int status;
	bool resent; /* the request went out twice: the first may have worked */
	uint64_t nread; /* bytes of the answer's body */
	struct buf headers; /* by http_resp_header() */
	/* An answer other than 2xx is cut at body_max; a 2xx one without a
	 * sink that is longer is -EPROTO. */
	struct buf body;
	char why[256]; /* on failure: what went wrong, in words */
};

/* 0 or -ENOMEM.  http_free(): no call is in flight; NULL is allowed. */
int http_new(const struct http_opts *opts, struct http **ret) NONNULL(1, 2)
	MUST_USE;
void http_free(struct http *h);

/*
 * 0 when an answer of any status arrived, whole; else
 *	-ETIMEDOUT	connecting took too long, or it was too slow
 *	-ENETUNREACH	no such host, refused, or the connection broke
 *	-EACCES		TLS: the server's certificate is not to be trusted
 *	-EPROTO		this is not HTTP, or passes a limit
 *	-EINVAL		the URL or a header cannot be sent
 *	-EIO		source, sink or pacer failed
 *	-ECANCELED	http_cancel_all(), or source, sink or pacer said so
 *	-ENOMEM
 * After any but -EINVAL the server may have done what was asked.  No lock is
 * held.
 */
int http_perform(struct http *h, const struct http_req *req,
		 struct http_resp *resp) NONNULL(1, 2, 3) MUST_USE;

/* Make every call, present and future, return -ECANCELED; does not wait. */
void http_cancel_all(struct http *h) NONNULL(1);

/* The value of the first such header, or NULL; any case.  Valid until the
 * answer is cleared. */
const char *http_resp_header(const struct http_resp *resp, const char *name)
	NONNULL(1, 2);
void http_resp_clear(struct http_resp *resp) NONNULL(1);

#endif
