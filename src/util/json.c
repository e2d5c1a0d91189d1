/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <jansson.h>

#include "ckptfs/json.h"
#include "ckptfs/text.h"

/* struct json is never completed: it is the library's value. */
static const json_t *in(const struct json *j)
{
	return (const void *)j;
}

static const struct json *out(const json_t *j)
{
	return (const void *)j;
}

int json_parse(const void *p, size_t n, struct json **ret)
{
	json_error_t e;
	json_t *j = json_loadb(p, n, JSON_REJECT_DUPLICATES, &e);

	if (!j)
		return json_error_code(&e) == json_error_out_of_memory
			       ? -ENOMEM
			       : -EBADMSG;
	*ret = (struct json *)j;
	return 0;
}

void json_free(struct json *j)
{
	json_decref((json_t *)j);
}

const struct json *json_get(const struct json *j, const char *name)
{
	return out(json_object_get(in(j), name));
}

const char *json_as_str(const struct json *j)
{
	return json_string_value(in(j));
}

const char *json_get_str(const struct json *j, const char *name)
{
	return json_as_str(json_get(j, name));
}

int json_as_int(const struct json *j, int64_t *ret)
{
	const json_t *v = in(j);
	uint64_t n;

	if (!v || json_is_null(v))
		return -ENOENT;
	if (json_is_integer(v)) {
		*ret = json_integer_value(v);
		return 0;
	}
	if (!json_is_string(v) ||
	    text_parse_u64(json_string_value(v), &n) < 0 || n > INT64_MAX)
		return -EINVAL;
	*ret = (int64_t)n;
	return 0;
}

int json_get_int(const struct json *j, const char *name, int64_t *ret)
{
	return json_as_int(json_get(j, name), ret);
}

int json_get_bool(const struct json *j, const char *name, bool *ret)
{
	const json_t *v = in(json_get(j, name));

	if (!v || json_is_null(v))
		return -ENOENT;
	if (!json_is_boolean(v))
		return -EINVAL;
	*ret = json_is_true(v);
	return 0;
}

size_t json_len(const struct json *j)
{
	return json_array_size(in(j));
}

const struct json *json_at(const struct json *j, size_t i)
{
	return out(json_array_get(in(j), i));
}

int json_each(const struct json *j, json_each_fn *fn, void *arg)
{
	/* The library's iterators want a tree they could change. */
	json_t *o = (json_t *)(uintptr_t)j;
	void *it;
	int r;

	for (it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
		r = fn(arg, json_object_iter_key(it),
		       out(json_object_iter_value(it)));
		if (r != 0)
			return r;
	}
	return 0;
}
