/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exchange, and the one that may be sent after it.
 *
 * Where nothing has moved for much longer than is usual, and the caller allows
 * it, the same request goes out once more, over a connection of its own, from
 * the same thread.  The first good answer counts; the other exchange ends with
 * its connection.  Bytes for a sink come from one of the two alone: from where
 * the first of them came.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"

#include "http_priv.h"

/* Wait this long at most for the network before looking round; a cancel
 * wakes the wait at once. */
#define POLL_NS NS_PER_S
#define QUIET_LEAST NS_PER_S /* less is never worth another connection */
#define QUIET_TIMES 8 /* so much more than usual */
#define WEIGHT 8 /* of what was usual, against the newest */

struct lane {
	CURL *easy;
	struct http_call *call;
	CURLcode code;
	bool is_on, is_done;
};

struct http_race {
	struct http *h;
	struct http_slot *slot;
	struct lane lanes[2]; /* the second: the racer */
	struct http_call racer;
	struct http_call *claimed; /* whose bytes go to the sink */
	struct http_resp *resp; /* the caller's */
	struct http_resp other; /* of whom has not claimed */
	struct curl_slist *list;
	bool is_asked; /* whether it may be raced */
	uint64_t moved;
	int64_t moved_ns, quiet_ns; /* quiet: the longest so far */
};

static _Atomic int64_t *usual_of(struct http *h, const struct http_req *req)
{
	return &h->usual_ns[req->body != NULL];
}

/* So long nothing may move before it is raced. */
static int64_t patience(struct http *h, const struct http_req *req)
{
	unsigned secs = h->opts.low_speed_s ? h->opts.low_speed_s : 30;
	int64_t usual = atomic_load(usual_of(h, req)), ns = QUIET_LEAST;
	const int64_t most = secs * NS_PER_S / 2;

	if (usual > ns / QUIET_TIMES)
		ns = usual < most / QUIET_TIMES ? QUIET_TIMES * usual : most;
	return usual && ns < most ? ns : most;
}

static void learn(struct http *h, const struct http_req *req, int64_t quiet_ns)
{
	_Atomic int64_t *usual = usual_of(h, req);
	int64_t old = atomic_load(usual);

	/* Of two at once one may be forgotten. */
	atomic_store(usual, old ? old + (quiet_ns - old) / WEIGHT : quiet_ns);
}

/* The racer's answer takes the place of the other's. */
static void swap(struct http_race *x)
{
	struct http_call *call = x->lanes[0].call;
	struct http_resp was = *x->resp;

	*x->resp = x->other;
	x->other = was;
	x->racer.resp = x->resp;
	call->resp = &x->other;
}

bool http_race_claim(struct http_call *call)
{
	struct http_race *x = call->race;

	if (!x) /* a call that only reads an answer (tests/fuzz) */
		return true;
	if (!x->claimed) {
		x->claimed = call;
		if (call == &x->racer)
			swap(x);
	}
	return x->claimed == call;
}

static int lane_on(struct http_race *x, unsigned i, CURL *easy,
		   struct http_call *call)
{
	struct lane *l = &x->lanes[i];

	if (curl_multi_add_handle(x->slot->multi, easy) != CURLM_OK)
		return -ENOMEM;
	l->easy = easy;
	l->call = call;
	l->is_on = true;
	return 0;
}

/* Also closes the connection of an exchange that did not end. */
static void lane_off(struct http_race *x, struct lane *l)
{
	if (l->is_on)
		curl_multi_remove_handle(x->slot->multi, l->easy);
	l->is_on = false;
}

