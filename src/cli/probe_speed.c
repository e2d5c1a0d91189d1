/* SPDX-License-Identifier: Apache-2.0 */
/* How far away the bucket is, in time. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/http.h"
#include "ckptfs/store.h"
#include "ckptfs/text.h"

#include "probe.h"

#define SKEW_WARN (60 * NS_PER_S)
#define ROUNDS 9
#define LEAST (UINT64_C(1) << 20)
#define MOST (UINT64_C(64) << 20)
#define WANTED (2 * NS_PER_S) /* that a stream is watched for */
#define STREAMS_MOST 16

static int64_t now(void)
{
	return clk_mono(&clk_system);
}

/* ---- the clock */

static int ask(struct probe *p, struct http_resp *resp)
{
	struct http_req req = { .method = "GET", .timeout_ms = 10000 };
	char url[512], region[64];

	if (p->d.endpoint) {
		(void)snprintf(url, sizeof(url), "%s", p->d.endpoint);
	} else {
		store_s3_region(p->d.s3, region, sizeof(region));
		(void)snprintf(url, sizeof(url),
			       "https://s3.%s.amazonaws.com%s/", region,
			       strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	}
	req.url = url;
	return http_perform(p->d.http, &req, resp);
}

void probe_clock(struct probe *p)
{
	struct http_resp resp = { 0 };
	int64_t before = clk_real(&clk_system), theirs, skew, size;
	char text[TEXT_QTY_LEN];
	struct probe_trial *t;
	const char *date;
	int r = ask(p, &resp);

	date = r == 0 ? http_resp_header(&resp, "Date") : NULL;
	if (!date || text_parse_http_date(date, &theirs)) {
		http_resp_clear(&resp);
		return; /* what is wrong, others tell */
	}
	http_resp_clear(&resp);
	/* It has whole seconds. */
	skew = before + (clk_real(&clk_system) - before) / 2 -
	       (theirs + NS_PER_S / 2);
	size = skew < 0 ? -skew : skew;
	text_duration(size, text);
	if (size < SKEW_WARN) {
		t = probe_add(p, "clock", PROBE_OK,
			      "that of the server, within %s",
			      size < 2 * NS_PER_S ? "2s" : text);
	} else {
		t = probe_add(p, "clock", PROBE_NOTE,
			      "this machine's is %s %s the server's", text,
			      skew < 0 ? "behind" : "ahead of");
		(void)snprintf(t->hint, sizeof(t->hint),
			       "set the clock: requests are signed with the "
			       "server's time once it refuses ours, but "
			       "credentials seem to end at another time");
	}
	t->unit = "skew_ns";
	t->value = skew;
}

/* ---- latency */

static int compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void probe_latency(struct probe *p)
{
	int64_t took[ROUNDS], begun;
	char median[TEXT_QTY_LEN];
	struct probe_trial *t;
	struct store_obj o;
	int i, r;

	for (i = 0; i < ROUNDS; i++) {
		begun = now();
		r = store_head(p->d.store, p->key, &o);
		took[i] = now() - begun;
		if (r < 0 && r != -ENOENT)
			return; /* get has told why */
	}
	qsort(took, ROUNDS, sizeof(took[0]), compare);
	text_duration(took[ROUNDS / 2], median);
	t = probe_add(p, "latency", PROBE_OK,
		      "%s for a small request, the median of %d",
		      took[ROUNDS / 2] < NS_PER_MS ? "less than 1ms" : median,
		      ROUNDS);
	t->unit = "latency_ns";
	t->value = took[ROUNDS / 2];
}

/* ---- throughput */

struct stream {
	struct probe *p;
	char key[STORE_KEY_MAX];
	uint64_t size;
	bool up;
	int err;
	char why[256];
};

static void *run(void *arg)
{
	struct stream *s = arg;
	const struct store_src src = { .read = probe_read, .len = s->size };
	const struct store_meta meta = { .write_id = "probe" };
	struct probe_bytes b = { .at = 0 };
	struct store_obj o;

	if (s->up)
		s->err = store_put(s->p->d.store, s->key, &src, &meta, NULL,
				   &o);
	else
		s->err = store_get(s->p->d.store, s->key, NULL, 0, s->size,
				   probe_compare, &b, &o);
	if (s->err)
		(void)snprintf(s->why, sizeof(s->why), "%s",
			       store_last_error());
	else if (!s->up && (b.is_wrong || b.at != s->size))
		s->err = -EBADMSG;
	return NULL;
}

/* All at once; bytes per second, or what went wrong. */
static int64_t go(struct stream *s, unsigned n, bool up, const char **ret_why)
{
	pthread_t threads[STREAMS_MOST];
	int64_t begun = now(), ns;
	uint64_t bytes = 0;
	unsigned i, started;
	int err = 0;

	for (i = 0; i < n; i++)
		s[i].up = up;
	for (started = 0; started < n && !err; started++)
		err = -pthread_create(&threads[started], NULL, run,
				      &s[started]);
	if (err)
		started--;
	for (i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
	*ret_why = "";
	for (i = 0; i < started; i++) {
		bytes += s[i].size;
		if (s[i].err) {
			err = s[i].err;
			*ret_why = s[i].why;
		}
	}
	ns = now() - begun;
	return err ? err : (int64_t)((double)bytes * 1e9 / (double)(ns + 1));
}

static void tell(struct probe *p, const char *name, unsigned n, int64_t rate,
		 const char *why)
{
	char text[TEXT_QTY_LEN];
	struct probe_trial *t;

	if (rate < 0) {
		(void)probe_add(p, name, PROBE_FAILED, "%s",
				*why ? why : strerror((int)-rate));
		return;
	}
	text_size((uint64_t)rate, text);
	t = probe_add(p, name, PROBE_OK, "%s/s with %u stream%s", text, n,
		      n == 1 ? "" : "s");
	t->unit = "bytes_per_s";
	t->value = rate;
}

static uint64_t size_for(int64_t rate, uint64_t most)
{
	uint64_t size = LEAST;

	while (size < most &&
	       (double)size * 1e9 < (double)rate * (double)WANTED)
		size *= 2;
	return size;
}

static int64_t both(struct probe *p, struct stream *s, unsigned n)
{
	const char *why;
	int64_t up = go(s, n, true, &why), down;

	tell(p, "upload", n, up, why);
	if (up < 0)
		return up;
	down = go(s, n, false, &why);
	tell(p, "download", n, down, why);
	return down < 0 ? down : up;
}

void probe_speed(struct probe *p)
{
	unsigned n = p->o.max_uploads < STREAMS_MOST ? p->o.max_uploads :
						       STREAMS_MOST;
	struct stream *s = calloc(STREAMS_MOST, sizeof(*s));
	const char *why;
	unsigned i;
	int64_t rate;

	if (!s)
		return;
	for (i = 0; i < n; i++) {
		s[i].p = p;
		s[i].size = LEAST;
		(void)snprintf(s[i].key, sizeof(s[i].key), "%s-speed%u", p->key,
			       i);
	}
	/* The first tells how much to send. */
	rate = go(s, 1, true, &why);
	if (rate < 0) {
		tell(p, "upload", 1, rate, why);
	} else {
		s[0].size = size_for(rate, MOST);
		rate = both(p, s, 1);
	}
	if (rate > 0 && n > 1) {
		for (i = 0; i < n; i++)
			s[i].size = size_for(rate, MOST / 4);
		(void)both(p, s, n);
	}
	for (i = 0; i < n; i++)
		if (store_del(p->d.store, s[i].key, NULL) < 0)
			(void)probe_add(p, "left behind", PROBE_NOTE, "%s",
					s[i].key);
	free(s);
}
