/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one conformance suite of object stores.  A program lists its back ends;
 * every test runs over each of them, below a prefix of its own, and cleans up
 * behind itself.  What a back end lacks a capability for must be refused as
 * store.h says.
 */
#ifndef STORE_SUITE_H
#define STORE_SUITE_H

#include <check.h>

#include "ckptfs/store.h"

struct suite_backend {
	const char *name;
	struct store *(*open)(void); /* a store after store_probe() */
	unsigned caps; /* what the probe must find: these and no others */
	uint64_t part; /* bytes in all parts of an upload but the last */
	unsigned many; /* objects in the test of long listings */
	bool get_is_bare; /* get tells no metadata */
	bool etag_is_content; /* the same bytes may keep their etag */
	bool is_racy; /* checks and acts, or stats and reads, in two steps */
};

/* Run everything; returns main()'s exit status. */
int store_suite_run(const char *name, const struct suite_backend *backends,
		    size_t n);

/* Capabilities from their names, "put_cond copy"; false: a word is none. */
bool suite_caps_of(const char *words, unsigned *ret);

/* ---- for the files of the suite ---- */

/* The store of back end i; ends in suite_close(), which empties it. */
struct store *suite_open(int i);
void suite_close(struct store *s);
/* The back end of the running test. */
extern const struct suite_backend *suite_backend;

/* A name below the test's own prefix; valid for the next 15 calls. */
const char *k(const char *name);

/* Bytes that tell their place and seed, as a source. */
struct pattern {
	uint64_t seed;
	int err; /* instead of bytes */
	uint64_t err_at;
};
struct store_src suite_src(struct pattern *p, uint64_t len);
uint64_t suite_crc(uint64_t seed, uint64_t len);
uint32_t suite_crc32c(uint64_t seed, uint64_t len);
unsigned char suite_byte(uint64_t seed, uint64_t off);

/* Metadata with nothing but a write-id never used before. */
struct store_meta suite_meta(void);

/* Put len bytes of seed. */
int suite_put(struct store *s, const char *key, uint64_t len, uint64_t seed,
	      const struct store_cond *cond, struct store_obj *ret);
/* The same, expected to work. */
struct store_obj suite_have(struct store *s, const char *key, uint64_t len,
			    uint64_t seed);
/* The object must be these bytes, by head and by get. */
void suite_expect(struct store *s, const char *key, uint64_t len,
		  uint64_t seed);
/* The same of what a copy with a condition may have made. */
void suite_expect_copied(struct store *s, const char *key, uint64_t len,
			 uint64_t seed);
/* Fails the test unless there is no such object. */
void suite_expect_none(struct store *s, const char *key);
int suite_head(struct store *s, const char *key);

/* Check that what a get gives is pattern seed from offset at. */
struct suite_sink {
	uint64_t seed, at, n;
	bool wrong;
	int err; /* to return */
};
int suite_sink(void *arg, const void *p, size_t n);

/* One part of an upload. */
int suite_part_as(struct store *s, const char *key, const char *id,
		  unsigned number, uint64_t len, uint64_t seed, bool copies,
		  struct store_part *ret);
int suite_part(struct store *s, const char *key, const char *id,
	       unsigned number, uint64_t len, uint64_t seed,
	       struct store_part *ret);
void suite_abort(struct store *s, const char *key, const char *id);

void store_suite_add_object(TCase *c, int n);
void store_suite_add_change(TCase *c, int n);
void store_suite_add_list(TCase *c, int n);
void store_suite_add_mpu(TCase *c, int n);

#endif
