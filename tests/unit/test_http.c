/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/http.h"

#include "harness.h"
#include "httpd.h"

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static struct httpd *server;
static struct http *h;
static struct http_resp resp;
static char url[128];

static void begin(const struct httpd_reply *script, size_t n,
		  const struct http_opts *opts)
{
	static const struct http_opts none;

	server = httpd_start(script, n);
	ck_assert_int_eq(http_new(opts ? opts : &none, &h), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/a/../b//c%%20d?x",
		 httpd_port(server));
}

static void finish(void)
{
	http_resp_clear(&resp);
	http_free(h);
	httpd_stop(server);
}

static int perform(const char *method, const struct http_body *body)
{
	struct http_req req = { .method = method, .url = url, .body = body };

	return http_perform(h, &req, &resp);
}

/* A body whose byte at i is i * 7. */
struct pattern {
	uint64_t calls, fail_at;
	ssize_t err;
};

static ssize_t read_pattern(void *arg, uint64_t off, void *p, size_t n)
{
	struct pattern *t = arg;
	unsigned char *c = p;
	size_t i;

	t->calls++;
	if (t->err && off + n > t->fail_at)
		return t->err;
	for (i = 0; i < n; i++)
		c[i] = (unsigned char)((off + i) * 7);
	return (ssize_t)n;
}

static void assert_body(unsigned i, size_t len)
{
	size_t n, k;
	const char *q = httpd_request(server, i, &n);
	const char *b = strstr(q, "\r\n\r\n") + 4;

	ck_assert_uint_eq(n - (size_t)(b - q), len);
	for (k = 0; k < len; k++)
		if ((unsigned char)b[k] != (unsigned char)(k * 7))
			break;
	ck_assert_uint_eq(k, len); /* each ck_assert writes to a pipe */
}

struct sunk {
	size_t n;
	int ret;
	char first[16];
};

static int sink(void *arg, const void *p, size_t n)
{
	struct sunk *s = arg;

	if (s->n < sizeof(s->first)) {
		size_t k = sizeof(s->first) - s->n;

		memcpy(s->first + s->n, p, n < k ? n : k);
	}
	s->n += n;
	return s->ret;
}

START_TEST(the_path_goes_out_as_it_is_and_nothing_is_added)
{
	struct httpd_reply script[] = { { .text = OK_EMPTY } };
	const char *q;

	begin(script, 1, NULL);
	ck_assert_int_eq(perform("GET", NULL), 0);
	ck_assert_int_eq(resp.status, 200);
	ck_assert(!resp.resent);
	q = httpd_request(server, 0, NULL);
	ck_assert(strncmp(q, "GET /a/../b//c%20d?x HTTP/1.1\r\n", 31) == 0);
	ck_assert_ptr_nonnull(
		strstr(q, "User-Agent: ckptfs/" PACKAGE_VERSION "\r\n"));
	ck_assert_ptr_null(strstr(q, "Accept-Encoding"));
	ck_assert_ptr_null(strstr(q, "Content-"));
	finish();
}
END_TEST

START_TEST(bodies_stream_without_a_type_or_an_expect)
{
	struct httpd_reply script[] = { { .text = OK_EMPTY },
					{ .text = OK_EMPTY },
					{ .text = OK_EMPTY } };
	struct pattern t = { 0 };
	struct http_body body = { read_pattern, &t, 3000000 };
	struct http_body empty = { read_pattern, &t, 0 };
	const char *q;

	begin(script, 3, NULL);
	ck_assert_int_eq(perform("PUT", &body), 0);
	ck_assert_int_eq(perform("POST", &empty), 0);
	ck_assert_int_eq(perform("DELETE", NULL), 0);
	assert_body(0, 3000000);
	ck_assert_uint_gt(t.calls, 1);
	q = httpd_request(server, 0, NULL);
	ck_assert_ptr_nonnull(strstr(q, "Content-Length: 3000000\r\n"));
	ck_assert_ptr_null(strstr(q, "Expect"));
	ck_assert_ptr_null(strstr(q, "Content-Type"));
	q = httpd_request(server, 1, NULL);
	ck_assert(strncmp(q, "POST ", 5) == 0);
	ck_assert_ptr_nonnull(strstr(q, "Content-Length: 0\r\n"));
	ck_assert_ptr_null(strstr(q, "Content-Type"));
	q = httpd_request(server, 2, NULL);
	ck_assert(strncmp(q, "DELETE ", 7) == 0);
	finish();
}
END_TEST

