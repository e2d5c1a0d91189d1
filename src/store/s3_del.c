/* SPDX-License-Identifier: Apache-2.0 */
/* Deletion of many objects by one request. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"
#include "ckptfs/text.h"
#include "ckptfs/xml.h"

#include "s3.h"
#include "store_int.h"

#define BODY_MAX (16u << 20)

/* Keys that fit into XML go together, the others one by one. */
struct batch {
	const struct store_del *dels;
	size_t n;
	int *errs;
	struct buf body;
	size_t nin; /* keys in the body */
	/* The answer, as it is read. */
	char *key;
	struct s3_error e;
};

static int add_key(struct batch *b, const struct store_del *d, bool *ret_fits)
{
	const char *key = d->key;
	size_t len = b->body.len;
	int r = buf_addf(&b->body, "<Object><Key>");

	*ret_fits = true;
	if (r == 0)
		r = xml_add_text(&b->body, key, strlen(key));
	if (r == 0)
		r = buf_addf(&b->body, "</Key>");
	if (r == 0 && d->if_match)
		r = buf_addf(&b->body, "<ETag>&quot;");
	if (r == 0 && d->if_match)
		r = xml_add_text(&b->body, d->if_match, strlen(d->if_match));
	if (r == 0 && d->if_match)
		r = buf_addf(&b->body, "&quot;</ETag>");
	if (r == 0)
		return buf_addf(&b->body, "</Object>");
	if (r != -EINVAL)
		return r;
	b->body.len = len;
	b->body.p[len] = '\0';
	*ret_fits = false;
	return 0;
}

/* CR comes back from a reader of XML as LF. */
static bool is_plain(const char *key)
{
	return strchr(key, '\r') == NULL;
}

static int fill(struct store *s, struct batch *b)
{
	size_t i;
	int r = buf_addf(&b->body, "<Delete xmlns=\"http://s3.amazonaws.com/"
				   "doc/2006-03-01/\"><Quiet>true</Quiet>");

	for (i = 0; i < b->n && r == 0; i++) {
		const struct store_cond cond = { .if_match =
							 b->dels[i].if_match };
		bool fits = is_plain(b->dels[i].key);

		b->errs[i] = 0;
		if (fits)
			r = add_key(b, &b->dels[i], &fits);
		if (r == 0 && fits)
			b->nin++;
		else if (r == 0)
			b->errs[i] = s3_del(s, b->dels[i].key,
					    cond.if_match ? &cond : NULL);
	}
	if (r == 0)
		r = buf_addf(&b->body, "</Delete>");
	return r == -EMSGSIZE ? -EINVAL : r;
}

static int on_leaf(void *arg, const char *path, const char *text)
{
	struct batch *b = arg;

	if (strcmp(path, "DeleteResult/Error/Key") == 0) {
		free(b->key);
		b->key = strdup(text);
		return b->key ? 0 : -ENOMEM;
	}
	if (strcmp(path, "DeleteResult/Error/Code") == 0)
		snprintf(b->e.code, sizeof(b->e.code), "%s", text);
	else if (strcmp(path, "DeleteResult/Error/Message") == 0)
		snprintf(b->e.message, sizeof(b->e.message), "%s", text);
	return strncmp(path, "DeleteResult", 12) == 0 ? 0 : -EBADMSG;
}

static int on_end(void *arg, const char *path)
{
	struct batch *b = arg;
	struct s3_answer a = { .status = 500,
			       .code = b->e.code,
			       .cond = b->dels[0].if_match ? ANSWER_IF_MATCH :
							     ANSWER_NO_COND };
	size_t i;
	int err;

	if (strcmp(path, "DeleteResult/Error") != 0)
		return 0;
	if (!b->key)
		return -EBADMSG;
	err = s3_err_of(&a);
	if (err == -ENOENT)
		err = 0;
	for (i = 0; i < b->n; i++)
		if (strcmp(b->dels[i].key, b->key) == 0)
			b->errs[i] = err;
	store_set_error("%s: %s", b->e.code, b->e.message);
	memset(&b->e, 0, sizeof(b->e));
	free(b->key);
	b->key = NULL;
	return 0;
}

static int perform(struct s3 *s3, struct batch *b)
{
	struct xml_handler h = { .leaf = on_leaf, .end = on_end, .arg = b };
	unsigned char sum[MD5_LEN];
	char md5_text[TEXT_BASE64_LEN(MD5_LEN)];
	struct store_src_mem mem;
	struct s3_req q = { .method = "POST",
			    .src = &mem.src,
			    .may_fail_late = true,
			    .body_max = S3_XML_MAX };
	struct http_resp resp;
	int r;

	s3_req_query(&q, "delete", NULL);
	/* The one checksum of this request that every server knows. */
	md5(b->body.p, b->body.len, sum);
	text_base64(sum, sizeof(sum), md5_text);
	s3_req_header(&q, "Content-MD5", md5_text);
	store_src_mem_init(&mem, b->body.p, b->body.len);
	r = s3_perform(s3, &q, &resp);
	/* An answer that only says it worked may be empty. */
	if (r == 0 && resp.body.len)
		r = xml_parse(resp.body.p, resp.body.len, &h);
	if (r == -EBADMSG) {
		store_set_error("the answer is not the XML it should be");
		r = -EPROTO;
	}
	http_resp_clear(&resp);
	return r;
}

int s3_del_many(struct store *s, const struct store_del *dels, size_t n,
		int *ret_errs)
{
	struct batch b = { .dels = dels,
			   .n = n,
			   .errs = ret_errs,
			   .body = BUF_INIT(BODY_MAX) };
	int r = fill(s, &b);

	if (r == 0 && b.nin)
		r = perform((struct s3 *)s, &b);
	buf_clear(&b.body);
	free(b.key);
	return r;
}
