/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "ckptfs/clock.h"
#include "ckptfs/text.h"

#include "exchange.h"
#include "meta_text.h"

const struct http_body *exchange_body(const struct store_src *src,
				      struct http_body *ret)
{
	if (!src)
		return NULL;
	*ret = (struct http_body){ .read = src->read,
				   .arg = src->arg,
				   .len = src->len };
	return ret;
}

int exchange_no_answer(int err, const struct http_resp *resp, bool is_settled)
{
	if (err == -ECANCELED || err == -ENOMEM)
		return err;
	store_set_error("%s", resp->why);
	return err == -EACCES && is_settled ? -ENETUNREACH : err;
}

bool exchange_retry_after(const struct http_resp *resp)
{
	const char *s = http_resp_header(resp, "Retry-After");
	uint64_t v;

	if (!s || text_parse_u64(s, &v) || v >= 3600)
		return false;
	store_set_retry_after((int64_t)v * NS_PER_S);
	return true;
}

bool exchange_meta(const struct http_resp *resp, const char *prefix,
		   struct store_meta *ret)
{
	static const char *const names[] = { STORE_META_MTIME, STORE_META_MODE,
					     STORE_META_ID };
	bool is_there = false;
	char header[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value;

		snprintf(header, sizeof(header), "%s%s", prefix, names[i]);
		value = http_resp_header(resp, header);
		if (!value)
			continue;
		store_meta_decode(names[i], value, ret);
		is_there = true;
	}
	return is_there;
}
