/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the targets for stores share: a server that answers what it likes:
 * status, headers and body of one answer after another, "\n--\n" between them,
 * to a call of the store and to what follows from it.  The store returns what
 * store.h allows, believes in no object beside its prefix, and asks nobody but
 * the server it was given.
 */
#ifndef FUZZ_ANSWERS_H
#define FUZZ_ANSWERS_H

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/http.h"
#include "ckptfs/store.h"

#include "fuzz.h"

#define PREFIX "run/"
#define KEY PREFIX "a b/\xc3\xa4\n+"

/* What a store is made with; there is one of each. */
extern struct http fuzz_http;
extern const struct clk fuzz_clk;
/* A chain that has a credential, or none. */
struct cred_chain *fuzz_creds(bool is_empty);

/* What is answered, from its beginning on. */
extern struct fuzz_in answers;

/* By the target: this URL may be asked, it is of printable ASCII. */
void require_our_server(const char *url);

/* s without head; NULL: it begins with something else. */
const char *fuzz_after(const char *s, const char *head);
bool fuzz_ends_in(const char *s, size_t n, const char *tail);

/* The call that the number says.  id: of an upload; etags: an object's, the
 * source's of a copy, and those of parts 1 and 3; cond may be NULL. */
struct fuzz_names {
	const char *id;
	const char *etags[4];
};
void fuzz_call(struct store *s, uint8_t what, const struct store_cond *cond,
	       const struct fuzz_names *names);

#endif