START_TEST(expect_is_sent_when_asked_and_a_refusal_spares_the_body)
{
	struct httpd_reply script[] = {
		{ .early = "HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n",
		  .text = OK_EMPTY },
		{ .early = "HTTP/1.1 412 No\r\nContent-Length: 0\r\n"
			   "Connection: close\r\n\r\n",
		  .then = HTTPD_CLOSE },
	};
	struct pattern t = { 0 };
	struct http_body body = { read_pattern, &t, 1000 };
	struct http_req req = { .method = "PUT",
				.body = &body,
				.expect_continue = true };

	begin(script, 2, NULL);
	req.url = url;
	ck_assert_int_eq(http_perform(h, &req, &resp), 0);
	assert_body(0, 1000);
	ck_assert_int_eq(resp.status, 200);
	ck_assert_ptr_null(http_resp_header(&resp, "x-early"));
	t.calls = 0;
	ck_assert_int_eq(http_perform(h, &req, &resp), 0);
	ck_assert_int_eq(resp.status, 412);
	ck_assert_uint_eq(t.calls, 0);
	finish();
}
END_TEST

START_TEST(headers_are_found_by_name)
{
	struct httpd_reply script[] = {
		{ .text = "HTTP/1.1 404 Not Found\r\nETag: \"x y\" \r\n"
			  "x-empty:\r\nX-Twice: one\r\nx-twice: two\r\n"
			  "Content-Length: 4\r\n\r\nbody" },
	};

	begin(script, 1, NULL);
	ck_assert_int_eq(perform("GET", NULL), 0);
	ck_assert_int_eq(resp.status, 404);
	ck_assert_str_eq(http_resp_header(&resp, "etag"), "\"x y\"");
	ck_assert_str_eq(http_resp_header(&resp, "X-EMPTY"), "");
	ck_assert_str_eq(http_resp_header(&resp, "x-twice"), "one");
	ck_assert_ptr_null(http_resp_header(&resp, "x-twic"));
	ck_assert_ptr_null(http_resp_header(&resp, "one"));
	ck_assert_str_eq(resp.body.p, "body");
	finish();
}
END_TEST

START_TEST(request_headers_cannot_smuggle)
{
	static const struct http_header bad[] = { { "x", "a\r\nb: c" },
						  { "x\n", "a" },
						  { "x:y", "a" } };
	struct httpd_reply script[] = { { .text = OK_EMPTY } };
	struct http_header good[] = { { "x-a", "1  2" }, { "x-b", "" } };
	struct http_req req = { .method = "GET", .nheaders = 1 };
	const char *q;
	size_t i;

	begin(script, 1, NULL);
	req.url = url;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		req.headers = &bad[i];
		ck_assert_int_eq(http_perform(h, &req, &resp), -EINVAL);
	}
	req.headers = good;
	req.nheaders = 2;
	ck_assert_int_eq(http_perform(h, &req, &resp), 0);
	q = httpd_request(server, 0, NULL);
	ck_assert_ptr_nonnull(strstr(q, "x-a: 1  2\r\n"));
	ck_assert_ptr_nonnull(strstr(q, "x-b:\r\n"));
	finish();
}
END_TEST

