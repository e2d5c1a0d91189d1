/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ckptfs/sign.h"
#include "ckptfs/text.h"

#include "sign_priv.h"

int sign_encode_path(const char *path, struct buf *out)
{
	return text_percent(out, path, strlen(path), true);
}

/* One parameter: "name=value" in a buffer of its own; they sort as (name,
 * value), which is not the order of the joined strings. */
struct param {
	struct buf text;
	size_t name_len;
};

static int by_name_and_value(const void *a, const void *b)
{
	const struct param *x = a, *y = b;
	size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
	int r = memcmp(x->text.p, y->text.p, n);

	if (r)
		return r;
	if (x->name_len != y->name_len)
		return x->name_len < y->name_len ? -1 : 1;
	return strcmp(x->text.p + n, y->text.p + n);
}

static int encode_param(const struct sign_pair *q, struct param *p)
{
	int r;

	p->text.max = SIGN_TEXT_MAX;
	r = text_percent(&p->text, q->name, strlen(q->name), false);
	p->name_len = p->text.len;
	if (r == 0)
		r = buf_add(&p->text, "=", 1);
	if (r == 0 && q->value)
		r = text_percent(&p->text, q->value, strlen(q->value), false);
	return r;
}

int sign_encode_query(const struct sign_pair *query, size_t n, struct buf *out)
{
	struct param *params = calloc(n ? n : 1, sizeof(*params));
	size_t i;
	int r = params ? 0 : -ENOMEM;

	for (i = 0; i < n && r == 0; i++)
		r = encode_param(&query[i], &params[i]);
	if (r == 0)
		qsort(params, n, sizeof(*params), by_name_and_value);
	for (i = 0; i < n && r == 0; i++) {
		if (i > 0)
			r = buf_add(out, "&", 1);
		if (r == 0)
			r = buf_add(out, params[i].text.p, params[i].text.len);
	}
	for (i = 0; i < n && params; i++)
		buf_clear(&params[i].text);
	free(params);
	return r;
}
