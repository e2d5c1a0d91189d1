/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/text.h"

#include "az.h"
#include "exchange.h"

/* The bytes of the CRC with the least first: S3 has them the other way round. */
void az_crc_encode(uint64_t crc, char ret[AZ_CRC_LEN])
{
	unsigned char b[8];

	for (unsigned i = 0; i < 8; i++)
		b[i] = (unsigned char)(crc >> 8 * i);
	text_base64(b, sizeof(b), ret);
}

bool az_crc_decode(const char *s, uint64_t *ret)
{
	unsigned char b[8];
	uint64_t crc = 0;
	size_t n;

	if (text_unbase64(s, b, sizeof(b), &n) || n != sizeof(b))
		return false;
	for (unsigned i = 0; i < 8; i++)
		crc |= (uint64_t)b[i] << 8 * i;
	*ret = crc;
	return true;
}

bool az_etag_decode(const char *s, char ret[STORE_ETAG_MAX])
{
	size_t n;

	if (strncmp(s, "W/", 2) == 0)
		s += 2;
	n = strlen(s);
	if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
		s++;
		n -= 2;
	}
	if (n == 0 || n >= STORE_ETAG_MAX || memchr(s, '"', n))
		return false;
	memcpy(ret, s, n);
	ret[n] = '\0';
	return true;
}

int az_obj_of(const struct http_resp *resp, struct store_obj *ret)
{
	const char *etag = http_resp_header(resp, "ETag");
	const char *date = http_resp_header(resp, "Last-Modified");
	struct store_obj o = { .size = 0 };

	if (!etag || !az_etag_decode(etag, o.etag)) {
		store_set_error("the answer has no ETag");
		return -EPROTO;
	}
	if (!date || text_parse_http_date(date, &o.mtime_ns))
		o.mtime_ns = 0;
	(void)exchange_meta(resp, AZ_META, &o.meta);
	o.has_meta = true;
	*ret = o;
	return 0;
}

int az_etag_of(const struct http_resp *resp, uint64_t crc64,
	       char ret[STORE_ETAG_MAX])
{
	const char *etag = http_resp_header(resp, "ETag");
	const char *crc = http_resp_header(resp, "x-ms-content-crc64");
	uint64_t theirs;

	if (crc && (!az_crc_decode(crc, &theirs) || theirs != crc64)) {
		store_set_error("the server's checksum is not ours");
		return -EBADMSG;
	}
	if (etag && az_etag_decode(etag, ret))
		return 0;
	store_set_error("the answer has no ETag");
	return -EPROTO;
}
