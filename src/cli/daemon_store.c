/* SPDX-License-Identifier: Apache-2.0 */
/* The bucket: credentials, HTTP, the back end, and its first answer. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/http.h"
#include "ckptfs/rng.h"
#include "ckptfs/store.h"
#include "ckptfs/thr.h"

#include "cmd.h"
#include "daemon.h"

#define PATH_MOST 4096

/* Few tries inside: the engines go on for ever, and say why they wait. */
static const struct store_retry_policy policy = { .base_ns = 50 * NS_PER_MS,
						  .cap_ns = 2 * NS_PER_S,
						  .attempts = 3 };

static void aws_opts(const struct daemon *d, struct cred_aws_opts *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->profile = d->o->profile;
	ret->region = d->o->region;
	ret->endpoint_url = d->o->endpoint_url;
	ret->http = d->http;
	ret->rng = &rng_system;
}

static int find_settings(struct daemon *d, struct cred_aws_settings *ret)
{
	char why[CRED_WHY_MAX] = "";
	struct cred_aws_opts opts;
	int r;

	aws_opts(d, &opts);
	r = cred_aws_settings(&opts, why, ret);
	if (r < 0)
		return say_error(&d->say, CLI_FAILED, "%s",
				 why[0] ? why : strerror(-r));
	return CLI_DONE;
}

int daemon_find_endpoint(struct daemon *d)
{
	struct cred_aws_settings s;
	int status;

	if (d->src.kind == SOURCE_S3) {
		status = find_settings(d, &s);
		if (status != CLI_DONE)
			return status;
		d->endpoint = s.endpoint_url;
		s.endpoint_url = NULL;
		cred_aws_settings_clear(&s);
	} else if (d->src.kind != SOURCE_DIR) {
		status = d->src.kind == SOURCE_GCS ? daemon_find_gcs(d) :
						     daemon_find_azure(d);
		if (status != CLI_DONE)
			return status;
	}
	d->normal = source_normal(&d->src, d->endpoint);
	if (!d->normal)
		return say_error(&d->say, CLI_FAILED, "out of memory");
	return CLI_DONE;
}

int daemon_try_credentials(struct daemon *d)
{
	char why[CRED_WHY_MAX] = "";
	struct cred *c = NULL;
	int r = cred_get(d->creds, why, &c);

	/* The bucket will be as silent, and what is here can be used. */
	if (r == -EAGAIN)
		daemon_warn(d, "no credentials yet: %s", why);
	else if (r < 0)
		return say_error(&d->say, CLI_FAILED,
				 "no credentials for %s: %s%s", d->src.name,
				 why[0] ? why : strerror(-r),
				 r == -ENOENT ? "; a public bucket is mounted "
						"with anonymous"
					      : "");
	cred_drop(c);
	return CLI_DONE;
}

static bool wants_path_style(const struct daemon *d)
{
	switch ((enum opt_addressing)d->o->addressing_style) {
	case OPT_ADDR_PATH:
		return true;
	case OPT_ADDR_VIRTUAL:
		return false;
	case OPT_ADDR_AUTO:
		break;
	}
	/* Amazon's certificate covers no dots, and few other servers have a
	 * name per bucket. */
	return !source_is_amazon(d->endpoint) || strchr(d->src.where, '.');
}

int daemon_open_creds(struct daemon *d)
{
	struct http_opts http;
	struct cred_aws_opts opts;
	int r = 0;

	if (d->src.kind == SOURCE_GCS)
		return daemon_open_google(d);
	if (d->src.kind == SOURCE_AZURE)
		return daemon_open_azure(d);
	daemon_http_options(d, &http);
	if (!d->http)
		r = http_new(&http, &d->http);
	aws_opts(d, &opts);
	if (r == 0 && !d->o->anonymous && !d->creds)
		r = cred_aws_chain(&opts, &clk_system, &d->creds);
	cred_env_wipe();
	return r;
}

void daemon_warn_in_clear(struct daemon *d, const char *endpoint)
{
	daemon_warn(d,
		    "%s is not encrypted: whoever is on the way there can read "
		    "and change what is sent; use https://",
		    endpoint);
}

static int make_s3(struct daemon *d, const struct cred_aws_settings *set,
		   struct store **ret)
{
	struct store_s3_opts s3 = { .bucket = d->src.where,
				    .clk = &clk_system };
	unsigned char key[STORE_SSE_C_KEY];
	int status, r = daemon_open_creds(d);

	if (r == 0 && d->creds) {
		status = daemon_try_credentials(d);
		if (status != CLI_DONE)
			return status;
	}
	status = daemon_s3_options(d, key, &s3);
	if (status != CLI_DONE)
		return status;
	s3.region = set->region;
	s3.endpoint_url = set->endpoint_url;
	s3.fips |= set->fips;
	s3.dual_stack |= set->dual_stack;
	s3.path_style = wants_path_style(d);
	s3.sign_payload = d->o->payload == OPT_PAYLOAD_SIGNED;
	s3.creds = d->creds;
	s3.http = d->http;
	if (r == 0)
		r = store_s3_new(&s3, ret);
	explicit_bzero(key, sizeof(key));
	if (r == -EINVAL)
		return say_error(&d->say, CLI_USAGE, "%s: %s", d->src.name,
				 store_last_error());
	if (r < 0)
		return say_error(&d->say, CLI_FAILED, "%s: %s", d->src.name,
				 strerror(-r));
	if (*ret && store_s3_is_in_clear(*ret)) /* NULL cannot be */
		daemon_warn_in_clear(d, set->endpoint_url);
	return CLI_DONE;
}

