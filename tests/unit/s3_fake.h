/* SPDX-License-Identifier: Apache-2.0 */
/* The s3 back end against a server that says what the test wants. */
#ifndef TEST_S3_FAKE_H
#define TEST_S3_FAKE_H

#include "ckptfs/clock.h"

#include "harness.h"
#include "httpd.h"
#include "store/s3.h"

#define EMPTY(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n"

/* The time it always is: 2013-05-24T00:00:00Z. */
#define THEN (INT64_C(1369353600) * NS_PER_S)

extern struct store *s;
extern struct httpd *server;

/* s is bucket bkt of a server with that script, with the credentials key1,
 * key2 and so on, each time they are fetched. */
void begin(const struct httpd_reply *script, size_t n);
/* The same of Amazon's: the server is a proxy, which answers in the name of
 * whoever is asked. */
void begin_as_amazon(const struct httpd_reply *script, size_t n);
/* The same, of a directory bucket. */
void begin_as_directory(const struct httpd_reply *script, size_t n);
void finish(void);

/* An answer with a body; the text lives until the tenth next call. */
struct httpd_reply answer(const char *status, const char *headers,
			  const char *body);
struct httpd_reply error(const char *status, const char *headers,
			 const char *code);
/* Was text a part of request i? */
bool asked(unsigned i, const char *text);

/* A source of letters a, and a put of ten of them as k, by w1. */
ssize_t read_a(void *arg, uint64_t off, void *p, size_t n);
int put(const struct store_cond *cond, struct store_obj *o);

#endif
