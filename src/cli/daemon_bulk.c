/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evict and prefetch on the daemon's side: progress while they run, then
 *
 *	{"refused": [{"path": …, "why": …}, …], "files": …, "bytes": …,
 *	 "status": …, "error": …}
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"
#include "ckptfs/text.h"

#include "cmd.h"
#include "daemon.h"
#include "status.h"

#define PROGRESS_MAX 4096

struct bulk_job {
	struct control_conn *conn;
	struct json_w *w; /* of the answer, in its list of refused */
	bool ending; /* the daemon is */
	int64_t at_ns; /* of the last progress, and what was done then */
	uint64_t at_bytes;
	uint64_t rate;
};

/* Lately: half of it is what the last step was. */
static void measure(struct bulk_job *j, uint64_t bytes)
{
	int64_t now = clk_mono(&clk_system), dt = now - j->at_ns;
	uint64_t got = bytes > j->at_bytes ? bytes - j->at_bytes : 0;

	if (dt <= 0)
		return;
	j->rate = (j->rate +
		   (uint64_t)((double)got * (double)NS_PER_S / (double)dt)) /
		  2;
	j->at_ns = now;
	j->at_bytes = bytes;
}

static int tell(void *arg, const struct fs_bulk_sums *s)
{
	struct bulk_job *j = arg;
	struct buf b = BUF_INIT(PROGRESS_MAX);
	int r;

	j->ending = control_ending(j->conn);
	measure(j, s->done_bytes);
	r = status_bulk_progress(&b, s, j->rate);
	if (r == 0)
		r = control_reply(j->conn, &b);
	buf_clear(&b);
	return r < 0 || j->ending ? -ECANCELED : 0;
}

static void refuse(void *arg, const char *path, const char *why)
{
	struct bulk_job *j = arg;

	json_w_object(j->w, NULL);
	json_w_str(j->w, "path", path);
	json_w_str(j->w, "why", why);
	json_w_close(j->w);
}

static void write_error(struct json_w *w, bool prefetch, int r,
			const struct fs_bulk_sums *s)
{
	char need[TEXT_QTY_LEN], room[TEXT_QTY_LEN], words[256];

	text_size(s->bytes - s->done_bytes, need);
	text_size(s->room, room);
	if (r == -ENOSPC && prefetch)
		(void)snprintf(words, sizeof(words),
			       "%s to fetch, but cache_size and cache_min_free "
			       "leave room for %s: name less, or mount with a "
			       "larger cache",
			       need, room);
	else
		(void)snprintf(words, sizeof(words), "%s",
			       r == -ETIMEDOUT ? "timed out"
			       : r < 0	       ? strerror(-r)
			       : prefetch      ? "not everything is here"
					       : "not everything could go");
	json_w_str(w, "error", words);
}

void daemon_bulk(struct daemon *d, bool prefetch, const char *path,
		 int64_t deadline, struct control_conn *conn)
{
	struct buf b = BUF_INIT(CONTROL_LINE_MAX);
	struct json_w w = JSON_W_INIT(&b);
	struct bulk_job j = { .conn = conn,
			      .w = &w,
			      .at_ns = clk_mono(&clk_system) };
	struct fs_bulk how = { .deadline_mono_ns = deadline,
			       .progress = tell,
			       .refused = refuse,
			       .arg = &j };
	struct fs_bulk_sums s;
	int r, status;

	json_w_object(&w, NULL);
	json_w_array(&w, "refused");
	r = prefetch ? fs_prefetch(d->fs, path, &how, &s)
		     : fs_evict(d->fs, path, &how, &s);
	json_w_close(&w);
	json_w_u64(&w, "files", s.done_files);
	json_w_u64(&w, "bytes", s.done_bytes);
	status = r == -ETIMEDOUT	  ? CLI_TIMEOUT
		 : r < 0 || s.refused > 0 ? CLI_FAILED
					  : CLI_DONE;
	json_w_int(&w, "status", status);
	if (j.ending)
		json_w_str(&w, "error", "the daemon is ending");
	else if (status != CLI_DONE)
		write_error(&w, prefetch, r, &s);
	json_w_close(&w);
	if (json_w_end(&w) == 0)
		(void)control_reply(conn, &b);
	buf_clear(&b);
}
