/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/xml.h"

#include "s3.h"

struct error_walk {
	struct s3_error *e;
	bool is_error;
};

static void copy_to(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
}

static int on_error_leaf(void *arg, const char *path, const char *text)
{
	struct error_walk *w = arg;

	if (strncmp(path, "Error", 5) != 0 || (path[5] && path[5] != '/'))
		return 1;
	w->is_error = true;
	if (strcmp(path, "Error/Code") == 0)
		copy_to(w->e->code, sizeof(w->e->code), text);
	else if (strcmp(path, "Error/Message") == 0)
		copy_to(w->e->message, sizeof(w->e->message), text);
	else if (strcmp(path, "Error/Region") == 0)
		copy_to(w->e->region, sizeof(w->e->region), text);
	return 0;
}

bool s3_error_parse(const void *p, size_t n, struct s3_error *ret)
{
	struct error_walk w = { .e = ret };
	struct xml_handler h = { .leaf = on_error_leaf, .arg = &w };

	memset(ret, 0, sizeof(*ret));
	/* What came before it was cut short may still say something. */
	if (n > 0 && xml_parse(p, n, &h) != 0 && !w.is_error)
		return false;
	return w.is_error;
}

struct leaves_walk {
	const struct s3_leaf *leaves;
	size_t n;
};

static int on_leaf(void *arg, const char *path, const char *text)
{
	struct leaves_walk *w = arg;
	size_t i;

	for (i = 0; i < w->n; i++)
		if (strcmp(path, w->leaves[i].path) == 0)
			copy_to(w->leaves[i].to, w->leaves[i].size, text);
	return 0;
}

int s3_xml_leaves(const struct http_resp *resp, const struct s3_leaf *leaves,
		  size_t n)
{
	struct leaves_walk w = { .leaves = leaves, .n = n };
	struct xml_handler h = { .leaf = on_leaf, .arg = &w };
	int r = xml_parse(resp->body.p ? resp->body.p : "", resp->body.len, &h);

	if (r == -EBADMSG) {
		store_set_error("the answer is not the XML it should be");
		return -EPROTO;
	}
	return r;
}
