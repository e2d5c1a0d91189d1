/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "http_priv.h"

#define BUFFER_BYTES (256L * 1024)
#define TRICKLE 128 /* bytes per second; who sends less does harm */

int http_pace(struct http_call *call, bool upload, size_t n)
{
	const struct http_opts *o = &call->h->opts;
	int64_t r;

	if (atomic_load(&call->h->cancelled))
		return -ECANCELED;
	r = o->pace ? o->pace(o->pace_arg, upload, n) : 0;
	if (r >= 0)
		return 0;
	return r == -ECANCELED ? -ECANCELED : -EIO;
}

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;
	const struct http_body *body = call->req->body;
	uint64_t left = body->len - call->off;
	ssize_t got;

	n *= size;
	if (n > left)
		n = (size_t)left;
	if (n == 0)
		return 0;
	call->err = http_pace(call, true, n);
	if (call->err)
		return CURL_READFUNC_ABORT;
	got = body->read(body->arg, call->off, p, n);
	if (got != (ssize_t)n) {
		call->err = got == -ECANCELED ? -ECANCELED : -EIO;
		return CURL_READFUNC_ABORT;
	}
	call->off += n;
	return n;
}

static int on_seek(void *arg, curl_off_t off, int origin)
{
	struct http_call *call = arg;

	if (origin != SEEK_SET || off < 0 ||
	    (uint64_t)off > call->req->body->len)
		return CURL_SEEKFUNC_CANTSEEK;
	call->off = (uint64_t)off;
	return CURL_SEEKFUNC_OK;
}

/* Called each time the request is about to go out over a connection. */
static int on_begin(void *arg, char *primary, char *local, int primary_port,
		    int local_port)
{
	struct http_call *call = arg;

	if (call->req->once && call->begun) {
		call->err = -ENETUNREACH;
		return CURL_PREREQFUNC_ABORT;
	}
	call->begun++;
	return CURL_PREREQFUNC_OK;
}

static bool is_clean(const char *s)
{
	return strpbrk(s, "\r\n") == NULL;
}

static int add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int add_header(struct curl_slist **list, const struct http_header *h)
{
	struct buf line = BUF_INIT(HTTP_HEADERS_MAX);
	int r;

	if (!is_clean(h->name) || !is_clean(h->value) || strchr(h->name, ':'))
		return -EINVAL;
	/* libcurl drops a header without a value unless it ends so. */
	if (*h->value)
		r = buf_addf(&line, "%s: %s", h->name, h->value);
	else
		r = buf_addf(&line, "%s;", h->name);
	if (r == 0)
		r = add_line(list, line.p);
	buf_clear(&line);
	return r == -EMSGSIZE ? -EINVAL : r;
}

static int set_headers(CURL *easy, const struct http_req *req,
		       struct curl_slist **ret)
{
	size_t i;
	int r = 0;

	for (i = 0; i < req->nheaders && r == 0; i++)
		r = add_header(ret, &req->headers[i]);
	/* By itself libcurl waits a second for servers that know no 100. */
	if (r == 0)
		r = add_line(ret, req->expect_continue ? "Expect: 100-continue"
						       : "Expect:");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *ret);
	return r;
}

/* CURLOPT_POST would add a content type; UPLOAD under another name does not. */
static void set_method(CURL *easy, struct http_call *call)
{
	const struct http_req *req = call->req;

	if (req->body) {
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
				 (curl_off_t)req->body->len);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(easy, CURLOPT_READDATA, call);
		curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(easy, CURLOPT_SEEKDATA, call);
	} else if (strcmp(req->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
		return;
	} else {
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
}

static void set_limits(CURL *easy, const struct http_opts *o,
		       const struct http_req *req)
{
	/* A server may be at work for long, but then it is silent. */
	unsigned least = req->quiet_s ? 1 : TRICKLE;
	unsigned bytes = o->low_speed_bytes ? o->low_speed_bytes : least;
	unsigned secs = o->low_speed_s ? o->low_speed_s : 30;
	unsigned connect =
		o->connect_timeout_ms ? o->connect_timeout_ms : 10000;

	if (req->quiet_s > secs)
		secs = req->quiet_s;
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)bytes);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)secs);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
}

static void set_transport(CURL *easy, const struct http *h)
{
	curl_easy_setopt(easy, CURLOPT_SHARE, h->share);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	/* One h2 connection carries less than several of HTTP/1.1. */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION,
			 (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER,
			 h->opts.no_verify ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST,
			 h->opts.no_verify ? 0L : 2L);
	if (h->ca_bundle)
		curl_easy_setopt(easy, CURLOPT_CAINFO, h->ca_bundle);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "ckptfs/" PACKAGE_VERSION);
	/* Spread over the addresses of a name, and ask for new ones. */
	curl_easy_setopt(easy, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 20L);
	curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, 300L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
}

int http_setup(CURL *easy, struct http_call *call, struct curl_slist **ret_list)
{
	curl_easy_reset(easy);
	set_transport(easy, call->h);
	set_limits(easy, &call->h->opts, call->req);
	set_method(easy, call);
	if (call->req->is_direct)
		curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->errbuf);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_begin);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_on_data);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	if (curl_easy_setopt(easy, CURLOPT_URL, call->req->url) != CURLE_OK)
		return -ENOMEM;
	return set_headers(easy, call->req, ret_list);
}
