/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON of any bytes, as the answer of a daemon: what is printed of it orders a
 * terminal to do nothing.  And any bytes as a string, there and back.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>

#include "ckptfs/buf.h"
#include "ckptfs/json.h"
#include "ckptfs/text.h"

#include "cli/status.h"
#include "fuzz.h"

static void require_harmless(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		FUZZ_REQUIRE((!iscntrl((unsigned char)s[i]) || s[i] == '\n') &&
				     !(i + 1 < n &&
				       (unsigned char)s[i] == 0xc2 &&
				       (unsigned char)s[i + 1] < 0xa0),
			     "byte %02x at %zu", (unsigned char)s[i], i);
}

static int walk(void *arg, const char *name, const struct json *j)
{
	unsigned *depth = arg;
	int64_t v;
	size_t i;

	(void)name;
	(void)json_as_str(j);
	(void)!json_as_int(j, &v);
	++*depth;
	for (i = 0; i < json_len(j); i++)
		(void)walk(depth, NULL, json_at(j, i));
	(void)json_each(j, walk, depth);
	--*depth;
	return 0;
}

static void print(const struct json *j)
{
	char line[STATUS_LINE_MAX], *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		abort();
	status_print(f, j, 3);
	status_print_path(f, j);
	status_print_missing(f, j);
	status_print_refused(f, j);
	status_print_bulk(f, "evicted", j);
	if (fclose(f) != 0)
		abort();
	require_harmless(text, n);
	free(text);
	status_progress_line(j, line);
	require_harmless(line, strlen(line));
	FUZZ_REQUIRE(!strchr(line, '\n'), "%s", line);
}

static bool is_utf8(const char *s)
{
	size_t n = strlen(s), len;

	for (; n > 0; s += len, n -= len) {
		len = text_utf8_len(s, n);
		if (len == 0)
			return false;
	}
	return true;
}

static void there_and_back(const struct fuzz_in *in)
{
	struct buf b = BUF_INIT(SIZE_MAX);
	struct json_w w = JSON_W_INIT(&b);
	char *text = fuzz_text(in);
	struct json *j = NULL;
	const char *got;

	json_w_object(&w, NULL);
	json_w_str(&w, "a", text);
	json_w_close(&w);
	if (json_w_end(&w) < 0)
		abort();
	FUZZ_REQUIRE(!strchr(b.p, '\n'), "two lines: %s", b.p);
	FUZZ_REQUIRE(json_parse(b.p, b.len, &j) == 0, "%s", b.p);
	got = json_get_str(j, "a");
	FUZZ_REQUIRE(got && (!is_utf8(text) || strcmp(got, text) == 0), "%s",
		     b.p);
	json_free(j);
	free(text);
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	struct json *j = NULL;
	unsigned depth = 0;
	int r = json_parse(data, n, &j);

	FUZZ_REQUIRE(r == 0 || r == -EBADMSG, "it is %d", r);
	if (r == 0) {
		(void)walk(&depth, NULL, j);
		print(j);
	}
	json_free(j);
	there_and_back(&in);
	return 0;
}
