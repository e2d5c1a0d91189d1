/* SPDX-License-Identifier: Apache-2.0 */
/* The token of a login: from its cache, and renewed into it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"
#include "ckptfs/hash.h"
#include "ckptfs/json.h"
#include "ckptfs/log.h"
#include "ckptfs/text.h"

#include "aws_priv.h"

#define LOG_MODULE "cred"

#define TIMEOUT_MS 30000
#define RENEW_AHEAD (15 * 60 * NS_PER_S)
#define FILE_MAX_BYTES (64 * 1024)

/* ~/.aws/sso/cache/SHA-1 of the session's name, or of the URL.json */
static char *cache_path(const struct sso *sso)
{
	const char *name = sso->session ? sso->session : sso->start_url;
	unsigned char sum[SHA1_LEN];
	char hex[2 * SHA1_LEN + 1], path[128];

	sha1(name, strlen(name), sum);
	text_hex(sum, sizeof(sum), hex);
	snprintf(path, sizeof(path), "~/.aws/sso/cache/%s.json", hex);
	return cred_path(path);
}

static int date_of(const struct json *j, const char *name, int64_t *ret)
{
	const char *s = json_get_str(j, name);

	return s ? text_parse_iso_date(s, ret) : -ENOENT;
}

static int login_again(const struct search *s, char why[CRED_WHY_MAX],
		       const char *what)
{
	return cred_why(why, "%s: aws sso login --profile %s", what,
			s->profile);
}

/* ---- renewing */

/* May it be, with what the cache has of the registered client? */
static bool is_renewable(const struct json *j, int64_t now)
{
	int64_t end;

	return json_get_str(j, "refreshToken") && json_get_str(j, "clientId") &&
	       json_get_str(j, "clientSecret") &&
	       date_of(j, "registrationExpiresAt", &end) == 0 && end > now;
}

static int make_body(const struct json *j, struct buf *b)
{
	struct json_w w = JSON_W_INIT(b);

	json_w_object(&w, NULL);
	json_w_str(&w, "clientId", json_get_str(j, "clientId"));
	json_w_str(&w, "clientSecret", json_get_str(j, "clientSecret"));
	json_w_str(&w, "grantType", "refresh_token");
	json_w_str(&w, "refreshToken", json_get_str(j, "refreshToken"));
	json_w_close(&w);
	return json_w_end(&w);
}

/* What the cache shall say now: as botocore and the CLI write it. */
static int make_cache(const struct search *s, const struct sso *sso,
		      const struct json *old, const struct json *fresh,
		      struct buf *b)
{
	const char *next = json_get_str(fresh, "refreshToken");
	struct json_w w = JSON_W_INIT(b);
	char end[TEXT_DATE_LEN];
	int64_t seconds;

	if (!json_get_str(fresh, "accessToken") ||
	    json_get_int(fresh, "expiresIn", &seconds) || seconds < 0 ||
	    seconds > INT32_MAX)
		return -EBADMSG;
	text_iso_date(clk_real(s->aws->clk) + seconds * NS_PER_S, 0, end);
	json_w_object(&w, NULL);
	json_w_str(&w, "startUrl", sso->start_url);
	json_w_str(&w, "region", sso->region);
	json_w_str(&w, "accessToken", json_get_str(fresh, "accessToken"));
	json_w_str(&w, "expiresAt", end);
	json_w_str(&w, "clientId", json_get_str(old, "clientId"));
	json_w_str(&w, "clientSecret", json_get_str(old, "clientSecret"));
	json_w_str(&w, "registrationExpiresAt",
		   json_get_str(old, "registrationExpiresAt"));
	if (next)
		json_w_str(&w, "refreshToken", next);
	json_w_close(&w);
	return json_w_end(&w);
}