START_TEST(a_success_goes_to_the_sink_and_an_error_to_the_buffer)
{
	struct httpd_reply script[] = {
		{ .text = "HTTP/1.1 206 P\r\nContent-Length: 5\r\n\r\nhello" },
		{ .text = "HTTP/1.1 503 P\r\nContent-Length: 5\r\n\r\nsorry" },
		{ .text = "HTTP/1.1 206 P\r\nContent-Length: 5\r\n\r\nhello",
		  .then = HTTPD_CLOSE },
		{ .text = "HTTP/1.1 206 P\r\nContent-Length: 5\r\n\r\nhello",
		  .then = HTTPD_CLOSE },
	};
	struct sunk s = { 0 };
	struct http_req req = { .method = "GET", .sink = sink, .sink_arg = &s };

	begin(script, 4, NULL);
	req.url = url;
	ck_assert_int_eq(http_perform(h, &req, &resp), 0);
	ck_assert_uint_eq(s.n, 5);
	ck_assert_uint_eq(resp.nread, 5);
	ck_assert_uint_eq(resp.body.len, 0);
	ck_assert(memcmp(s.first, "hello", 5) == 0);
	ck_assert_int_eq(http_perform(h, &req, &resp), 0);
	ck_assert_uint_eq(s.n, 5);
	ck_assert_str_eq(resp.body.p, "sorry");
	s.ret = -ENOSPC;
	ck_assert_int_eq(http_perform(h, &req, &resp), -EIO);
	s.ret = -ECANCELED;
	ck_assert_int_eq(http_perform(h, &req, &resp), -ECANCELED);
	finish();
}
END_TEST

START_TEST(a_long_error_is_cut_and_a_long_success_refused)
{
	struct httpd_reply script[] = {
		{ .text = "HTTP/1.1 500 E\r\nContent-Length: 9\r\n\r\n"
			  "123456789" },
		{ .text = "HTTP/1.1 200 O\r\nContent-Length: 9\r\n\r\n"
			  "123456789",
		  .then = HTTPD_CLOSE },
	};
	struct http_req req = { .method = "GET", .body_max = 4 };

	begin(script, 2, NULL);
	req.url = url;
	ck_assert_int_eq(http_perform(h, &req, &resp), 0);
	ck_assert_str_eq(resp.body.p, "1234");
	ck_assert_uint_eq(resp.nread, 9);
	ck_assert_int_eq(http_perform(h, &req, &resp), -EPROTO);
	finish();
}
END_TEST

START_TEST(headers_without_end_are_refused)
{
	size_t n = 128 * 1024, at, i;
	char *text = malloc(n);
	struct httpd_reply script[] = { { .text = text, .then = HTTPD_CLOSE } };

	at = (size_t)snprintf(text, n, "HTTP/1.1 200 OK\r\n");
	for (i = 0; at < n - 64; i++)
		at += (size_t)snprintf(text + at, n - at, "x-%zu: %050d\r\n", i,
				       0);
	snprintf(text + at, n - at, "Content-Length: 0\r\n\r\n");
	begin(script, 1, NULL);
	ck_assert_int_eq(perform("GET", NULL), -EPROTO);
	finish();
	free(text);
}
END_TEST

START_TEST(an_answer_cut_short_is_a_broken_connection)
{
	struct httpd_reply script[] = {
		{ .text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12",
		  .then = HTTPD_CLOSE },
		{ .text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
			  "\r\n5\r\nab",
		  .then = HTTPD_CLOSE },
		{ .text = "HTTP/1.1 200 OK\r\nContent-", .then = HTTPD_CLOSE },
		{ .text = NULL, .then = HTTPD_CLOSE },
	};
	size_t i;

	begin(script, ARRAY_SIZE(script), NULL);
	for (i = 0; i < ARRAY_SIZE(script); i++) {
		ck_assert_int_eq(perform("GET", NULL), -ENETUNREACH);
		ck_assert_str_ne(resp.why, "");
	}
	finish();
}
END_TEST

START_TEST(what_is_not_http_is_a_protocol_error)
{
	struct httpd_reply script[] = { { .text = "SSH-2.0-x\r\n\r\n",
					  .then = HTTPD_CLOSE } };

	begin(script, 1, NULL);
	ck_assert_int_eq(perform("GET", NULL), -EPROTO);
	finish();
}
END_TEST

