/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/cred.h"

#include "s3_fake.h"

struct httpd *server;
static struct http *http;
static struct cred_chain *creds;
struct store *s;
static unsigned fetched;

static int64_t fake_now(const struct clk *c)
{
	return THEN;
}

static const struct clk clk = { fake_now, fake_now };

/* Each time a new key: key1, key2. */
static int fetch(struct cred_source *src, char why[CRED_WHY_MAX],
		 struct cred **ret)
{
	char key[16];

	snprintf(key, sizeof(key), "key%u", ++fetched);
	return cred_new(key, "secret", "token", INT64_MAX, ret);
}

static void free_source(struct cred_source *src)
{
}

static void start(const char *url, const char *bucket)
{
	static const struct cred_source_ops ops = { .fetch = fetch,
						    .free = free_source };
	static const struct http_opts plain;
	static struct cred_source source = { &ops };
	struct store_s3_opts o = { .bucket = bucket, .clk = &clk };

	fetched = 0;
	o.endpoint_url = url;
	o.path_style = strcmp(bucket, "bkt") == 0;
	ck_assert_int_eq(http_new(&plain, &http), 0);
	ck_assert_int_eq(cred_chain_new(&source, &clk, &creds), 0);
	o.http = http;
	o.creds = creds;
	ck_assert_int_eq(store_s3_new(&o, &s), 0);
	((struct s3 *)s)->has_crc = true;
	((struct s3 *)s)->has_crc_parts = true;
	s->caps = STORE_CAP_PUT_COND | STORE_CAP_DEL_COND | STORE_CAP_COPY;
}

void begin(const struct httpd_reply *script, size_t n)
{
	char url[64];

	server = httpd_start(script, n);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", httpd_port(server));
	start(url, "bkt");
}

static void begin_behind(const struct httpd_reply *script, size_t n,
			 const char *bucket)
{
	char proxy[64];

	server = httpd_start(script, n);
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u",
		 httpd_port(server));
	ck_assert_int_eq(setenv("http_proxy", proxy, 1), 0);
	start(NULL, bucket);
	strcpy(((struct s3 *)s)->where.scheme, "http"); /* to be read by it */
}

void begin_as_amazon(const struct httpd_reply *script, size_t n)
{
	begin_behind(script, n, "bkt");
}

void begin_as_directory(const struct httpd_reply *script, size_t n)
{
	begin_behind(script, n, "bkt--use1-az4--x-s3");
}

void finish(void)
{
	store_free(s);
	cred_chain_free(creds);
	http_free(http);
	httpd_stop(server);
}

struct httpd_reply answer(const char *status, const char *headers,
			  const char *body)
{
	static char ring[10][8192];
	static unsigned next;
	char *p = ring[next++ % 10];

	snprintf(p, sizeof(ring[0]),
		 "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status,
		 headers, strlen(body), body);
	return (struct httpd_reply){ .text = p };
}

struct httpd_reply error(const char *status, const char *headers,
			 const char *code)
{
	char body[512];

	snprintf(body, sizeof(body),
		 "<?xml version=\"1.0\"?><Error><Code>%s</Code>"
		 "<Message>because</Message><Region>eu-x-1</Region></Error>",
		 code);
	return answer(status, headers, body);
}

bool asked(unsigned i, const char *text)
{
	return strstr(httpd_request(server, i, NULL), text) != NULL;
}

ssize_t read_a(void *arg, uint64_t off, void *p, size_t n)
{
	memset(p, 'a', n);
	return (ssize_t)n;
}

int put(const struct store_cond *cond, struct store_obj *o)
{
	struct store_src src = { .read = read_a, .len = 10 };
	struct store_meta meta = { .write_id = "w1" };

	return store_put(s, "k", &src, &meta, cond, o);
}
