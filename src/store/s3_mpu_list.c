/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of an upload, and the uploads there are. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"
#include "ckptfs/xml.h"

#include "s3.h"

struct page {
	bool is_cut, is_url;
	/* Where the next page begins. */
	unsigned part_marker;
	char *key_marker, *id_marker;
	struct s3_circle circle;
	/* The row being read. */
	struct store_part part;
	char *key, *id;
	int64_t begun_ns;
	/* Whom to give it to. */
	store_part_fn *part_fn;
	store_upload_fn *upload_fn;
	const char *prefix;
	void *arg;
	int stopped;
};

static void row_clear(struct page *g)
{
	memset(&g->part, 0, sizeof(g->part));
	free(g->key);
	free(g->id);
	g->key = NULL;
	g->id = NULL;
	g->begun_ns = 0;
}

static int set_string(char **to, const char *text)
{
	char *p = strdup(text);

	if (!p)
		return -ENOMEM;
	free(*to);
	*to = p;
	return 0;
}

static int parse_number(const char *text, unsigned *ret)
{
	uint64_t v;

	if (text_parse_u64(text, &v) || v > 1000000)
		return -EBADMSG;
	*ret = (unsigned)v;
	return 0;
}

static int part_leaf(void *arg, const char *path, const char *text)
{
	struct page *g = arg;
	struct store_part *p = &g->part;

	if (strncmp(path, "ListPartsResult", 15) != 0)
		return -EBADMSG;
	path += path[15] ? 16 : 15;
	if (strcmp(path, "IsTruncated") == 0)
		g->is_cut = strcmp(text, "true") == 0;
	else if (strcmp(path, "NextPartNumberMarker") == 0 && *text)
		return parse_number(text, &g->part_marker);
	else if (strcmp(path, "Part/PartNumber") == 0)
		return parse_number(text, &p->number);
	else if (strcmp(path, "Part/Size") == 0)
		return text_parse_u64(text, &p->size) ? -EBADMSG : 0;
	else if (strcmp(path, "Part/ETag") == 0)
		return s3_etag_decode(text, p->etag) ? 0 : -EBADMSG;
	else if (strcmp(path, "Part/ChecksumCRC64NVME") == 0)
		p->has_crc64 = s3_crc64_decode(text, &p->crc64);
	else if (strcmp(path, "Part/ChecksumCRC32C") == 0)
		p->has_crc32c = s3_crc32c_decode(text, &p->crc32c);
	return 0;
}

static int part_end(void *arg, const char *path)
{
	struct page *g = arg;

	if (strcmp(path, "ListPartsResult/Part") != 0)
		return 0;
	if (g->part.number == 0 || !*g->part.etag)
		return -EBADMSG;
	g->stopped = g->part_fn(g->arg, &g->part);
	row_clear(g);
	return g->stopped;
}

static int upload_leaf(void *arg, const char *path, const char *text)
{
	static const char root[] = "ListMultipartUploadsResult";
	struct page *g = arg;
	size_t n = sizeof(root) - 1;

	if (strncmp(path, root, n) != 0)
		return -EBADMSG;
	path += path[n] ? n + 1 : n;
	if (strcmp(path, "IsTruncated") == 0)
		g->is_cut = strcmp(text, "true") == 0;
	else if (strcmp(path, "EncodingType") == 0)
		g->is_url = strcmp(text, "url") == 0;
	else if (strcmp(path, "NextKeyMarker") == 0)
		return set_string(&g->key_marker, text);
	else if (strcmp(path, "NextUploadIdMarker") == 0)
		return set_string(&g->id_marker, text);
	else if (strcmp(path, "Upload/Key") == 0)
		return set_string(&g->key, text);
	else if (strcmp(path, "Upload/UploadId") == 0)
		return set_string(&g->id, text);
	else if (strcmp(path, "Upload/Initiated") == 0 &&
		 text_parse_iso_date(text, &g->begun_ns))
		g->begun_ns = 0;
	return 0;
}

/* Below the prefix, and with names that we could have given and can give. */
static bool is_sane(const struct page *g)
{
	size_t key = strlen(g->key), id = strlen(g->id);

	return key > 0 && key <= STORE_KEY_MAX && id > 0 &&
	       id < STORE_UPLOAD_ID_MAX &&
	       strncmp(g->key, g->prefix, strlen(g->prefix)) == 0;
}

