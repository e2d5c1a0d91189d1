/* SPDX-License-Identifier: Apache-2.0 */
/* XML of any bytes; and any bytes as the text of an element, there and back. */
#include "config.h"

#include <errno.h>

#include "ckptfs/buf.h"
#include "ckptfs/text.h"
#include "ckptfs/xml.h"
#include "store/s3.h"

#include "fuzz.h"

#define TEXT_MOST (64U << 10) /* xml.h */

struct seen {
	unsigned calls, stop_at;
	char *text; /* the last */
};

static void require_utf8(const char *s)
{
	size_t n = strlen(s), len;

	for (; n > 0; s += len, n -= len) {
		len = text_utf8_len(s, n);
		FUZZ_REQUIRE(len > 0, "byte %02x", (unsigned char)*s);
	}
}

static int one_more(struct seen *s, const char *path)
{
	unsigned depth = 1;

	require_utf8(path);
	for (; *path; path++)
		depth += *path == '/';
	FUZZ_REQUIRE(depth <= 32, "%u levels", depth);
	return ++s->calls == s->stop_at ? -EDOM : 0;
}

static int on_leaf(void *arg, const char *path, const char *text)
{
	struct seen *s = arg;

	require_utf8(text);
	free(s->text);
	s->text = strdup(text);
	return one_more(s, path);
}

static int on_end(void *arg, const char *path)
{
	return one_more(arg, path);
}

static void parse(const uint8_t *data, size_t n, unsigned stop_at)
{
	struct seen s = { .stop_at = stop_at };
	struct xml_handler h = { on_leaf, on_end, &s };
	int r = xml_parse(data, n, &h);

	FUZZ_REQUIRE(r == 0 || r == -EBADMSG || (r == -EDOM && stop_at),
		     "it is %d", r);
	FUZZ_REQUIRE(r != -EDOM || s.calls == stop_at, "called again");
	free(s.text);
}

static void there_and_back(const uint8_t *data, size_t n)
{
	struct buf b = BUF_INIT(SIZE_MAX);
	struct seen s = { .calls = 0 };
	struct xml_handler h = { on_leaf, on_end, &s };
	int r;

	if (buf_addf(&b, "<a>") < 0)
		abort();
	r = xml_add_text(&b, (const char *)data, n);
	FUZZ_REQUIRE(r == 0 || r == -EINVAL, "it is %d", r);
	if (r == 0 && n <= TEXT_MOST) {
		if (buf_addf(&b, "</a>") < 0)
			abort();
		r = xml_parse(b.p, b.len, &h);
		FUZZ_REQUIRE(r == 0, "it is %d", r);
		FUZZ_REQUIRE(strlen(s.text) == n &&
				     memcmp(s.text, data, n) == 0,
			     "\"%s\"", s.text);
	}
	free(s.text);
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct s3_error e;

	parse(data, n, 0);
	parse(data, n, 1 + (unsigned)(n % 7));
	there_and_back(data, n);
	(void)s3_error_parse(data, n, &e);
	FUZZ_REQUIRE(strnlen(e.code, sizeof(e.code)) < sizeof(e.code) &&
			     strnlen(e.message, sizeof(e.message)) <
				     sizeof(e.message) &&
			     strnlen(e.region, sizeof(e.region)) <
				     sizeof(e.region),
		     "no end");
	return 0;
}
