/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks: their ids, and which there are. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"
#include "ckptfs/rng.h"
#include "ckptfs/text.h"
#include "ckptfs/xml.h"

#include "az.h"

#define RAW_LEN (AZ_ID_LEN + 5 + 16)
_Static_assert(TEXT_BASE64_LEN(RAW_LEN) == AZ_BLOCK_LEN + 1, "no padding");

void az_block_encode(const struct az_block *b, char ret[AZ_BLOCK_LEN + 1])
{
	char raw[RAW_LEN + 1];

	snprintf(raw, sizeof(raw), "%.24s%05u%016" PRIx64, b->upload,
		 b->number % 100000, b->crc64);
	text_base64(raw, RAW_LEN, ret);
}

static bool is_hex(const char *s, size_t n)
{
	return strspn(s, "0123456789abcdef") >= n;
}

bool az_block_decode(const char *s, struct az_block *ret)
{
	char raw[RAW_LEN + 1] = "", number[6] = "";
	struct az_block b;
	uint64_t v;
	size_t n;

	if (text_unbase64(s, raw, RAW_LEN, &n) || n != RAW_LEN ||
	    !is_hex(raw, RAW_LEN))
		return false;
	memcpy(b.upload, raw, AZ_ID_LEN);
	b.upload[AZ_ID_LEN] = '\0';
	memcpy(number, raw + AZ_ID_LEN, 5);
	if (text_parse_u64(number, &v) || v < 1 || v > AZ_PARTS_MAX)
		return false;
	b.number = (unsigned)v;
	b.crc64 = strtoull(raw + AZ_ID_LEN + 5, NULL, 16);
	*ret = b;
	return true;
}

static uint32_t key_sum(const char *key)
{
	return crc32c(0, key, strlen(key));
}

void az_id_make(const char *key, char ret[AZ_ID_LEN + 1])
{
	snprintf(ret, AZ_ID_LEN + 1, "%016" PRIx64 "%08x", rng_u64(&rng_system),
		 key_sum(key));
}

bool az_id_is_valid(const char *id)
{
	return strlen(id) == AZ_ID_LEN && is_hex(id, AZ_ID_LEN);
}

bool az_id_is_of(const char *id, const char *key)
{
	return az_id_is_valid(id) &&
	       strtoul(id + AZ_ID_LEN - 8, NULL, 16) == key_sum(key);
}

/* ---- which there are ---- */

struct blocks {
	char name[AZ_TEXT_LEN];
	az_block_fn *fn;
	void *arg;
	int stopped;
};

static int on_leaf(void *arg, const char *path, const char *text)
{
	struct blocks *b = arg;
	const char *field = strstr(path, "Blocks/Block/");
	uint64_t size;

	if (strncmp(path, "BlockList", 9) != 0)
		return -EBADMSG;
	if (!field)
		return 0;
	field += strlen("Blocks/Block/");
	if (strcmp(field, "Name") == 0)
		snprintf(b->name, sizeof(b->name), "%s", text);
	if (strcmp(field, "Size") != 0)
		return 0;
	if (text_parse_u64(text, &size))
		return -EBADMSG;
	b->stopped = b->fn(b->arg, b->name, size);
	return b->stopped;
}

int az_blocks_each(struct az *az, const char *key, bool committed,
		   az_block_fn *fn, void *arg)
{
	struct blocks b = { .fn = fn, .arg = arg };
	const struct xml_handler h = { .leaf = on_leaf, .arg = &b };
	struct az_req q = { .method = "GET",
			    .key = key,
			    .body_max = AZ_XML_MAX };
	struct http_resp resp;
	int r;

	az_req_query(&q, "comp", "blocklist");
	az_req_query(&q, "blocklisttype",
		     committed ? "committed" : "uncommitted");
	r = az_perform(az, &q, &resp);
	if (r == 0)
		r = xml_parse(resp.body.p ? resp.body.p : "", resp.body.len,
			      &h);
	if (r == -EBADMSG && !b.stopped) {
		store_set_error("the list of blocks is not what it should be");
		r = -EPROTO;
	}
	http_resp_clear(&resp);
	return r;
}
