/* SPDX-License-Identifier: Apache-2.0 */
/* The store behind a source, with what it needs to live. */
#ifndef CLI_OPEN_STORE_H
#define CLI_OPEN_STORE_H

#include <stddef.h>

struct cred_chain;
struct host;
struct http;
struct options;
struct source;
struct store;

struct opened_store {
	struct store *store;
	struct http *http;
	struct cred_chain *creds;
};

/* Where an S3 source's server is: option, environment, profile.  malloc()ed,
 * or NULL: Amazon's own. */
char *endpoint_of(const struct options *o, const struct source *src);

/* Made and probed: 0, or a negative errno with words in err. */
int open_store(const struct options *o, const struct source *src,
	       const struct host *host, struct opened_store *ret, char *err,
	       size_t size);
void close_store(struct opened_store *s);

#endif
