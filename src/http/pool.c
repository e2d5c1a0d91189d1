/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http_priv.h"

#define MAX_IDLE 64

static void slot_free(struct http_slot *slot)
{
	if (!slot)
		return;
	/* In this order: the multi handle owns the easy handle's connections.
	 */
	curl_easy_cleanup(slot->easy);
	if (slot->multi)
		curl_multi_cleanup(slot->multi);
	free(slot);
}

static struct http_slot *slot_new(void)
{
	struct http_slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return NULL;
	slot->easy = curl_easy_init();
	slot->multi = curl_multi_init();
	if (!slot->easy || !slot->multi) {
		slot_free(slot);
		return NULL;
	}
	curl_multi_setopt(slot->multi, CURLMOPT_MAXCONNECTS, 2L);
	return slot;
}

int http_slot_get(struct http *h, struct http_slot **ret)
{
	struct http_slot *slot;

	lock_acquire(&h->lock);
	slot = h->idle;
	if (slot) {
		h->idle = slot->next;
		h->nidle--;
	}
	lock_release(&h->lock);
	if (!slot)
		slot = slot_new();
	if (!slot)
		return -ENOMEM;
	lock_acquire(&h->lock);
	slot->next = h->busy;
	h->busy = slot;
	lock_release(&h->lock);
	*ret = slot;
	return 0;
}

void http_slot_put(struct http *h, struct http_slot *slot)
{
	struct http_slot **p;
	bool is_full;

	lock_acquire(&h->lock);
	for (p = &h->busy; *p != slot; p = &(*p)->next)
		;
	*p = slot->next;
	is_full = h->nidle >= MAX_IDLE;
	if (!is_full) {
		slot->next = h->idle;
		h->idle = slot;
		h->nidle++;
	}
	lock_release(&h->lock);
	if (is_full)
		slot_free(slot);
}

static void share_lock(CURL *easy, curl_lock_data data, curl_lock_access access,
		       void *arg)
{
	struct http *h = arg;

	if (pthread_mutex_lock(&h->shared[data]))
		abort();
}

static void share_unlock(CURL *easy, curl_lock_data data, void *arg)
{
	struct http *h = arg;

	if (pthread_mutex_unlock(&h->shared[data]))
		abort();
}

static int share_new(struct http *h)
{
	h->share = curl_share_init();
	if (!h->share)
		return -ENOMEM;
	curl_share_setopt(h->share, CURLSHOPT_LOCKFUNC, share_lock);
	curl_share_setopt(h->share, CURLSHOPT_UNLOCKFUNC, share_unlock);
	curl_share_setopt(h->share, CURLSHOPT_USERDATA, h);
	curl_share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(h->share, CURLSHOPT_SHARE,
			  CURL_LOCK_DATA_SSL_SESSION);
	return 0;
}

int http_new(const struct http_opts *opts, struct http **ret)
{
	struct http *h;
	int i;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	h = calloc(1, sizeof(*h));
	if (!h) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	lock_init(&h->lock, LOCK_LEAF, "http");
	for (i = 0; i < HTTP_NSHARED; i++)
		pthread_mutex_init(&h->shared[i], NULL);
	h->opts = *opts;
	if (opts->ca_bundle)
		h->ca_bundle = strdup(opts->ca_bundle);
	if (share_new(h) || (opts->ca_bundle && !h->ca_bundle)) {
		http_free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void http_free(struct http *h)
{
	int i;

	if (!h)
		return;
	while (h->idle) {
		struct http_slot *slot = h->idle;

		h->idle = slot->next;
		slot_free(slot);
	}
	if (h->share)
		curl_share_cleanup(h->share);
	for (i = 0; i < HTTP_NSHARED; i++)
		pthread_mutex_destroy(&h->shared[i]);
	lock_fini(&h->lock);
	free(h->ca_bundle);
	free(h);
	curl_global_cleanup();
}

void http_cancel_all(struct http *h)
{
	struct http_slot *slot;

	atomic_store(&h->cancelled, true);
	lock_acquire(&h->lock);
	for (slot = h->busy; slot; slot = slot->next)
		curl_multi_wakeup(slot->multi);
	lock_release(&h->lock);
}