/* What its exchange, which ended, came to. */
static int lane_result(const struct lane *l)
{
	struct http_call *call = l->call;
	CURLcode code = l->code;
	int r;

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

static bool is_running(const struct lane *l)
{
	return l->is_on && !l->is_done;
}

/* Whose word counts; NULL: not known yet. */
static struct lane *winner(struct http_race *x)
{
	struct lane *answered = NULL;
	unsigned i, running = 0;

	for (i = 0; i < 2; i++) {
		struct lane *l = &x->lanes[i];

		running += is_running(l);
		if (!l->is_done || (x->claimed && x->claimed != l->call))
			continue;
		/* The source, the sink or the pacer has had enough. */
		if (l->call->err || x->claimed)
			return l;
		if (lane_result(l))
			continue;
		if (l->call->resp->status < 500)
			return l;
		answered = l;
	}
	if (running)
		return NULL;
	return answered ? answered : &x->lanes[0];
}

static void note_ended(struct http_race *x)
{
	CURLMsg *msg;
	unsigned i;
	int left;

	while ((msg = curl_multi_info_read(x->slot->multi, &left)) != NULL)
		for (i = 0; i < 2; i++)
			if (msg->msg == CURLMSG_DONE &&
			    x->lanes[i].easy == msg->easy_handle) {
				x->lanes[i].code = msg->data.result;
				x->lanes[i].is_done = true;
			}
}

static void note_moved(struct http_race *x, int64_t now_ns)
{
	curl_off_t up = 0, down = 0;
	uint64_t moved;

	curl_easy_getinfo(x->slot->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(x->slot->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	moved = (uint64_t)up + (uint64_t)down +
		x->lanes[0].call->resp->headers.len;
	if (now_ns - x->moved_ns > x->quiet_ns)
		x->quiet_ns = now_ns - x->moved_ns;
	if (moved == x->moved)
		return;
	x->moved = moved;
	x->moved_ns = now_ns;
}

/* Send it once more, if it may be; if that cannot be done, it is not. */
static void race(struct http_race *x)
{
	const struct http_call *call = x->lanes[0].call;
	CURL *easy;

	x->is_asked = true;
	if (!call->req->may_race(call->req->race_arg))
		return;
	easy = curl_easy_init();
	if (!easy)
		return;
	x->racer = (struct http_call){
		.h = x->h, .req = call->req, .resp = &x->other, .race = x
	};
	x->other.headers.max = call->resp->headers.max;
	x->other.body.max = call->resp->body.max;
	if (http_setup(easy, &x->racer, &x->list) == 0 &&
	    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
	    lane_on(x, 1, easy, &x->racer) == 0)
		return;
	curl_easy_cleanup(easy);
}

/* How long to wait for the network; begins the racer when it is time. */
static int64_t look_round(struct http_race *x)
{
	const struct http_req *req = x->lanes[0].call->req;
	int64_t now = clk_mono(&clk_system), at;

	note_moved(x, now);
	if (x->is_asked || !req->may_race || x->claimed || x->lanes[0].is_done)
		return POLL_NS;
	at = x->moved_ns + patience(x->h, req);
	if (at <= now) {
		race(x);
		return 0;
	}
	return at - now < POLL_NS ? at - now : POLL_NS;
}

static int turn(struct http_race *x)
{
	int running, ms;
	CURLMcode mc = curl_multi_perform(x->slot->multi, &running);
	unsigned i;

	if (atomic_load(&x->h->cancelled))
		return -ECANCELED;
	note_ended(x);
	for (i = 0; i < 2; i++)
		if (x->claimed && x->lanes[i].call != x->claimed)
			lane_off(x, &x->lanes[i]);
	if (mc == CURLM_OK && !winner(x)) {
		ms = (int)(look_round(x) / NS_PER_MS);
		mc = curl_multi_poll(x->slot->multi, NULL, 0, ms, NULL);
	}
	if (mc != CURLM_OK)
		return mc == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EPROTO;
	return 0;
}

int http_race_run(struct http_call *call, struct http_slot *slot)
{
	struct http_race x = { .h = call->h, .slot = slot, .resp = call->resp };
	struct lane *won = NULL;
	int r = lane_on(&x, 0, slot->easy, call);

	call->race = &x;
	x.moved_ns = clk_mono(&clk_system);
	while (r == 0 && !won) {
		r = turn(&x);
		won = r ? NULL : winner(&x);
	}
	if (won) {
		r = lane_result(won);
		if (won->call == &x.racer && !x.claimed)
			swap(&x);
		if (won->call == &x.racer)
			memcpy(call->errbuf, x.racer.errbuf,
			       sizeof(call->errbuf));
		if (r == 0 && !x.lanes[1].easy)
			learn(x.h, call->req, x.quiet_ns);
	}
	lane_off(&x, &x.lanes[0]);
	lane_off(&x, &x.lanes[1]);
	if (x.lanes[1].easy)
		curl_easy_cleanup(x.lanes[1].easy);
	curl_slist_free_all(x.list);
	http_resp_clear(&x.other);
	call->begun += x.racer.begun;
	call->resp = x.resp;
	call->race = NULL;
	return r;
}