START_TEST(a_stale_connection_is_replaced_and_the_body_sent_again)
{
	struct httpd_reply script[] = { { .text = OK_EMPTY },
					{ .text = NULL, .then = HTTPD_CLOSE },
					{ .text = OK_EMPTY } };
	struct pattern t = { 0 };
	struct http_body body = { read_pattern, &t, 100000 };

	begin(script, 3, NULL);
	ck_assert_int_eq(perform("GET", NULL), 0);
	ck_assert_int_eq(perform("PUT", &body), 0);
	ck_assert_int_eq(resp.status, 200);
	ck_assert(resp.resent);
	assert_body(1, 100000);
	assert_body(2, 100000);
	finish();
}
END_TEST

START_TEST(what_may_go_out_once_is_not_sent_again)
{
	struct httpd_reply script[] = { { .text = OK_EMPTY },
					{ .text = NULL, .then = HTTPD_CLOSE },
					{ .text = OK_EMPTY } };
	struct http_req req = { .method = "POST", .url = url, .once = true };

	begin(script, 3, NULL);
	ck_assert_int_eq(perform("GET", NULL), 0);
	ck_assert_int_eq(http_perform(h, &req, &resp), -ENETUNREACH);
	ck_assert_str_ne(resp.why, "");
	ck_assert(!resp.resent);
	ck_assert_uint_eq(httpd_count(server), 2);
	ck_assert_int_eq(http_perform(h, &req, &resp), 0);
	finish();
}
END_TEST

START_TEST(a_failing_source_ends_the_request)
{
	struct httpd_reply script[] = { { .text = OK_EMPTY },
					{ .text = OK_EMPTY } };
	struct pattern t = { .fail_at = 500000, .err = -ENODATA };
	struct http_body body = { read_pattern, &t, 1000000 };

	begin(script, 2, NULL);
	ck_assert_int_eq(perform("PUT", &body), -EIO);
	t.err = -ECANCELED;
	ck_assert_int_eq(perform("PUT", &body), -ECANCELED);
	t.err = 1; /* short */
	ck_assert_int_eq(perform("PUT", &body), -EIO);
	finish();
}
END_TEST

static void *cancel_when_asked(void *arg)
{
	httpd_wait(server, 0);
	http_cancel_all(h);
	return NULL;
}

START_TEST(cancel_ends_what_runs_and_what_comes)
{
	struct httpd_reply script[] = { { .then = HTTPD_HANG } };
	pthread_t t;

	begin(script, 1, NULL);
	ck_assert_int_eq(pthread_create(&t, NULL, cancel_when_asked, NULL), 0);
	ck_assert_int_eq(perform("GET", NULL), -ECANCELED);
	pthread_join(t, NULL);
	ck_assert_int_eq(perform("GET", NULL), -ECANCELED);
	ck_assert_uint_eq(httpd_count(server), 1);
	finish();
}
END_TEST

START_TEST(f44_silence_times_out)
{
	struct httpd_reply script[] = { { .then = HTTPD_HANG },
					{ .then = HTTPD_HANG } };
	struct http_opts opts = { .low_speed_s = 1 };
	struct http_req req = { .method = "GET",
				.timeout_ms = 20,
				.quiet_s = 60 };

	begin(script, 2, &opts);
	req.url = url;
	ck_assert_int_eq(perform("GET", NULL), -ETIMEDOUT);
	ck_assert_int_eq(http_perform(h, &req, &resp), -ETIMEDOUT);
	finish();
}
END_TEST

START_TEST(nobody_there_is_unreachable_and_nonsense_is_invalid)
{
	struct httpd_reply script[] = { { .text = OK_EMPTY } };
	unsigned port;

	begin(script, 1, NULL);
	port = httpd_port(server);
	httpd_stop(server);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	ck_assert_int_eq(perform("GET", NULL), -ENETUNREACH);
	snprintf(url, sizeof(url), "file:///etc/passwd");
	ck_assert_int_eq(perform("GET", NULL), -EINVAL);
	snprintf(url, sizeof(url), "http://");
	ck_assert_int_eq(perform("GET", NULL), -EINVAL);
	http_resp_clear(&resp);
	http_free(h);
}
END_TEST

