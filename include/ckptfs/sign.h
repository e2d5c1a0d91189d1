/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request signing: pure functions of (request, credential, time).  No I/O, no
 * clock, no globals: every published test vector is a unit test.  Any thread.
 *
 * Names, values and paths are bytes, not yet encoded.
 */
#ifndef CKPTFS_SIGN_H
#define CKPTFS_SIGN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ckptfs/buf.h"

#define SIGN_SHA256_HEX 65
#define SIGN_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
/* Of no bytes at all. */
#define SIGN_EMPTY_SHA256                                                      \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct cred;

struct sign_pair {
	const char *name;
	const char *value;
};

/* Borrowed for the length of the call. */
struct sign_req {
	const char *method;
	const char *host; /* as the Host header will be: with a port if odd */
	const char *path; /* from the first '/' on; no dot is ever folded */
	const struct sign_pair *query; /* any order; names may repeat */
	size_t nquery;
	/* To be signed, each of them, beside those that ret brings. */
	const struct sign_pair *headers;
	size_t nheaders;
	const char *payload; /* SHA-256 in hex, or SIGN_UNSIGNED_PAYLOAD */
	const char *region;
	const char *service; /* "s3" */
	const char *token_header; /* NULL: x-amz-security-token */
};

/* Headers to send beside those of the request. */
struct sign_result {
	char date[17]; /* x-amz-date */
	struct buf authorization; /* Authorization */
	/* x-amz-content-sha256 is req->payload, the token's header the
	 * credential's token if it has one; both are signed. */
};

/*
 * AWS Signature Version 4 in the dialect of S3 (the path is encoded once).
 * *ret is to be cleared by the caller.  0, -ENOMEM, or -EMSGSIZE when the
 * request is unreasonably large.
 */
int sign_sigv4(const struct sign_req *req, const struct cred *cred,
	       int64_t unix_ns, struct sign_result *ret) NONNULL(1, 2, 4)
	MUST_USE;
void sign_result_clear(struct sign_result *r) NONNULL(1);

/*
 * What the URL must say for the signature to hold.  Append; 0, -ENOMEM or
 * -EMSGSIZE.  Query: sorted, "a=1&b=", no '?'.
 */
int sign_encode_path(const char *path, struct buf *out) NONNULL(1, 2) MUST_USE;
int sign_encode_query(const struct sign_pair *query, size_t n, struct buf *out)
	NONNULL(3) MUST_USE;

/* A request to Azure, as it goes out.  Borrowed for the length of the call. */
struct sign_azure {
	const char *method;
	const char *path; /* of the URL, encoded as sent; from the first '/' */
	const struct sign_pair *query; /* not encoded; no name repeats */
	size_t nquery;
	/* All but Authorization, x-ms-date among them; names of x-ms- are of
	 * [a-z0-9-], as the service's order of others is not that of bytes. */
	const struct sign_pair *headers;
	size_t nheaders;
	uint64_t length; /* of the body */
};
/*
 * Append the header Authorization by Shared Key, key as Azure gives it, in
 * base64.  0, -EINVAL (it is not), -ENOMEM, -EMSGSIZE.
 */
int sign_azure(const struct sign_azure *q, const char *account,
	       const char *key, struct buf *out) NONNULL(1, 2, 3, 4) MUST_USE;

#define SIGN_JWT_MAX (16 * 1024)
/*
 * Append a JSON web token of these two JSON texts, signed by RS256 with the
 * private key in PEM.  0, -EINVAL (no RSA key without passphrase), -ENOMEM,
 * -EMSGSIZE.
 */
int sign_jwt_rs256(const char *header, const char *claims, const char *pem,
		   struct buf *out) NONNULL(1, 2, 3, 4) MUST_USE;

/* SHA-256 in hex of len bytes from a source as in http.h.  0, -ENOMEM, or
 * what read() said (-EIO if it was short). */
int sign_sha256_of(ssize_t (*read)(void *arg, uint64_t off, void *p, size_t n),
		   void *arg, uint64_t len, char ret[SIGN_SHA256_HEX])
	NONNULL(1, 4) MUST_USE;

#endif
