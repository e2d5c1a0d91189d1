/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http_priv.h"

static void explain(struct http_call *call, int err)
{
	struct http_resp *resp = call->resp;

	if (call->errbuf[0])
		snprintf(resp->why, sizeof(resp->why), "%s", call->errbuf);
	else
		snprintf(resp->why, sizeof(resp->why), "%s", strerror(-err));
}

int http_perform(struct http *h, const struct http_req *req,
		 struct http_resp *resp)
{
	struct http_call call = { .h = h, .req = req, .resp = resp };
	struct curl_slist *list = NULL;
	struct http_slot *slot = NULL;
	int r;

	lock_assert_none("http_perform");
	http_resp_clear(resp);
	resp->headers.max = HTTP_HEADERS_MAX;
	resp->body.max = req->body_max ? req->body_max : HTTP_BODY_MAX;
	r = http_slot_get(h, &slot);
	if (r)
		return r;
	r = atomic_load(&h->cancelled) ? -ECANCELED : 0;
	if (r == 0)
		r = http_setup(slot->easy, &call, &list);
	if (r == 0)
		r = http_race_run(&call, slot);
	/* The handle must not keep what dies with this call. */
	curl_easy_reset(slot->easy);
	curl_slist_free_all(list);
	http_slot_put(h, slot);
	resp->resent = call.begun > 1;
	if (r)
		explain(&call, r);
	return r;
}
