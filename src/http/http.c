/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http_priv.h"

/* Wait this long at most for the network before looking round; a cancel
 * wakes the wait at once. */
#define POLL_MS 1000

static CURLcode code_of(CURLM *multi)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(multi, &left)) != NULL)
		if (msg->msg == CURLMSG_DONE)
			return msg->data.result;
	return CURLE_RECV_ERROR;
}

static int run(struct http *h, struct http_slot *slot, CURLcode *ret)
{
	int running = 1;

	while (running) {
		CURLMcode mc = curl_multi_perform(slot->multi, &running);

		if (atomic_load(&h->cancelled))
			return -ECANCELED;
		if (mc == CURLM_OK && running)
			mc = curl_multi_poll(slot->multi, NULL, 0, POLL_MS,
					     NULL);
		if (mc != CURLM_OK)
			return mc == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EPROTO;
	}
	*ret = code_of(slot->multi);
	return 0;
}

static int exchange(struct http_call *call, struct http_slot *slot)
{
	CURLcode code = CURLE_OK;
	int r;

	if (curl_multi_add_handle(slot->multi, slot->easy) != CURLM_OK)
		return -ENOMEM;
	r = run(call->h, slot, &code);
	/* Also closes the connection of an exchange that did not end. */
	curl_multi_remove_handle(slot->multi, slot->easy);
	if (r)
		return r;
	/* A callback's reason is better than libcurl's name for it. */
	if (code != CURLE_OK && call->err)
		return call->err;
	/* libcurl takes a connection closed amid the headers for an end. */
	if (code == CURLE_OK && (!call->is_headed || call->resp->status < 200))
		code = CURLE_GOT_NOTHING;
	r = http_err_of_curl(code);
	if (r && !call->errbuf[0])
		snprintf(call->errbuf, sizeof(call->errbuf), "%s",
			 curl_easy_strerror(code));
	/* The same code says "no such scheme" and "this is not HTTP". */
	return r == -EINVAL && call->begun ? -EPROTO : r;
}

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
		r = exchange(&call, slot);
	/* The handle must not keep what dies with this call. */
	curl_easy_reset(slot->easy);
	curl_slist_free_all(list);
	http_slot_put(h, slot);
	resp->resent = call.begun > 1;
	if (r)
		explain(&call, r);
	return r;
}
