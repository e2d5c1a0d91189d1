/* SPDX-License-Identifier: Apache-2.0 */
/* From options to how an S3 server is reached and objects are stored there. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/http.h"
#include "ckptfs/store.h"
#include "ckptfs/text.h"

#include "cmd.h"
#include "daemon.h"

#define FILE_MOST 256
#define TIME_MOST (24 * 3600 * 1000) /* ms */

static unsigned at_least_one(int64_t n)
{
	if (n > TIME_MOST)
		n = TIME_MOST;
	return n > 0 ? (unsigned)n : 1;
}

void daemon_http_options(struct daemon *d, struct http_opts *ret)
{
	const struct options *o = d->o;

	memset(ret, 0, sizeof(*ret));
	ret->ca_bundle = o->ca_bundle;
	if (!ret->ca_bundle && d->src.kind == SOURCE_S3)
		ret->ca_bundle = getenv("AWS_CA_BUNDLE");
	ret->connect_timeout_ms = at_least_one(o->connect_timeout / NS_PER_MS);
	if (o->http_timeout > 0)
		ret->low_speed_s = at_least_one(
			(o->http_timeout + NS_PER_S - 1) / NS_PER_S);
	ret->no_verify = o->no_verify_ssl;
	if (o->no_verify_ssl)
		daemon_warn(d, "no_verify_ssl: whoever is on the way to the "
			       "server can pretend to be it");
}

/* The whole of a small file; its length, or a negative errno. */
static ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (len < size && n > 0) {
		n = read(fd, buf + len, size - len);
		if (n > 0)
			len += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			n = -errno;
	}
	(void)close(fd);
	return n < 0 ? n : (ssize_t)len;
}

/* 32 bytes as they are, or a line of base64. */
static bool decode(char *text, size_t len, unsigned char *ret)
{
	size_t n = 0;

	if (len == STORE_SSE_C_KEY) {
		memcpy(ret, text, len);
		return true;
	}
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	text[len] = '\0';
	return text_unbase64(text, ret, STORE_SSE_C_KEY, &n) == 0 &&
	       n == STORE_SSE_C_KEY;
}

static int read_key(struct daemon *d, unsigned char *ret)
{
	const char *path = d->o->sse_c_key_file;
	char text[FILE_MOST];
	ssize_t n = read_file(path, text, sizeof(text) - 1);
	bool is_key = n >= 0 && decode(text, (size_t)n, ret);

	explicit_bzero(text, sizeof(text));
	if (n < 0)
		return say_error(&d->say, CLI_FAILED, "sse_c_key_file %s: %s",
				 path, strerror((int)-n));
	if (!is_key)
		return say_error(&d->say, CLI_USAGE,
				 "sse_c_key_file %s: a key is %d bytes, as "
				 "they are or in base64",
				 path, STORE_SSE_C_KEY);
	return CLI_DONE;
}

int daemon_s3_options(struct daemon *d, unsigned char *key,
		      struct store_s3_opts *ret)
{
	const struct options *o = d->o;

	ret->sse = o->sse;
	ret->sse_kms_key_id = o->sse_kms_key_id;
	ret->storage_class = o->storage_class;
	ret->acl = o->acl;
	ret->tags = o->tags;
	ret->content_type = o->content_type;
	ret->requester_pays = o->requester_pays;
	ret->is_impatient = o->http_timeout > 0;
	ret->fips = o->fips;
	ret->dual_stack = o->dual_stack;
	if (!o->sse_c_key_file)
		return CLI_DONE;
	ret->sse_c_key = key;
	return read_key(d, key);
}