START_TEST(redirects_are_answers)
{
	struct httpd_reply script[] = {
		{ .text = "HTTP/1.1 307 T\r\nLocation: http://127.0.0.1:1/\r\n"
			  "Content-Length: 0\r\n\r\n" }
	};

	begin(script, 1, NULL);
	ck_assert_int_eq(perform("GET", NULL), 0);
	ck_assert_int_eq(resp.status, 307);
	finish();
}
END_TEST

struct paced {
	uint64_t up, down;
	int64_t ret;
};

static int64_t pace(void *arg, bool upload, size_t n)
{
	struct paced *p = arg;

	*(upload ? &p->up : &p->down) += n;
	return p->ret;
}

START_TEST(the_pacer_sees_every_byte)
{
	struct httpd_reply script[] = {
		{ .text = "HTTP/1.1 200 OK\r\nContent-Length: "
			  "5\r\n\r\nhello" }
	};
	struct paced p = { 0 };
	struct http_opts opts = { .pace = pace, .pace_arg = &p };
	struct pattern t = { 0 };
	struct http_body body = { read_pattern, &t, 12345 };

	begin(script, 1, &opts);
	ck_assert_int_eq(perform("PUT", &body), 0);
	ck_assert_uint_eq(p.up, 12345);
	ck_assert_uint_eq(p.down, 5);
	p.ret = -ECANCELED;
	ck_assert_int_eq(perform("PUT", &body), -ECANCELED);
	finish();
}
END_TEST

/* What only this machine reaches is not asked for by others, who would learn
 * the secrets it has. */
START_TEST(a_direct_request_passes_no_proxy)
{
	static const struct httpd_reply script[] = { { .text = OK_EMPTY } };
	struct http_req req = { .method = "GET" };

	begin(script, ARRAY_SIZE(script), NULL);
	req.url = url;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	ck_assert_int_eq(http_perform(h, &req, &resp), -ENETUNREACH);
	req.is_direct = true;
	ck_assert_int_eq(http_perform(h, &req, &resp), 0);
	ck_assert_int_eq(resp.status, 200);
	unsetenv("http_proxy");
	finish();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, a_direct_request_passes_no_proxy);
	tcase_add_test(c, the_path_goes_out_as_it_is_and_nothing_is_added);
	tcase_add_test(c, bodies_stream_without_a_type_or_an_expect);
	tcase_add_test(c,
		       expect_is_sent_when_asked_and_a_refusal_spares_the_body);
	tcase_add_test(c, headers_are_found_by_name);
	tcase_add_test(c, request_headers_cannot_smuggle);
	tcase_add_test(c,
		       a_success_goes_to_the_sink_and_an_error_to_the_buffer);
	tcase_add_test(c, a_long_error_is_cut_and_a_long_success_refused);
	tcase_add_test(c, headers_without_end_are_refused);
	tcase_add_test(c, an_answer_cut_short_is_a_broken_connection);
	tcase_add_test(c, what_is_not_http_is_a_protocol_error);
	tcase_add_test(c,
		       a_stale_connection_is_replaced_and_the_body_sent_again);
	tcase_add_test(c, what_may_go_out_once_is_not_sent_again);
	tcase_add_test(c, a_failing_source_ends_the_request);
	tcase_add_test(c, cancel_ends_what_runs_and_what_comes);
	tcase_add_test(c, f44_silence_times_out);
	tcase_add_test(c, nobody_there_is_unreachable_and_nonsense_is_invalid);
	tcase_add_test(c, redirects_are_answers);
	tcase_add_test(c, the_pacer_sees_every_byte);
}

int main(void)
{
	return harness_run("http", add);
}
