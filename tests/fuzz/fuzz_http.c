/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of an answer, line by line as libcurl gives them; and what stands
 * in them: dates, numbers, checksums, metadata.  What is read is what would be
 * written.
 */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "ckptfs/clock.h"
#include "ckptfs/text.h"
#include "http/http_priv.h"
#include "store/s3.h"

#include "fuzz.h"

static void require_value(const char *v)
{
	size_t n = v ? strlen(v) : 0;

	FUZZ_REQUIRE(n == 0 || (v[0] != ' ' && v[n - 1] != ' ' &&
				v[n - 1] != '\r' && v[n - 1] != '\n'),
		     "blanks around \"%s\"", v);
}

static void headers(struct fuzz_in in)
{
	struct http_resp resp = { .headers = BUF_INIT(HTTP_HEADERS_MAX) };
	struct http_call call = { .resp = &resp };
	struct store_obj obj;

	while (in.n > 0) {
		struct fuzz_in one = fuzz_until(&in, "\n");
		char *line = malloc(one.n + 1);

		if (!line)
			abort();
		memcpy(line, one.p, one.n);
		line[one.n] = '\n';
		if (http_on_header(line, 1, one.n + 1, &call) != one.n + 1) {
			FUZZ_REQUIRE(call.err == -EPROTO, "it is %d", call.err);
			in.n = 0;
		}
		free(line);
	}
	require_value(http_resp_header(&resp, "ETag"));
	require_value(http_resp_header(&resp, "Last-Modified"));
	require_value(http_resp_header(&resp, "x-amz-meta-mtime"));
	FUZZ_REQUIRE(resp.status >= 0 && resp.status <= 999, "%d", resp.status);
	if (s3_obj_of(&resp, &obj) == 0) {
		FUZZ_REQUIRE(obj.etag[0] && strnlen(obj.etag, STORE_ETAG_MAX) <
						    STORE_ETAG_MAX,
			     "no end");
		FUZZ_REQUIRE(!(obj.meta.mode & (S_ISUID | S_ISGID)), "%o",
			     obj.meta.mode);
	}
	http_resp_clear(&resp);
}

static void dates(const char *text, int64_t any_ns)
{
	char out[TEXT_DATE_LEN];
	int64_t ns = 1, again = 2, frac;

	if (text_parse_http_date(text, &ns) == 0) {
		text_http_date(ns, out);
		FUZZ_REQUIRE(text_parse_http_date(out, &again) == 0 &&
				     again == ns,
			     "%s is not %s", text, out);
	}
	if (text_parse_iso_date(text, &ns) == 0) {
		text_iso_date(ns, 9, out);
		FUZZ_REQUIRE(text_parse_iso_date(out, &again) == 0 &&
				     again == ns,
			     "%s is not %s", text, out);
	}
	/* The first second of all begins before what fits. */
	if (any_ns < INT64_MIN + NS_PER_S)
		return;
	text_iso_date(any_ns, 9, out);
	FUZZ_REQUIRE(text_parse_iso_date(out, &again) == 0 && again == any_ns,
		     "%lld is not %s", (long long)any_ns, out);
	text_http_date(any_ns, out);
	frac = any_ns % NS_PER_S;
	if (frac < 0)
		frac += NS_PER_S;
	FUZZ_REQUIRE(text_parse_http_date(out, &again) == 0 &&
			     again == any_ns - frac,
		     "%lld is not %s", (long long)any_ns, out);
	text_amz_date(any_ns, out);
	FUZZ_REQUIRE(strlen(out) == 16, "%s", out);
}

static void numbers(const char *text, uint64_t any)
{
	char out[TEXT_QTY_LEN], digits[24];
	uint64_t v;
	int64_t ns;

	if (text_parse_u64(text, &v) == 0)
		FUZZ_REQUIRE(strspn(text, "0123456789") == strlen(text), "%s",
			     text);
	(void)!text_parse_size(text, &v);
	if (text_parse_duration(text, &ns) == 0)
		FUZZ_REQUIRE(ns >= 0, "%s is negative", text);
	(void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)any);
	FUZZ_REQUIRE(text_parse_u64(digits, &v) == 0 && v == any, "%s", digits);
	text_size(any, out);
	text_duration((int64_t)any, out);
}

static void bytes(const struct fuzz_in *in, const char *text)
{
	struct buf enc = BUF_INIT(SIZE_MAX), dec = BUF_INIT(SIZE_MAX);
	char *b64 = malloc(TEXT_BASE64_LEN(in->n)), *back = malloc(in->n + 1);
	char etag[STORE_ETAG_MAX];
	uint64_t crc;
	uint32_t crc32;
	size_t n;

	if (!b64 || !back)
		abort();
	text_base64(in->p, in->n, b64);
	FUZZ_REQUIRE(text_unbase64(b64, back, in->n + 1, &n) == 0 &&
			     n == in->n && memcmp(back, in->p, n) == 0,
		     "%s", b64);
	(void)!text_unbase64(text, back, in->n + 1, &n);
	if (text_percent(&enc, (const char *)in->p, in->n, in->n % 2) ||
	    text_unpercent(&dec, enc.p, enc.len, false))
		abort();
	FUZZ_REQUIRE(dec.len == in->n && memcmp(dec.p, in->p, in->n) == 0, "%s",
		     enc.p);
	buf_clear(&dec);
	(void)!text_unpercent(&dec, text, strlen(text), true);
	if (s3_etag_decode(text, etag))
		FUZZ_REQUIRE(etag[0] && !strchr(etag, '"'), "%s", etag);
	(void)s3_crc64_decode(text, &crc);
	(void)s3_crc32c_decode(text, &crc32);
	buf_clear(&enc);
	buf_clear(&dec);
	free(b64);
	free(back);
}

static void metadata(const char *text)
{
	static const char *const names[] = { STORE_META_MTIME, STORE_META_MODE,
					     STORE_META_ID };
	struct store_meta m = { .has_mode = false }, again;
	struct store_meta_text t;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		store_meta_decode(names[i], text, &m);
	FUZZ_REQUIRE(!(m.mode & (S_ISUID | S_ISGID)), "%o", m.mode);
	FUZZ_REQUIRE(store_write_id_is_valid(m.write_id), "%s", m.write_id);
	store_meta_encode(&m, &t);
	memset(&again, 0, sizeof(again));
	store_meta_decode(STORE_META_MTIME, t.mtime, &again);
	store_meta_decode(STORE_META_MODE, t.mode, &again);
	FUZZ_REQUIRE(again.has_mtime == m.has_mtime &&
			     again.has_mode == m.has_mode &&
			     (!m.has_mtime || again.mtime_ns == m.mtime_ns) &&
			     (!m.has_mode || again.mode == m.mode),
		     "%s is not %s %s", text, t.mtime, t.mode);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n }, rest = in;
	char *text = fuzz_text(&in);
	uint64_t any = (uint64_t)fuzz_u32(&rest) << 32;

	any |= fuzz_u32(&rest);
	headers(in);
	dates(text, (int64_t)any);
	numbers(text, any);
	bytes(&in, text);
	metadata(text);
	free(text);
	return 0;
}
