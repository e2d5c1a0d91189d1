/* SPDX-License-Identifier: Apache-2.0 */
/* The azure back end: Azure Blob Storage by its REST API. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "az.h"
#include "store_int.h"

#define PUT_MAX (UINT64_C(5000) << 20)
#define PART_MAX (UINT64_C(4000) << 20)

int az_del(struct store *s, const char *key, const struct store_cond *cond)
{
	struct az_req q = { .method = "DELETE", .key = key, .is_change = true };
	struct http_resp resp;
	int r;

	/* Or one that has snapshots could not be deleted at all. */
	az_req_header(&q, "x-ms-delete-snapshots", "include");
	az_req_cond(&q, cond);
	r = az_perform((struct az *)s, &q, &resp);
	http_resp_clear(&resp);
	return r == -ENOENT ? 0 : r;
}

/* A marker may be another tool's, which lies under another name. */
static int del(struct store *s, const char *key, const struct store_cond *cond)
{
	struct az *az = (struct az *)s;
	char name[STORE_KEY_MAX + 1];
	struct store_obj o;
	int r = key[strlen(key) - 1] == '/' ?
			az_folder_find(az, key, name, &o) :
			-ENOENT;

	if (r == 0) {
		const struct store_cond same = { .if_match = o.etag };

		r = cond && cond->if_match && strcmp(cond->if_match, o.etag) ?
			    -ESTALE :
			    az_del(s, name, &same);
	}
	return r == -ENOENT ? az_del(s, key, cond) : r;
}

static void az_shutdown(struct store *s)
{
	struct az *az = (struct az *)s;

	atomic_store(&az->is_shut, true);
	http_cancel_all(az->http);
}

static void az_free(struct store *s)
{
	struct az *az = (struct az *)s;

	az_where_release(&az->where);
	free(az->account);
	free(az->container);
	free(az->prefix);
	free(az);
}

static const struct store_ops az_ops = {
	.name = "azure",
	.probe = az_probe,
	.head = az_head,
	.get = az_get,
	.put = az_put,
	.del = del,
	.list = az_list,
	.copy = az_copy,
	.mpu_begin = az_mpu_begin,
	.mpu_part = az_mpu_part,
	.mpu_list_parts = az_mpu_list_parts,
	.mpu_list = az_mpu_list,
	.mpu_commit = az_mpu_commit,
	.mpu_abort = az_mpu_abort,
	.shutdown = az_shutdown,
	.free = az_free,
};

/* Letters that stand for themselves in a URL; $root, $web and $logs are the
 * service's own. */
static int check_names(const struct store_az_opts *o)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	const char *c = o->container + (*o->container == '$');
	size_t n = strlen(o->account);

	if (n == 0 || strspn(o->account, letters) != n) {
		store_set_error("an account's name is of a-z and 0-9");
		return -EINVAL;
	}
	while (*c && (strchr(letters, *c) || *c == '-'))
		c++;
	if (*c == '\0' && c > o->container + 1)
		return 0;
	store_set_error("a container's name is of a-z, 0-9 and '-'");
	return -EINVAL;
}

int store_az_new(const struct store_az_opts *opts, struct store **ret)
{
	struct az *az = calloc(1, sizeof(*az));
	int r;

	if (!az)
		return -ENOMEM;
	store_init(&az->store, &az_ops);
	az->http = opts->http;
	az->creds = opts->creds;
	az->clk = opts->clk;
	az->store.limits.put_max = PUT_MAX;
	az->store.limits.part_min = 1;
	az->store.limits.part_max = PART_MAX;
	az->store.limits.parts_max = AZ_PARTS_MAX;
	az->store.limits.name_max = STORE_KEY_MAX;
	r = check_names(opts);
	if (r == 0)
		r = az_where_init(opts, &az->where);
	if (r == 0) {
		az->account = strdup(opts->account);
		az->container = strdup(opts->container);
		az->prefix = strdup(opts->prefix);
		r = az->account && az->container && az->prefix ? 0 : -ENOMEM;
	}
	if (r)
		az_free(&az->store);
	else
		*ret = &az->store;
	return r;
}

bool store_az_is_in_clear(const struct store *s)
{
	const struct az_where *w = &((const struct az *)s)->where;

	return !w->is_tls && !w->is_loopback;
}
