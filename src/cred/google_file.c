/* SPDX-License-Identifier: Apache-2.0 */
/* A file of credentials: the key of a service account, a user's login, or what
 * leads to somebody else (google_external.c, google_iam.c). */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"
#include "ckptfs/sign.h"

#include "google_priv.h"

#define CLAIMS_MAX (8 * 1024)
#define JWT_LIFE_S 3600

const char *google_get(const struct google_doc *f, const char *name,
		       char why[CRED_WHY_MAX])
{
	const char *s = json_get_str(f->j, name);

	if (!s || !*s)
		cred_why(why, "%s has no %s", f->path, name);
	return s && *s ? s : NULL;
}

/* Where tokens are asked for; NULL: not where a secret may be sent. */
static const char *token_uri(const struct google_doc *f, char why[CRED_WHY_MAX])
{
	const char *s = json_get_str(f->j, "token_uri");

	if (!s || !*s)
		return GOOGLE_TOKEN_URI;
	if (cred_is_agent_url(s))
		return s;
	cred_why(why, "%s: its token_uri is neither https nor this machine",
		 f->path);
	return NULL;
}

void google_wipe(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->len);
	buf_clear(b);
}

static int exchange(const struct google_doc *f, const char *url,
		    const char *account, const struct buf *form,
		    char why[CRED_WHY_MAX], struct cred **ret)
{
	const struct oauth_ask q = { .who = url,
				      .url = url,
				      .form = form->p,
				      .account = account,
				      .timeout_ms = GOOGLE_TIMEOUT_MS,
				      .tries = 3 };

	return oauth_token(f->g->http, f->g->clk, &q, why, ret);
}

/* ---- the key of a service account ---- */

static int write_claims(const struct google_doc *f, const char *email,
			const char *url, struct buf *b)
{
	const int64_t now_s = clk_real(f->g->clk) / NS_PER_S;
	struct json_w w = JSON_W_INIT(b);

	json_w_object(&w, NULL);
	json_w_str(&w, "iss", email);
	json_w_str(&w, "scope", f->scope);
	json_w_str(&w, "aud", url);
	json_w_int(&w, "iat", now_s);
	json_w_int(&w, "exp", now_s + JWT_LIFE_S);
	json_w_close(&w);
	return json_w_end(&w);
}

static int write_header(const struct google_doc *f, struct buf *b)
{
	const char *kid = json_get_str(f->j, "private_key_id");
	struct json_w w = JSON_W_INIT(b);

	json_w_object(&w, NULL);
	json_w_str(&w, "alg", "RS256");
	json_w_str(&w, "typ", "JWT");
	if (kid)
		json_w_str(&w, "kid", kid);
	json_w_close(&w);
	return json_w_end(&w);
}

static int assertion(const struct google_doc *f, const char *email,
		     const char *key, const char *url, struct buf *ret)
{
	struct buf header = BUF_INIT(CLAIMS_MAX), claims = BUF_INIT(CLAIMS_MAX);
	int r = write_header(f, &header);

	if (r == 0)
		r = write_claims(f, email, url, &claims);
	if (r == 0)
		r = sign_jwt_rs256(header.p, claims.p, key, ret);
	buf_clear(&header);
	buf_clear(&claims);
	return r;
}

static int service_account(const struct google_doc *f, char say[CRED_WHY_MAX],
			   struct cred **ret)
{
	struct buf jwt = BUF_INIT(SIGN_JWT_MAX);
	struct buf form = BUF_INIT(GOOGLE_FORM_MAX);
	const char *email = google_get(f, "client_email", say);
	const char *key = email ? google_get(f, "private_key", say) : NULL;
	const char *url = key ? token_uri(f, say) : NULL;
	int r;

	if (!url)
		return -EACCES;
	r = assertion(f, email, key, url, &jwt);
	if (r == -EINVAL)
		r = cred_why(say, "%s: its private_key is no RSA key in PEM",
			     f->path);
	if (r == 0)
		r = oauth_form(&form, "grant_type",
				"urn:ietf:params:oauth:grant-type:jwt-bearer");
	if (r == 0) /* without jwt.p cannot be; what the analyzer asks for */
		r = jwt.p ? oauth_form(&form, "assertion", jwt.p) : -ENOMEM;
	if (r == 0)
		r = exchange(f, url, email, &form, say, ret);
	if (r == 0)
		cred_why(say, "service account %.200s of %s", email, f->path);
	google_wipe(&jwt);
	google_wipe(&form);
	return r;
}

/* ---- a user's login ---- */

static int authorized_user(const struct google_doc *f, char say[CRED_WHY_MAX],
			   struct cred **ret)
{
	static const char *const names[] = { "client_id", "client_secret",
					     "refresh_token" };
	struct buf form = BUF_INIT(GOOGLE_FORM_MAX);
	const char *url = token_uri(f, say);
	int r = url ? oauth_form(&form, "grant_type", "refresh_token") :
		      -EACCES;

	for (size_t i = 0; i < ARRAY_SIZE(names) && r == 0; i++) {
		const char *value = google_get(f, names[i], say);

		r = value ? oauth_form(&form, names[i], value) : -EACCES;
	}
	if (r == 0)
		r = exchange(f, url, json_get_str(f->j, "client_id"), &form,
			     say, ret);
	if (r == 0)
		cred_why(say, "a user's login in %s", f->path);
	google_wipe(&form);
	return r;
}

int google_by_type(const struct google_doc *f, char say[CRED_WHY_MAX],
		   struct cred **ret)
{
	static const struct {
		const char *type;
		int (*fetch)(const struct google_doc *f,
			     char say[CRED_WHY_MAX], struct cred **ret);
	} ways[] = {
		{ "service_account", service_account },
		{ "authorized_user", authorized_user },
		{ "external_account", google_external },
		{ "impersonated_service_account", google_impersonated },
	};
	const char *type = google_get(f, "type", say);

	if (!type)
		return -EACCES;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (strcmp(type, ways[i].type) == 0)
			return ways[i].fetch(f, say, ret);
	return cred_why(say,
			"%s: credentials of type %.50s are not built yet: use "
			"the key of a service account, or gcloud auth "
			"application-default login",
			f->path, type);
}

int google_file(struct google *g, const char *path, char say[CRED_WHY_MAX],
		struct cred **ret)
{
	struct google_doc f = { .g = g, .path = path, .scope = GOOGLE_SCOPE };
	struct json *j = NULL;
	char *text = NULL;
	int r = cred_read_file(path, say, &text);

	if (r)
		return r;
	r = json_parse(text, strlen(text), &j);
	cred_wipe(text);
	if (r == -ENOMEM)
		return r;
	if (r)
		return cred_why(say, "%s is not JSON", path);
	f.j = j;
	r = google_by_type(&f, say, ret);
	json_free(j);
	return r == -EMSGSIZE ? cred_why(say, "%s: a value is too long", path) :
				r;
}
