/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/clock.h"
#include "ckptfs/text.h"

#include "status.h"

static int64_t age_s(int64_t now_ns, int64_t then_ns)
{
	return then_ns <= 0 || then_ns > now_ns ? 0
						: (now_ns - then_ns) / NS_PER_S;
}

static bool is_temporary(const struct fs_pending *p)
{
	return strcmp(p->state, "temporary") == 0;
}

void status_sum(struct status_sums *s, const struct fs_pending *p)
{
	if (is_temporary(p)) {
		s->temporary++;
		return;
	}
	s->files++;
	/* Those of a conflict are told of by the row that sends them. */
	if (!p->beside || !*p->beside) {
		s->bytes += p->size;
		s->sent += p->sent < p->size ? p->sent : p->size;
	}
	if (!p->at_risk)
		return;
	s->risk_files++;
	s->risk_bytes += p->size;
	if (p->since_real_ns > 0 &&
	    (s->oldest_real_ns == 0 || p->since_real_ns < s->oldest_real_ns))
		s->oldest_real_ns = p->since_real_ns;
}

int64_t status_eta_s(const struct status_sums *s, uint64_t rate)
{
	uint64_t left = s->bytes - s->sent;

	if (s->files == 0)
		return 0;
	if (rate == 0)
		return -1;
	return (int64_t)((left + rate - 1) / rate);
}

static void write_eta(struct json_w *w, int64_t eta)
{
	if (eta < 0)
		json_w_str(w, "eta_s", NULL);
	else
		json_w_int(w, "eta_s", eta);
}

void status_write_item(struct json_w *w, const struct fs_pending *p,
		       int64_t now_real_ns)
{
	char since[TEXT_DATE_LEN];

	json_w_object(w, NULL);
	json_w_str(w, "path", p->path);
	json_w_str(w, "state", p->state);
	json_w_str(w, "why", p->why ? p->why : "");
	json_w_u64(w, "size", p->size);
	json_w_u64(w, "sent", p->sent);
	if (p->since_real_ns > 0) {
		text_iso_date(p->since_real_ns, 3, since);
		json_w_str(w, "since", since);
	} else {
		json_w_str(w, "since", NULL);
	}
	json_w_int(w, "age_s", age_s(now_real_ns, p->since_real_ns));
	json_w_bool(w, "at_risk", p->at_risk);
	if (p->beside && *p->beside)
		json_w_str(w, "beside", p->beside);
	json_w_close(w);
}

void status_begin(struct status_doc *d, struct buf *b,
		  const struct status_facts *f)
{
	struct json_w w = JSON_W_INIT(b);
	char since[TEXT_DATE_LEN];
	size_t i;

	memset(&d->sums, 0, sizeof(d->sums));
	d->w = w;
	d->now_real_ns = f->now_real_ns;
	json_w_object(&d->w, NULL);
	json_w_str(&d->w, "version", PACKAGE_VERSION);
	json_w_int(&d->w, "pid", f->pid);
	json_w_str(&d->w, "mountpoint", f->mountpoint);
	json_w_str(&d->w, "source", f->source);
	json_w_str(&d->w, "state", f->state);
	text_iso_date(f->since_real_ns, 3, since);
	json_w_str(&d->w, "since", since);
	json_w_int(&d->w, "uptime_s", age_s(f->now_real_ns, f->since_real_ns));
	json_w_str(&d->w, "io", f->passthrough ? "passthrough" : "ordinary");
	json_w_array(&d->w, "warnings");
	for (i = 0; i < f->nwarnings; i++)
		json_w_str(&d->w, NULL, f->warnings[i]);
	json_w_close(&d->w);
	json_w_array(&d->w, "queue");
}

void status_item(struct status_doc *d, const struct fs_pending *p)
{
	status_sum(&d->sums, p);
	status_write_item(&d->w, p, d->now_real_ns);
}

static void write_totals(struct json_w *w, const struct status_sums *s,
			 const struct transfer_stats *t)
{
	json_w_object(w, "totals");
	json_w_u64(w, "files", s->files);
	json_w_u64(w, "bytes", s->bytes);
	json_w_u64(w, "sent_bytes", s->sent);
	json_w_u64(w, "temporary", s->temporary);
	json_w_u64(w, "uploaded_files", t->puts);
	json_w_u64(w, "uploaded_bytes", t->bytes_sent);
	json_w_u64(w, "copied_bytes", t->bytes_copied);
	json_w_u64(w, "deletes", t->deletes);
	json_w_u64(w, "copies", t->copies);
	json_w_u64(w, "renames", t->renames);
	json_w_u64(w, "folded", t->folded);
	json_w_u64(w, "retries", t->retries);
	json_w_close(w);
}

