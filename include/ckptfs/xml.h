/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML as object stores speak it: small answers of nested elements, read from
 * a bounded buffer.  DTDs and entities of one's own are refused, as are more
 * than 32 levels and texts above 64 KiB.  Pure; any thread.
 */
#ifndef CKPTFS_XML_H
#define CKPTFS_XML_H

#include <stddef.h>

#include "ckptfs/compiler.h"

struct buf;

/*
 * path: the names from the root, "ListBucketResult/Contents/Key", without
 * namespace prefixes.  text is UTF-8, ends in NUL, is borrowed for the call
 * and kept as sent, blanks too.  Non-zero stops and is returned.
 */
typedef int xml_leaf_fn(void *arg, const char *path, const char *text);
typedef int xml_end_fn(void *arg, const char *path);

struct xml_handler {
	/* Each element without children, at its end; and before that each
	 * attribute of any element, as path@name (not xmlns). */
	xml_leaf_fn *leaf;
	/* Each element that has children, after the last of them; may be
	 * NULL. */
	xml_end_fn *end;
	void *arg;
};

/* 0, what a callback returned, -ENOMEM, or -EBADMSG: not well-formed, cut
 * short or refused (callbacks have run up to there). */
int xml_parse(const void *p, size_t n, const struct xml_handler *h)
	NONNULL(1, 3) MUST_USE;

/* Append n bytes as the text of an element.  As buf_add(), or -EINVAL where
 * XML cannot hold them (control bytes but tab, CR, LF; bad UTF-8), with b as
 * it was. */
int xml_add_text(struct buf *b, const char *s, size_t n) NONNULL(1, 2) MUST_USE;

#endif
