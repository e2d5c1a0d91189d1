/* SPDX-License-Identifier: Apache-2.0 */
/* Values as S3 writes them, and what the headers of an answer say. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/text.h"

#include "exchange.h"
#include "s3.h"

void s3_crc_encode(struct s3_crc crc, char ret[S3_CRC_LEN])
{
	const int n = crc.is_crc32c ? 4 : 8;
	unsigned char be[8];
	int i;

	for (i = 0; i < n; i++)
		be[i] = (unsigned char)(crc.v >> 8 * (n - 1 - i));
	text_base64(be, (size_t)n, ret);
}

static bool decode(const char *s, size_t len, uint64_t *ret)
{
	unsigned char be[8];
	uint64_t crc = 0;
	size_t n = 0, i;

	/* "…-3" is a checksum of checksums. */
	if (text_unbase64(s, be, len, &n) || n != len)
		return false;
	for (i = 0; i < len; i++)
		crc = crc << 8 | be[i];
	*ret = crc;
	return true;
}

bool s3_crc64_decode(const char *s, uint64_t *ret)
{
	return decode(s, 8, ret);
}

bool s3_crc32c_decode(const char *s, uint32_t *ret)
{
	uint64_t crc;

	if (!decode(s, 4, &crc))
		return false;
	*ret = (uint32_t)crc;
	return true;
}

bool s3_etag_decode(const char *s, char ret[STORE_ETAG_MAX])
{
	size_t n;

	if (strncmp(s, "W/", 2) == 0)
		s += 2;
	if (*s == '"')
		s++;
	n = strcspn(s, "\"");
	if (n == 0 || n >= STORE_ETAG_MAX || (s[n] == '"' && s[n + 1]))
		return false;
	memcpy(ret, s, n);
	ret[n] = '\0';
	return true;
}

static void crc_of(const struct http_resp *resp, struct store_obj *o)
{
	const char *crc64 = http_resp_header(resp, "x-amz-checksum-crc64nvme");
	const char *crc32c = http_resp_header(resp, "x-amz-checksum-crc32c");
	const char *type = http_resp_header(resp, "x-amz-checksum-type");

	if (type && strcmp(type, "FULL_OBJECT") != 0)
		return;
	o->has_crc64 = crc64 && s3_crc64_decode(crc64, &o->crc64);
	o->has_crc32c = crc32c && s3_crc32c_decode(crc32c, &o->crc32c);
}

int s3_obj_of(const struct http_resp *resp, struct store_obj *ret)
{
	const char *etag = http_resp_header(resp, "ETag");
	const char *date = http_resp_header(resp, "Last-Modified");
	struct store_obj o = { 0 };

	if (!etag || !s3_etag_decode(etag, o.etag)) {
		store_set_error("the answer has no ETag");
		return -EPROTO;
	}
	if (date && text_parse_http_date(date, &o.mtime_ns))
		o.mtime_ns = 0;
	crc_of(resp, &o);
	o.has_meta = true;
	(void)exchange_meta(resp, "x-amz-meta-", &o.meta);
	*ret = o;
	return 0;
}

int s3_etag_of(const struct http_resp *resp, struct s3_crc crc,
	       char ret[STORE_ETAG_MAX])
{
	const char *etag = http_resp_header(resp, "ETag");
	struct store_obj o = { 0 };

	crc_of(resp, &o);
	if (crc.is_crc32c ? o.has_crc32c && o.crc32c != crc.v :
			    o.has_crc64 && o.crc64 != crc.v) {
		store_set_error("the server's checksum is not ours");
		return -EBADMSG;
	}
	if (!etag || !s3_etag_decode(etag, ret)) {
		store_set_error("the answer has no ETag");
		return -EPROTO;
	}
	return 0;
}