static int upload_end(void *arg, const char *path)
{
	struct page *g = arg;
	int r = 0;

	if (strcmp(path, "ListMultipartUploadsResult/Upload") != 0)
		return 0;
	if (!g->key || !g->id)
		return -EBADMSG;
	if (g->is_url)
		r = s3_undo_url(&g->key);
	if (r == 0 && is_sane(g)) {
		g->stopped = g->upload_fn(g->arg, g->key, g->id, g->begun_ns);
		r = g->stopped;
	}
	row_clear(g);
	return r == -EILSEQ ? 0 : r;
}

static int fetch(struct s3 *s3, const struct s3_req *q, struct page *g,
		 xml_leaf_fn *leaf, xml_end_fn *end)
{
	struct xml_handler h = { .leaf = leaf, .end = end, .arg = g };
	struct http_resp resp;
	int r = s3_perform(s3, q, &resp);

	g->is_cut = false;
	g->is_url = false;
	if (r == 0)
		r = xml_parse(resp.body.p ? resp.body.p : "", resp.body.len,
			      &h);
	row_clear(g);
	http_resp_clear(&resp);
	if (g->stopped)
		return g->stopped;
	if (r == -EBADMSG) {
		store_set_error("the listing is not what it should be");
		r = -EPROTO;
	}
	return r;
}

static int lost(void)
{
	store_set_error("the listing goes on, but does not say where");
	return -EPROTO;
}

int s3_mpu_list_parts(struct store *s, const char *key, const char *id,
		      store_part_fn *fn, void *arg)
{
	struct page g = { .part_fn = fn, .arg = arg };
	unsigned marker = 0;
	int r;

	do {
		struct s3_req q = { .method = "GET",
				    .key = key,
				    .body_max = S3_XML_MAX };

		s3_req_query(&q, "uploadId", id);
		s3_req_query_uint(&q, "max-parts", S3_PAGE);
		if (marker)
			s3_req_query_uint(&q, "part-number-marker", marker);
		r = fetch((struct s3 *)s, &q, &g, part_leaf, part_end);
		if (r == 0 && g.is_cut && g.part_marker <= marker)
			r = lost();
		marker = g.part_marker;
	} while (r == 0 && g.is_cut);
	return r;
}

/* The markers the next page begins with, decoded. */
static int turn(struct page *g, char **key, char **id)
{
	struct buf both = BUF_INIT(SIZE_MAX);
	int r = 0;

	if (!g->key_marker)
		return lost();
	if (g->is_url)
		r = s3_undo_url(&g->key_marker);
	if (r == -EBADMSG || r == -EILSEQ)
		return lost();
	if (r == 0 && !g->id_marker)
		r = set_string(&g->id_marker, "");
	if (r == 0)
		r = buf_addf(&both, "%s\n%s", g->key_marker, g->id_marker);
	if (r == 0)
		r = s3_circle_check(&g->circle, both.p);
	buf_clear(&both);
	if (r)
		return r;
	free(*key);
	free(*id);
	*key = g->key_marker;
	*id = g->id_marker;
	g->key_marker = NULL;
	g->id_marker = NULL;
	return 0;
}

int s3_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		void *arg)
{
	struct page g = { .upload_fn = fn, .prefix = prefix, .arg = arg };
	char *key = NULL, *id = NULL, asked[STORE_KEY_MAX + 1];
	int r;

	if (((struct s3 *)s)->where.is_directory) {
		s3_express_prefix(prefix, asked);
		prefix = asked;
	}

	do {
		struct s3_req q = { .method = "GET", .body_max = S3_XML_MAX };

		s3_req_query(&q, "uploads", NULL);
		s3_req_query(&q, "encoding-type", "url");
		s3_req_query_uint(&q, "max-uploads", S3_PAGE);
		if (*prefix)
			s3_req_query(&q, "prefix", prefix);
		if (key)
			s3_req_query(&q, "key-marker", key);
		if (id && *id)
			s3_req_query(&q, "upload-id-marker", id);
		r = fetch((struct s3 *)s, &q, &g, upload_leaf, upload_end);
		if (r == 0 && g.is_cut)
			r = turn(&g, &key, &id);
	} while (r == 0 && g.is_cut);
	free(g.key_marker);
	free(g.id_marker);
	free(g.circle.mark);
	free(key);
	free(id);
	return r;
}
