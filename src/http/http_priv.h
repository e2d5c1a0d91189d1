/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/http share. */
#ifndef CKPTFS_HTTP_PRIV_H
#define CKPTFS_HTTP_PRIV_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "ckptfs/http.h"
#include "ckptfs/lock.h"

#define HTTP_NSHARED CURL_LOCK_DATA_LAST

/* A multi handle of its own per request in flight: it keeps the connections
 * and can be woken from another thread. */
struct http_slot {
	CURLM *multi;
	CURL *easy;
	struct http_slot *next; /* in idle or busy */
};

struct http {
	CURLSH *share; /* names and TLS sessions, for all slots */
	/* libcurl's own, locked and released by its callbacks, maybe nested:
	 * they stand outside the ranks of lock.h. */
	pthread_mutex_t shared[HTTP_NSHARED];
	char *ca_bundle;
	struct http_opts opts;
	atomic_bool cancelled;
	/* How long nothing moves of an exchange, at most, usually: without a
	 * body, and with one; 0: none has ended yet. */
	_Atomic int64_t usual_ns[2];

	struct lock lock; /* guards the rest */
	struct http_slot *idle; /* last used first: its connection is alive */
	struct http_slot *busy;
	unsigned nidle;
};

/* One call of http_perform(). */
struct http_call {
	struct http *h;
	const struct http_req *req;
	struct http_resp *resp;
	struct http_race *race; /* it is one of that */
	uint64_t off; /* of the next byte to send */
	unsigned begun; /* times the request was begun */
	bool is_headed; /* the answer's headers came to their end */
	int err; /* why a callback ended it */
	char errbuf[CURL_ERROR_SIZE];
};

/* pool.c: a slot to use, to be given back. */
int http_slot_get(struct http *h, struct http_slot **ret) MUST_USE;
void http_slot_put(struct http *h, struct http_slot *slot);

/* setup.c: make the easy handle ready for the call; *ret_list is to be freed
 * after the exchange, also on failure. */
int http_setup(CURL *easy, struct http_call *call, struct curl_slist **ret_list)
	MUST_USE;
/* 0, or why to end the call here: cancelled, or the pacer says so. */
int http_pace(struct http_call *call, bool upload, size_t n);

/* race.c: perform what the slot's easy handle was set up for; 0 or an error of
 * http.h, with the answer in call->resp. */
int http_race_run(struct http_call *call, struct http_slot *slot) MUST_USE;
/* Bytes for the sink came: may they go there?  If not, others have claimed it,
 * and the call is over.  Changes call->resp. */
bool http_race_claim(struct http_call *call) MUST_USE;

/* resp.c: libcurl's callbacks for what arrives. */
size_t http_on_header(char *p, size_t size, size_t n, void *arg);
size_t http_on_data(char *p, size_t size, size_t n, void *arg);

/* err.c */
int http_err_of_curl(CURLcode code);

#endif
