/* SPDX-License-Identifier: Apache-2.0 */
/* The gcs back end: Google Cloud Storage by its JSON API. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gcs.h"
#include "store_int.h"

#define OBJECT_MAX (UINT64_C(5) << 40)
#define CHUNK_UNIT (UINT64_C(256) << 10) /* the service's */

int gcs_del(struct store *s, const char *key, const struct store_cond *cond)
{
	struct gcs_req q = { .method = "DELETE", .key = key, .is_change = true };
	struct http_resp resp;
	int r = gcs_req_cond(&q, cond);

	if (r)
		return r;
	r = gcs_perform((struct gcs *)s, &q, &resp);
	http_resp_clear(&resp);
	return r == -ENOENT ? 0 : r;
}

static void gcs_shutdown(struct store *s)
{
	struct gcs *g = (struct gcs *)s;

	atomic_store(&g->is_shut, true);
	http_cancel_all(g->http);
}

static void gcs_free(struct store *s)
{
	struct gcs *g = (struct gcs *)s;

	free(g->where.base);
	free(g->bucket);
	free(g->prefix);
	free(g->storage_class);
	free(g->kms_key);
	free(g->user_project);
	free(g);
}

static const struct store_ops gcs_ops = {
	.name = "gcs",
	.probe = gcs_probe,
	.findings = gcs_findings,
	.recall = gcs_recall,
	.head = gcs_head,
	.get = gcs_get,
	.put = gcs_put,
	.del = gcs_del,
	.del_many = gcs_del_many,
	.list = gcs_list,
	.copy = gcs_copy,
	.mpu_begin = gcs_mpu_begin,
	.mpu_part = gcs_mpu_part,
	.mpu_list_parts = gcs_mpu_list_parts,
	.mpu_list = gcs_mpu_list,
	.mpu_commit = gcs_mpu_commit,
	.mpu_abort = gcs_mpu_abort,
	.shutdown = gcs_shutdown,
	.free = gcs_free,
};

/* Letters that stand for themselves in a URL. */
static int check_bucket(const char *bucket)
{
	size_t n = strspn(bucket, "abcdefghijklmnopqrstuvwxyz"
				  "0123456789._-");

	if (n > 0 && bucket[n] == '\0')
		return 0;
	store_set_error("a bucket's name is of a-z, 0-9, '-', '_' and '.'");
	return -EINVAL;
}

static int copy_of(const char *s, char **ret)
{
	*ret = s ? strdup(s) : NULL;
	return s && !*ret ? -ENOMEM : 0;
}

int store_gcs_new(const struct store_gcs_opts *opts, struct store **ret)
{
	struct gcs *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	store_init(&g->store, &gcs_ops);
	g->http = opts->http;
	g->creds = opts->creds;
	g->clk = opts->clk;
	g->store.limits.put_max = OBJECT_MAX;
	g->store.limits.part_min = 1;
	g->store.limits.part_max = OBJECT_MAX;
	g->store.limits.parts_max = GCS_PARTS_MAX;
	if (opts->chunk) {
		g->chunk = opts->chunk / CHUNK_UNIT * CHUNK_UNIT;
		if (!g->chunk)
			g->chunk = CHUNK_UNIT;
		g->store.limits.part_min = OBJECT_MAX; /* never in parts */
	}
	g->store.limits.name_max = STORE_KEY_MAX;
	r = check_bucket(opts->bucket);
	if (r == 0)
		r = gcs_where_init(opts, &g->where);
	if (r == 0) {
		g->bucket = strdup(opts->bucket);
		g->prefix = strdup(opts->prefix);
		r = g->bucket && g->prefix ? 0 : -ENOMEM;
	}
	if (r == 0) {
		r = copy_of(opts->storage_class, &g->storage_class);
		r = r ? r : copy_of(opts->kms_key, &g->kms_key);
		r = r ? r : copy_of(opts->user_project, &g->user_project);
	}
	if (r)
		gcs_free(&g->store);
	else
		*ret = &g->store;
	return r;
}

int store_gcs_ask(struct store *s, struct store_gcs_settings *ret)
{
	struct gcs_req q = { .method = "GET", .is_bucket = true };
	struct store_gcs_settings found = { 0 };
	struct json *j = NULL;
	int r;

	gcs_req_query(&q, "fields",
		      "softDeletePolicy,retentionPolicy,hierarchicalNamespace");
	r = gcs_ask((struct gcs *)s, &q, &j);
	if (r)
		return r;
	if (json_get_int(json_get(j, "softDeletePolicy"),
			 "retentionDurationSeconds", &found.soft_delete_s))
		found.soft_delete_s = 0;
	if (json_get_int(json_get(j, "retentionPolicy"), "retentionPeriod",
			 &found.retention_s))
		found.retention_s = 0;
	if (json_get_bool(json_get(j, "hierarchicalNamespace"), "enabled",
			  &found.is_hierarchical))
		found.is_hierarchical = false;
	json_free(j);
	*ret = found;
	return 0;
}

bool store_gcs_is_in_clear(const struct store *s)
{
	const struct gcs_where *w = &((const struct gcs *)s)->where;

	return !w->is_tls && !w->is_loopback;
}