static void write_flow(struct json_w *w, const char *name, unsigned at_once,
		       unsigned most, uint64_t limit)
{
	json_w_object(w, name);
	json_w_u64(w, "at_once", at_once);
	json_w_u64(w, "most_at_once", most);
	json_w_u64(w, "limit_bytes_per_s", limit);
	json_w_close(w);
}

int status_end(struct status_doc *d, const struct status_facts *f)
{
	const struct status_sums *s = &d->sums;
	const struct fs_stats *st = &f->stats;
	struct json_w *w = &d->w;
	int64_t lag = age_s(d->now_real_ns, s->oldest_real_ns);

	json_w_close(w);
	json_w_bool(w, "queue_incomplete", f->queue_incomplete);
	write_totals(w, s, &st->transfer);
	json_w_u64(w, "unshown_names", st->unshown);
	json_w_object(w, "at_risk");
	json_w_u64(w, "files", s->risk_files);
	json_w_u64(w, "bytes", s->risk_bytes);
	json_w_int(w, "oldest_age_s", lag);
	json_w_close(w);
	json_w_object(w, "opens");
	json_w_u64(w, "passthrough", st->opens_passthrough);
	json_w_u64(w, "cached", st->opens_cached);
	json_w_u64(w, "now", st->open_files);
	json_w_close(w);
	json_w_object(w, "cache");
	json_w_str(w, "dir", f->cache_dir);
	json_w_u64(w, "size_bytes", f->cache_size);
	json_w_u64(w, "used_bytes", st->cache_used);
	json_w_u64(w, "files", st->cache_files);
	json_w_u64(w, "dirty_bytes", st->cache_dirty);
	json_w_u64(w, "disk_avail_bytes", st->disk_avail);
	json_w_u64(w, "fetched_bytes", st->fetch.bytes);
	json_w_u64(w, "names", st->names);
	json_w_bool(w, "failed", st->failed);
	json_w_close(w);
	write_flow(w, "uploads", st->transfer.at_once,
		   st->transfer.at_once_most, st->transfer.limit);
	write_flow(w, "downloads", st->fetch.at_once, st->fetch.at_once_most,
		   st->fetch.limit);
	json_w_u64(w, "rate_bytes_per_s", st->transfer.rate);
	write_eta(w, status_eta_s(s, st->transfer.rate));
	json_w_int(w, "lag_s", lag);
	json_w_str(w, "last_error",
		   st->transfer.last_error[0] ? st->transfer.last_error : NULL);
	json_w_close(w);
	return json_w_end(w);
}

int status_progress(struct buf *b, const struct status_sums *s, uint64_t rate)
{
	struct json_w w = JSON_W_INIT(b);

	json_w_object(&w, NULL);
	json_w_object(&w, "progress");
	json_w_u64(&w, "files", s->files);
	json_w_u64(&w, "bytes", s->bytes);
	json_w_u64(&w, "sent_bytes", s->sent);
	json_w_u64(&w, "rate_bytes_per_s", rate);
	write_eta(&w, status_eta_s(s, rate));
	json_w_close(&w);
	json_w_close(&w);
	return json_w_end(&w);
}

int status_bulk_progress(struct buf *b, const struct fs_bulk_sums *s,
			 uint64_t rate)
{
	struct status_sums left = { .files = s->files - s->done_files,
				    .bytes = s->bytes,
				    .sent = s->done_bytes };
	struct json_w w = JSON_W_INIT(b);

	json_w_object(&w, NULL);
	json_w_object(&w, "progress");
	json_w_u64(&w, "files", s->files);
	json_w_u64(&w, "done_files", s->done_files);
	json_w_u64(&w, "bytes", s->bytes);
	json_w_u64(&w, "sent_bytes", s->done_bytes);
	json_w_u64(&w, "rate_bytes_per_s", rate);
	write_eta(&w, status_eta_s(&left, rate));
	json_w_close(&w);
	json_w_close(&w);
	return json_w_end(&w);
}
