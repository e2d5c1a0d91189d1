/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"
#include "ckptfs/fs.h"
#include "ckptfs/json.h"
#include "ckptfs/log.h"

#include "serve.h"

#define LOG_MODULE "status"
#define ANSWER_MAX (64u << 20)

struct listing {
	struct json_w *w;
	unsigned at_risk, n;
	uint64_t bytes;
	int64_t oldest; /* real ns; 0: nothing */
	bool log;
};

static int64_t age_s(int64_t since_real_ns)
{
	return since_real_ns ? (clk_real(&clk_system) - since_real_ns) /
				       NS_PER_S :
			       0;
}

static int add_pending(void *arg, const struct fs_pending *p)
{
	struct listing *l = arg;

	l->n++;
	l->bytes += p->size - p->sent;
	if (p->at_risk) {
		l->at_risk++;
		if (p->since_real_ns &&
		    (!l->oldest || p->since_real_ns < l->oldest))
			l->oldest = p->since_real_ns;
	}
	if (l->log && p->at_risk)
		log_warn("not in the bucket: %s (%s: %s)", p->path, p->state,
			 p->why);
	if (!l->w)
		return 0;
	json_w_object(l->w, NULL);
	json_w_str(l->w, "path", p->path);
	json_w_str(l->w, "state", p->state);
	json_w_str(l->w, "why", p->why);
	json_w_u64(l->w, "size", p->size);
	json_w_u64(l->w, "sent", p->sent);
	json_w_int(l->w, "age_s", age_s(p->since_real_ns));
	json_w_bool(l->w, "at_risk", p->at_risk);
	json_w_close(l->w);
	return 0;
}

unsigned serve_at_risk(struct fs *fs, bool log_them)
{
	struct listing l = { .log = log_them };

	return fs_each_pending(fs, "", add_pending, &l) < 0 ? 1 : l.at_risk;
}

static void write_numbers(struct json_w *w, const struct fs_stats *s)
{
	json_w_object(w, "opens");
	json_w_u64(w, "passthrough", s->opens_passthrough);
	json_w_u64(w, "cached", s->opens_cached);
	json_w_close(w);
	json_w_u64(w, "open_files", s->open_files);
	json_w_object(w, "cache");
	json_w_u64(w, "used", s->cache_used);
	json_w_u64(w, "dirty", s->cache_dirty);
	json_w_u64(w, "disk_avail", s->disk_avail);
	json_w_close(w);
	json_w_object(w, "totals");
	json_w_u64(w, "queued_ops", s->transfer.queued_ops);
	json_w_u64(w, "queued_bytes", s->transfer.queued_bytes);
	json_w_u64(w, "bytes_sent", s->transfer.bytes_sent);
	json_w_u64(w, "bytes_copied", s->transfer.bytes_copied);
	json_w_u64(w, "bytes_fetched", s->bytes_fetched);
	json_w_u64(w, "puts", s->transfer.puts);
	json_w_u64(w, "deletes", s->transfer.deletes);
	json_w_u64(w, "copies", s->transfer.copies);
	json_w_u64(w, "renames", s->transfer.renames);
	json_w_u64(w, "folded", s->transfer.folded);
	json_w_u64(w, "retries", s->transfer.retries);
	json_w_close(w);
	json_w_u64(w, "rate_bytes_per_s", s->transfer.rate);
	if (s->transfer.rate)
		json_w_u64(w, "eta_s",
			   s->transfer.queued_bytes / s->transfer.rate);
	json_w_str(w, "last_error", s->transfer.last_error);
	json_w_bool(w, "failed", s->failed);
}

static int status_json(struct serve *s, const char *path, struct buf *b)
{
	struct json_w w = JSON_W_INIT(b);
	struct listing l = { .w = &w };
	struct fs_stats st;
	int r;

	fs_stats(s->fs, &st);
	json_w_object(&w, NULL);
	json_w_int(&w, "pid", getpid());
	json_w_str(&w, "version", PACKAGE_VERSION);
	json_w_str(&w, "mountpoint", s->mountpoint);
	json_w_str(&w, "source", s->source);
	json_w_str(&w, "cache_dir", s->cache_dir);
	json_w_bool(&w, "passthrough", s->passthrough);
	json_w_bool(&w, "draining", s->draining);
	json_w_array(&w, "queue");
	r = fs_each_pending(s->fs, path, add_pending, &l);
	json_w_close(&w);
	json_w_int(&w, "at_risk", l.at_risk);
	json_w_int(&w, "lag_s", age_s(l.oldest));
	write_numbers(&w, &st);
	json_w_array(&w, "warnings");
	if (s->promise)
		json_w_str(&w, NULL, s->promise);
	if (st.failed)
		json_w_str(&w, NULL,
			   "the cache disk failed: no new data is taken");
	json_w_close(&w);
	json_w_int(&w, "exit", r < 0 ? 1 : 0);
	json_w_close(&w);
	return r < 0 ? r : json_w_end(&w);
}

