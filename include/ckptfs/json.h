/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: a tree to read from, and a writer into a buffer.  Pure; a tree may be
 * read by many threads at once.
 */
#ifndef CKPTFS_JSON_H
#define CKPTFS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

struct buf;

/* ---- reading */

struct json;

/* An object or an array, no member twice, nothing behind it.  0, -ENOMEM, or
 * -EBADMSG. */
int json_parse(const void *p, size_t n, struct json **ret) NONNULL(1, 3)
	MUST_USE;
void json_free(struct json *j);

/*
 * What is returned below is borrowed from the tree.  j may be NULL and the
 * member missing or of another type: that is NULL, or -ENOENT (missing, null)
 * or -EINVAL (another type), so that lookups can be chained.
 */
const struct json *json_get(const struct json *j, const char *name) NONNULL(2);
const char *json_get_str(const struct json *j, const char *name) NONNULL(2);
/* Also digits in a string, as Google sends 64-bit numbers. */
int json_get_int(const struct json *j, const char *name, int64_t *ret)
	NONNULL(2, 3) MUST_USE;
int json_get_bool(const struct json *j, const char *name, bool *ret)
	NONNULL(2, 3) MUST_USE;

/* Elements of an array; 0 if it is none. */
size_t json_len(const struct json *j);
const struct json *json_at(const struct json *j, size_t i);
/* This value itself as a string, or NULL. */
const char *json_as_str(const struct json *j);
/* This value itself, as json_get_int() gives a member. */
int json_as_int(const struct json *j, int64_t *ret) NONNULL(2) MUST_USE;

/* Each member of an object, in the order sent; non-zero from fn stops and is
 * returned. */
typedef int json_each_fn(void *arg, const char *name, const struct json *value);
int json_each(const struct json *j, json_each_fn *fn, void *arg) NONNULL(2);

/* ---- writing */

/*
 * Appends to b.  Inside an object every call names its member; inside an
 * array and at the top the name is NULL.  The first error sticks and is told
 * by json_w_end().  Bytes that are not UTF-8 become U+FFFD.
 */
struct json_w {
	struct buf *b;
	int err;
	unsigned depth;
	uint64_t is_object; /* bit per level */
	bool comma;
};

#define JSON_W_INIT(buffer)                                                    \
	{                                                                      \
		.b = (buffer)                                                  \
	}

void json_w_object(struct json_w *w, const char *name) NONNULL(1);
void json_w_array(struct json_w *w, const char *name) NONNULL(1);
/* Close the innermost object or array. */
void json_w_close(struct json_w *w) NONNULL(1);
void json_w_str(struct json_w *w, const char *name, const char *value)
	NONNULL(1); /* NULL: null */
void json_w_int(struct json_w *w, const char *name, int64_t value) NONNULL(1);
void json_w_u64(struct json_w *w, const char *name, uint64_t value) NONNULL(1);
void json_w_bool(struct json_w *w, const char *name, bool value) NONNULL(1);
/* All levels are closed.  0, or as buf_add(). */
int json_w_end(struct json_w *w) NONNULL(1) MUST_USE;

#endif
