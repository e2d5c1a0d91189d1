/* SPDX-License-Identifier: Apache-2.0 */
/* Values as the JSON API has them, and what an object resource says. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/text.h"

#include "gcs.h"

bool gcs_etag_is_valid(const char *etag)
{
	size_t n = strspn(etag, "0123456789");

	return n > 0 && n < GCS_GENERATION_LEN && !etag[n] &&
	       strcmp(etag, "0") != 0;
}

void gcs_crc_encode(uint32_t crc, char ret[GCS_CRC_LEN])
{
	const unsigned char be[4] = { (unsigned char)(crc >> 24),
				      (unsigned char)(crc >> 16),
				      (unsigned char)(crc >> 8),
				      (unsigned char)crc };

	text_base64(be, sizeof(be), ret);
}

bool gcs_crc_decode(const char *s, uint32_t *ret)
{
	unsigned char be[4];
	size_t n = 0;

	if (text_unbase64(s, be, sizeof(be), &n) || n != sizeof(be))
		return false;
	*ret = (uint32_t)be[0] << 24 | (uint32_t)be[1] << 16 |
	       (uint32_t)be[2] << 8 | be[3];
	return true;
}

static int take_meta(void *arg, const char *name, const struct json *value)
{
	const char *s = json_as_str(value);

	if (s)
		store_meta_decode(name, s, arg);
	return 0;
}

int gcs_obj_of(const struct json *j, struct store_obj *ret)
{
	const char *generation = json_get_str(j, "generation");
	const char *crc = json_get_str(j, "crc32c");
	const char *date = json_get_str(j, "updated");
	struct store_obj o = { .has_meta = true };
	int64_t size;

	if (!generation || !gcs_etag_is_valid(generation) ||
	    json_get_int(j, "size", &size) || size < 0) {
		store_set_error("the answer has no size or generation");
		return -EPROTO;
	}
	snprintf(o.etag, sizeof(o.etag), "%s", generation);
	o.size = (uint64_t)size;
	o.has_crc32c = crc && gcs_crc_decode(crc, &o.crc32c);
	if (!date || text_parse_iso_date(date, &o.mtime_ns))
		o.mtime_ns = 0;
	(void)json_each(json_get(j, "metadata"), take_meta, &o.meta);
	*ret = o;
	return 0;
}

size_t gcs_meta_pairs(const struct store_meta_text *text,
		      struct gcs_pair ret[3])
{
	size_t n = 0;

	if (*text->mtime)
		ret[n++] = (struct gcs_pair){ STORE_META_MTIME, text->mtime };
	if (*text->mode)
		ret[n++] = (struct gcs_pair){ STORE_META_MODE, text->mode };
	if (*text->id)
		ret[n++] = (struct gcs_pair){ STORE_META_ID, text->id };
	return n;
}

void gcs_write_meta(struct json_w *w, const struct gcs_pair *pairs, size_t n)
{
	size_t i;

	json_w_object(w, "metadata");
	for (i = 0; i < n; i++)
		json_w_str(w, pairs[i].name, pairs[i].value);
	json_w_close(w);
}