static void say_exit(int status, const char *error, control_say_fn *say,
		     void *client)
{
	struct buf b = BUF_INIT(4096);
	struct json_w w = JSON_W_INIT(&b);

	json_w_object(&w, NULL);
	json_w_int(&w, "exit", status);
	if (error)
		json_w_str(&w, "error", error);
	json_w_close(&w);
	if (json_w_end(&w) == 0)
		(void)say(client, b.p);
	buf_clear(&b);
}

static void do_status(struct serve *s, const char *path, control_say_fn *say,
		      void *client)
{
	struct buf b = BUF_INIT(ANSWER_MAX);

	if (status_json(s, path, &b) < 0)
		say_exit(1, "status cannot be told", say, client);
	else
		(void)say(client, b.p);
	buf_clear(&b);
}

static void do_info(struct serve *s, const char *path, control_say_fn *say,
		    void *client)
{
	struct buf b = BUF_INIT(65536);
	struct json_w w = JSON_W_INIT(&b);
	struct fs_file_info i;
	int r = fs_path_info(s->fs, path, &i);

	if (r < 0) {
		say_exit(1, strerror(-r), say, client);
		return;
	}
	json_w_object(&w, NULL);
	json_w_int(&w, "pid", getpid());
	json_w_str(&w, "mountpoint", s->mountpoint);
	json_w_str(&w, "path", path);
	json_w_str(&w, "state", i.state);
	json_w_str(&w, "why", i.why);
	json_w_u64(&w, "size", i.size);
	json_w_u64(&w, "cached", i.cached);
	json_w_str(&w, "key", i.key);
	json_w_str(&w, "etag", i.etag);
	json_w_int(&w, "exit", 0);
	json_w_close(&w);
	if (json_w_end(&w) == 0)
		(void)say(client, b.p);
	buf_clear(&b);
}

/* Lines of progress, each with the status, until all is there or time is up. */
static void do_sync(struct serve *s, const char *path, int64_t timeout_ns,
		    bool umount, control_say_fn *say, void *client)
{
	int64_t end = timeout_ns < 0 ? CLK_NEVER :
				       clk_mono(&clk_system) + timeout_ns;
	int r;

	for (;;) {
		int64_t now = clk_mono(&clk_system),
			step = now + NS_PER_S / 2;
		struct buf b = BUF_INIT(4096);
		struct json_w w = JSON_W_INIT(&b);
		struct fs_stats st;

		r = fs_sync(s->fs, path, step < end ? step : end);
		if (r != -ETIMEDOUT || clk_mono(&clk_system) >= end)
			break;
		fs_stats(s->fs, &st);
		json_w_object(&w, NULL);
		write_numbers(&w, &st);
		json_w_close(&w);
		if (json_w_end(&w) < 0 || !say(client, b.p)) {
			buf_clear(&b);
			return;
		}
		buf_clear(&b);
	}
	if (r == 0 || umount) {
		say_exit(r == 0 ? 0 : r == -ETIMEDOUT ? 3 : 1, NULL, say,
			 client);
		return;
	}
	say_exit(r == -ETIMEDOUT ? 3 : 1,
		 r == -ETIMEDOUT ? "not in the bucket in time" :
				   "something cannot get to the bucket",
		 say, client);
}

void serve_request(void *arg, const struct json *req, control_say_fn *say,
		   void *client)
{
	struct serve *s = arg;
	const char *what = json_get_str(req, "do");
	const char *path = json_get_str(req, "path");
	int64_t timeout = -1;

	if (!path)
		path = "";
	if (json_get_int(req, "timeout_ns", &timeout) < 0)
		timeout = -1;
	if (!what)
		say_exit(2, "a request needs \"do\"", say, client);
	else if (strcmp(what, "status") == 0)
		do_status(s, path, say, client);
	else if (strcmp(what, "info") == 0)
		do_info(s, path, say, client);
	else if (strcmp(what, "sync") == 0)
		do_sync(s, path, timeout, false, say, client);
	else if (strcmp(what, "drain") == 0)
		do_sync(s, "", timeout, true, say, client);
	else
		say_exit(2, "no such request", say, client);
}