static int make_store(struct daemon *d, struct store **ret)
{
	struct cred_aws_settings set;
	int status, r;

	if (d->src.kind == SOURCE_S3) {
		status = find_settings(d, &set);
		if (status != CLI_DONE)
			return status;
		status = make_s3(d, &set, ret);
		cred_aws_settings_clear(&set);
		return status;
	}
	if (d->src.kind == SOURCE_GCS)
		return daemon_make_gcs(d, ret);
	if (d->src.kind == SOURCE_AZURE)
		return daemon_make_azure(d, ret);
	r = store_dir_new(d->src.where, &clk_system, ret);
	if (r < 0)
		return say_error(&d->say, CLI_FAILED, "%s: %s: %s", d->src.name,
				 strerror(-r),
				 "make the folder first, or check its name");
	return CLI_DONE;
}

const char *daemon_probe_hint(int err, bool is_dir, bool anonymous)
{
	if (err == -ENOENT)
		return is_dir ? "make the folder first, or check its name"
			      : "make the bucket first, or check its name, "
				"region and endpoint_url";
	if (err == -EACCES && is_dir)
		return "check the folder's owner and permissions";
	if (err == -EACCES && anonymous)
		return "the bucket is not public: mount with credentials";
	if (err == -EACCES)
		return "check the credentials, and that they may list, get, "
		       "put and delete there (with ro: list and get)";
	if (store_err_is_transient(err))
		return "check the network and endpoint_url";
	return "";
}

/* ---- what the last mount found, for one that cannot ask */

#define FINDINGS "ckptfs-server 1 "

static bool findings_path(const struct daemon *d, const char *suffix,
			  char ret[PATH_MOST])
{
	return snprintf(ret, PATH_MOST, "%s/server%s", d->cache_path, suffix) <
	       PATH_MOST;
}

static bool findings_read(const struct daemon *d, uint64_t *ret)
{
	char path[PATH_MOST];
	FILE *f = findings_path(d, "", path) ? fopen(path, "re") : NULL;
	const size_t n = strlen(FINDINGS);
	char line[64] = "", *end = line;

	if (!f)
		return false;
	if (fgets(line, sizeof(line), f) && strncmp(line, FINDINGS, n) == 0)
		*ret = strtoull(line + n, &end, 16);
	(void)fclose(f);
	return end > line + n && *end == '\n';
}

/* Lost at a power cut, or not written: then only a mount that can ask works. */
static void findings_write(const struct daemon *d, uint64_t findings)
{
	char path[PATH_MOST], fresh[PATH_MOST];
	uint64_t known;
	FILE *f;

	if (findings_read(d, &known) && known == findings)
		return;
	if (!findings_path(d, "", path) || !findings_path(d, ".new", fresh))
		return;
	(void)unlink(fresh); /* of one that died */
	f = daemon_create(fresh);
	if (!f)
		return;
	(void)fprintf(f, FINDINGS "%" PRIx64 "\n", findings);
	if (fclose(f) == 0)
		(void)rename(fresh, path);
}

/* No answer is no reason to keep back what is here. */
static bool goes_without(struct daemon *d, int err)
{
	uint64_t findings;
	const char *said = store_last_error();

	if (!store_err_is_transient(err) || !findings_read(d, &findings))
		return false;
	daemon_warn(d,
		    "the bucket did not answer at the mount (%s): what is here "
		    "can be used, what is written is sent once it answers",
		    *said ? said : strerror(-err));
	store_recall(d->store, findings);
	return true;
}

int daemon_make_store(struct daemon *d)
{
	struct store *inner = NULL;
	int status = make_store(d, &inner);

	cred_env_wipe();
	if (status != CLI_DONE)
		return status;
	d->s3 = d->src.kind == SOURCE_S3 ? inner : NULL;
	d->gcs = d->src.kind == SOURCE_GCS ? inner : NULL;
	if (!inner) /* cannot be; what the analyzer asks for */
		return say_error(&d->say, CLI_FAILED, "out of memory");
	d->store = store_retry_new(inner, &clk_system, &rng_system, &thr_system,
				   &policy);
	if (!d->store)
		return say_error(&d->say, CLI_FAILED, "out of memory");
	return CLI_DONE;
}

int daemon_say_unreached(struct daemon *d, int err)
{
	const char *said = store_last_error();
	const char *hint = daemon_probe_hint(err, d->src.kind == SOURCE_DIR,
					     d->o->anonymous);

	return say_error(&d->say, CLI_FAILED, "%s: %s%s%s", d->src.name,
			 *said ? said : strerror(-err), *hint ? ": " : "",
			 hint);
}

int daemon_open_store(struct daemon *d)
{
	int r, status = daemon_make_store(d);

	if (status != CLI_DONE)
		return status;
	r = store_probe(d->store, d->src.prefix, d->o->ro);
	/* A read-only mount has not asked for all there is. */
	if (r == 0 && !d->o->ro)
		findings_write(d, store_findings(d->store));
	if (r < 0 && !goes_without(d, r))
		return daemon_say_unreached(d, r);
	if (d->o->part_size && !(d->store->caps & STORE_CAP_PUT_RESUME) &&
	    d->o->part_size < d->store->limits.part_min)
		return say_error(&d->say, CLI_USAGE,
				 "part_size: this store wants at least %llu "
				 "bytes",
				 (unsigned long long)d->store->limits.part_min);
	return CLI_DONE;
}
