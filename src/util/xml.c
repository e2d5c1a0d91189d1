/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/text.h"
#include "ckptfs/xml.h"

#define DEPTH_MAX 32
#define PATH_MAX_BYTES 1024
#define TEXT_MAX_BYTES 65536

struct parse {
	const struct xml_handler *h;
	XML_Parser expat;
	struct buf path, text;
	size_t parent_len[DEPTH_MAX]; /* of path, per open element */
	unsigned depth;
	bool has_child; /* the innermost open element */
	int err;
};

static void stop(struct parse *x, int err)
{
	if (x->err == 0)
		x->err = err;
	(void)XML_StopParser(x->expat, XML_FALSE);
}

/* Our own limits on hostile input are no resource problems. */
static int add(struct buf *b, const char *p, size_t n)
{
	int r = buf_add(b, p, n);

	return r == -EMSGSIZE ? -EBADMSG : r;
}

static void cut(struct buf *b, size_t len)
{
	b->len = len;
	if (b->p)
		b->p[len] = '\0';
}

static const char *local_name(const char *name)
{
	const char *colon = strchr(name, ':');

	return colon ? colon + 1 : name;
}

static int report_attr(struct parse *x, const char *name, const char *value)
{
	size_t len = x->path.len;
	int r;

	if (strcmp(name, "xmlns") == 0 || strncmp(name, "xmlns:", 6) == 0)
		return 0;
	name = local_name(name);
	r = add(&x->path, "@", 1);
	if (r == 0)
		r = add(&x->path, name, strlen(name));
	if (r == 0)
		r = x->h->leaf(x->h->arg, x->path.p, value);
	cut(&x->path, len);
	return r;
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attrs)
{
	struct parse *x = arg;
	int r = 0;

	if (x->err != 0)
		return;
	if (x->depth == DEPTH_MAX) {
		stop(x, -EBADMSG);
		return;
	}
	name = local_name(name);
	x->parent_len[x->depth++] = x->path.len;
	x->has_child = false;
	cut(&x->text, 0);
	if (x->path.len > 0)
		r = add(&x->path, "/", 1);
	if (r == 0)
		r = add(&x->path, name, strlen(name));
	for (; r == 0 && attrs[0]; attrs += 2)
		r = report_attr(x, attrs[0], attrs[1]);
	if (r != 0)
		stop(x, r);
}

static void on_end(void *arg, const XML_Char *name)
{
	struct parse *x = arg;
	int r = 0;

	if (x->err != 0)
		return;
	if (!x->has_child)
		r = x->h->leaf(x->h->arg, x->path.p,
			       x->text.p ? x->text.p : "");
	else if (x->h->end)
		r = x->h->end(x->h->arg, x->path.p);
	cut(&x->path, x->parent_len[--x->depth]);
	cut(&x->text, 0);
	x->has_child = true;
	if (r != 0)
		stop(x, r);
}

static void on_text(void *arg, const XML_Char *s, int n)
{
	struct parse *x = arg;
	int r;

	if (x->err != 0 || x->has_child)
		return;
	r = add(&x->text, s, (size_t)n);
	if (r < 0)
		stop(x, r);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid,
		       const XML_Char *pubid, int has_internal)
{
	stop(arg, -EBADMSG);
}

int xml_parse(const void *p, size_t n, const struct xml_handler *h)
{
	struct parse x = {
		.h = h,
		.path = BUF_INIT(PATH_MAX_BYTES),
		.text = BUF_INIT(TEXT_MAX_BYTES),
	};

	if (n > INT_MAX)
		return -EBADMSG;
	x.expat = XML_ParserCreate(NULL);
	if (!x.expat)
		return -ENOMEM;
	XML_SetUserData(x.expat, &x);
	XML_SetElementHandler(x.expat, on_start, on_end);
	XML_SetCharacterDataHandler(x.expat, on_text);
	XML_SetStartDoctypeDeclHandler(x.expat, on_doctype);
	if (XML_Parse(x.expat, p, (int)n, XML_TRUE) != XML_STATUS_OK &&
	    x.err == 0)
		x.err = XML_GetErrorCode(x.expat) == XML_ERROR_NO_MEMORY
				? -ENOMEM
				: -EBADMSG;
	XML_ParserFree(x.expat);
	buf_clear(&x.path);
	buf_clear(&x.text);
	return x.err;
}

/* How one character is written, or NULL: as it is. */
static const char *escape_of(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&apos;";
	/* Parsers turn a bare CR into LF, and blanks may be trimmed. */
	case '\r':
		return "&#13;";
	case '\n':
		return "&#10;";
	case '\t':
		return "&#9;";
	default:
		return NULL;
	}
}

/* U+FFFE and U+FFFF are no XML characters. */
static bool is_nonchar(const char *s)
{
	return memcmp(s, "\xef\xbf\xbe", 3) == 0 ||
	       memcmp(s, "\xef\xbf\xbf", 3) == 0;
}

int xml_add_text(struct buf *b, const char *s, size_t n)
{
	size_t before = b->len, i, len;
	int r = buf_add(b, "", 0);

	for (i = 0; i < n && r == 0; i += len) {
		const char *esc = escape_of(s[i]);

		len = text_utf8_len(s + i, n - i);
		if (esc)
			r = buf_add(b, esc, strlen(esc));
		else if (len == 0 || (unsigned char)s[i] < 0x20 ||
			 (len == 3 && is_nonchar(s + i)))
			r = -EINVAL;
		else
			r = buf_add(b, s + i, len);
	}
	if (r < 0)
		cut(b, before);
	return r;
}
