/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <assert.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/json.h"

#include "util/escape.h"

#define DEPTH_MAX 64

static void put(struct json_w *w, const char *s, size_t n)
{
	if (w->err == 0)
		w->err = buf_add(w->b, s, n);
}

static void put_quoted(struct json_w *w, const char *s)
{
	size_t left = strlen(s), n;
	char esc[ESCAPE_LEN];

	put(w, "\"", 1);
	for (; left > 0; s += n, left -= n) {
		n = escape_char(s, left, true, esc);
		put(w, esc[0] ? esc : s, esc[0] ? strlen(esc) : n);
	}
	put(w, "\"", 1);
}

static bool in_object(const struct json_w *w)
{
	return w->depth > 0 && (w->is_object >> (w->depth - 1) & 1);
}

static void begin_value(struct json_w *w, const char *name)
{
	assert(in_object(w) == (name != NULL));
	if (w->comma)
		put(w, ",", 1);
	w->comma = true;
	if (name) {
		put_quoted(w, name);
		put(w, ":", 1);
	}
}

static void open_level(struct json_w *w, const char *name, bool object)
{
	begin_value(w, name);
	assert(w->depth < DEPTH_MAX);
	w->is_object &= ~(UINT64_C(1) << w->depth);
	w->is_object |= (uint64_t)object << w->depth;
	w->depth++;
	w->comma = false;
	put(w, object ? "{" : "[", 1);
}

void json_w_object(struct json_w *w, const char *name)
{
	open_level(w, name, true);
}

void json_w_array(struct json_w *w, const char *name)
{
	open_level(w, name, false);
}

void json_w_close(struct json_w *w)
{
	assert(w->depth > 0);
	put(w, in_object(w) ? "}" : "]", 1);
	w->depth--;
	w->comma = true;
}

void json_w_str(struct json_w *w, const char *name, const char *value)
{
	begin_value(w, name);
	if (value)
		put_quoted(w, value);
	else
		put(w, "null", 4);
}

void json_w_int(struct json_w *w, const char *name, int64_t value)
{
	begin_value(w, name);
	if (w->err == 0)
		w->err = buf_addf(w->b, "%lld", (long long)value);
}

void json_w_u64(struct json_w *w, const char *name, uint64_t value)
{
	begin_value(w, name);
	if (w->err == 0)
		w->err = buf_addf(w->b, "%llu", (unsigned long long)value);
}

void json_w_bool(struct json_w *w, const char *name, bool value)
{
	begin_value(w, name);
	put(w, value ? "true" : "false", value ? 4 : 5);
}

int json_w_end(struct json_w *w)
{
	assert(w->depth == 0);
	return w->err;
}
