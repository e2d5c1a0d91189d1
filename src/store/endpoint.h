/* SPDX-License-Identifier: Apache-2.0 */
/* The option endpoint_url, taken apart.  Pure. */
#ifndef STORE_ENDPOINT_H
#define STORE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "ckptfs/compiler.h"

/* Borrowed from the text. */
struct endpoint {
	bool is_tls, is_loopback;
	const char *host; /* without the port */
	size_t host_len;
	const char *path; /* from the first '/' behind the host; or the NUL */
	size_t path_len; /* without slashes at the end */
};

/* scheme://host[:port][/path], else -EINVAL, and store_last_error() says why. */
int endpoint_parse(const char *url, struct endpoint *ret) NONNULL(1, 2)
	MUST_USE;
/* Refuse it: sets the error to endpoint_url "…" and why; -EINVAL. */
int endpoint_refuse(const char *url, const char *why) NONNULL(1, 2);
/* Why, where credentials would go there. */
#define ENDPOINT_IN_CLEAR                                                      \
	"is not encrypted, and would be sent credentials: use https://, or "   \
	"anonymous"
/* Does the host's name end like this (".googleapis.com")? */
bool endpoint_is_below(const struct endpoint *e, const char *tail)
	NONNULL(1, 2);

#endif
