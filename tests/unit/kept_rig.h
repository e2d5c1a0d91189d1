/* SPDX-License-Identifier: Apache-2.0 */
/* Over fs_rig.h and fs_owe.h: files in each state that waits for a word, and what
 * recover says and does to them. */
#ifndef TEST_KEPT_RIG_H
#define TEST_KEPT_RIG_H

#include "fs_owe.h"

/* "path=state" of each kept version, in order of the path, a space before and
 * behind each; one that its name does not show has a '*' behind its state. */
const char *kept_in(const char *path, bool all);
const char *kept(void); /* of the whole mount, without what is on its way */
/* The reason given for it; NULL: no such version. */
const char *why_of(const char *path);
/* What is said of a discard; where its bytes lie. */
const char *then_of(const char *path);
const char *where_of(const char *path);
/* The id of the n-th (from 0) kept version of a path. */
const char *id_of(const char *path, unsigned n);
/* Do it to a path: 0, or the error told of the last version; -ENOENT: none. */
int act(enum fs_recover what, const char *path);
int act_id(enum fs_recover what, const char *id);
/* The words that came with that error. */
const char *said(void);

/* Written anew and closed. */
void rewrite(const char *name, const char *text);
/* A checkpoint that ends too soon; its text begins as a zip file does. */
void tear(const char *name, const char *text);
/* Open with this in it, and truncated before, when the daemon dies. */
void leave_unfinished(const char *name, const char *text, bool anew);
/* The store refuses (err) or takes this key from now on. */
void refuse(const char *key);
void take_all(void);
/* Another writer's object. */
void foreign(const char *key, const char *text);

#endif
