/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted HTTP server on 127.0.0.1 for unit tests: a thread that takes one
 * connection at a time and answers the n-th request with the n-th line of its
 * script, whatever was asked.  Requests are kept for the test to look at.
 */
#ifndef TEST_HTTPD_H
#define TEST_HTTPD_H

#include <stddef.h>

enum httpd_then {
	HTTPD_KEEP, /* the connection, for the next request */
	HTTPD_CLOSE, /* after the answer */
	HTTPD_HANG, /* say no more until the client goes away */
};

struct httpd_reply {
	const char *text; /* status line, headers, body; NULL: nothing */
	size_t len; /* 0: strlen(text) */
	enum httpd_then then;
	/* Sent after the headers of the request came and before its body is
	 * read. */
	const char *early;
};

struct httpd;

/* script is borrowed; past its end requests hang. */
struct httpd *httpd_start(const struct httpd_reply *script, size_t n);
void httpd_stop(struct httpd *s);
unsigned httpd_port(const struct httpd *s);
/* Wait until the whole of request i (from 0) is there. */
void httpd_wait(struct httpd *s, unsigned i);
/* What came as request i, head and body; NUL follows. */
const char *httpd_request(struct httpd *s, unsigned i, size_t *ret_len);
unsigned httpd_count(struct httpd *s);

#endif