static int write_all(int fd, const struct buf *b)
{
	size_t done = 0;
	ssize_t n;

	while (done < b->len) {
		n = write(fd, b->p + done, b->len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Whole or not at all: others read it, and the old token may be used up. */
static void save(const char *path, const struct buf *b)
{
	char *fresh = NULL;
	int fd, r;

	if (asprintf(&fresh, "%s.XXXXXX", path) < 0)
		return;
	fd = mkostemp(fresh, O_CLOEXEC); /* mode 0600 */
	r = fd < 0 ? -errno : write_all(fd, b);
	if (fd >= 0)
		(void)close(fd);
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r < 0 && fd >= 0)
		(void)unlink(fresh);
	if (r < 0)
		(void)log_err(r, "%s: the new SSO token cannot be kept", path);
	free(fresh);
}

/* CreateToken; what it answers as a cache. */
static int create_token(const struct search *s, const struct sso *sso,
			const struct json *old, char why[CRED_WHY_MAX],
			struct buf *ret)
{
	const struct http_header type = { "Content-Type", "application/json" };
	struct buf body = BUF_INIT(FILE_MAX_BYTES);
	char *endpoint = aws_endpoint(s, "AWS_ENDPOINT_URL_SSO_OIDC",
				      "sso_oidc", "oidc", sso->region);
	char *url = NULL;
	struct http_resp resp = { 0 };
	struct json *j = NULL;
	int r = endpoint ? make_body(old, &body) : -ENOMEM;

	if (r == 0 && asprintf(&url, "%s/token", endpoint) < 0)
		r = -ENOMEM;
	if (r == 0) {
		const struct ask q = { .who = "SSO",
				       .method = "POST",
				       .url = url,
				       .headers = &type,
				       .nheaders = 1,
				       .body = body.p,
				       .timeout_ms = TIMEOUT_MS,
				       .tries = 3 };

		r = ask(s->aws->http, &q, &resp, why);
	}
	if (r == 0 && resp.status != 200)
		r = cred_why(why, "SSO renews no token: HTTP %d", resp.status);
	if (r == 0)
		r = json_parse(resp.body.p, resp.body.len, &j);
	if (r == 0)
		r = make_cache(s, sso, old, j, ret);
	if (r == -EBADMSG)
		r = cred_why(why, "SSO: no token in its answer");
	json_free(j);
	ask_done(&resp);
	if (body.p)
		explicit_bzero(body.p, body.len);
	buf_clear(&body);
	free(url);
	free(endpoint);
	return r;
}

static int renew(const struct search *s, const struct sso *sso,
		 const char *path, const struct json *old,
		 char why[CRED_WHY_MAX], char **ret)
{
	struct buf b = BUF_INIT(FILE_MAX_BYTES);
	struct json *j = NULL;
	int r = create_token(s, sso, old, why, &b);

	if (r == 0) {
		save(path, &b);
		r = json_parse(b.p, b.len, &j);
	}
	if (r == 0) {
		*ret = strdup(json_get_str(j, "accessToken"));
		r = *ret ? 0 : -ENOMEM;
	}
	json_free(j);
	if (b.p)
		explicit_bzero(b.p, b.len);
	buf_clear(&b);
	return r;
}

static int use(const struct search *s, const struct sso *sso, const char *path,
	       const struct json *j, char why[CRED_WHY_MAX], char **ret)
{
	const char *token = json_get_str(j, "accessToken");
	int64_t now = clk_real(s->aws->clk), end;
	int r = -EACCES;

	if (!token || date_of(j, "expiresAt", &end))
		return login_again(s, why, "the SSO token kept here is broken");
	/* The older form has no client that could renew it. */
	if (sso->session && end - now < RENEW_AHEAD && is_renewable(j, now)) {
		r = renew(s, sso, path, j, why, ret);
		if (r == 0 || r == -ENOMEM || r == -ECANCELED)
			return r;
		if (end > now)
			log_warn("the SSO token cannot be renewed: %s", why);
		else if (r == -EAGAIN)
			return r;
	}
	if (end <= now)
		return login_again(s, why, "the SSO login has expired");
	*ret = strdup(token);
	return *ret ? 0 : -ENOMEM;
}

int sso_token(const struct search *s, const struct sso *sso,
	      char why[CRED_WHY_MAX], char **ret)
{
	char *path = cache_path(sso), *text = NULL;
	struct json *j = NULL;
	int r;

	if (!path)
		return login_again(s, why, "there is no SSO login here");
	if (access(path, F_OK) < 0)
		r = login_again(s, why, "there is no SSO login here");
	else
		r = cred_read_file(path, why, &text);
	if (r == 0 && text)
		r = json_parse(text, strlen(text), &j);
	if (r == -EBADMSG)
		r = login_again(s, why, "the SSO token kept here is broken");
	if (r == 0)
		r = use(s, sso, path, j, why, ret);
	json_free(j);
	cred_wipe(text);
	free(path);
	return r;
}
