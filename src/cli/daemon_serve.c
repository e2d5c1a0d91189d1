/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control socket answers:
 *
 *	ping			that somebody is there
 *	status			the document of status.h
 *	path PATH		one file
 *	sync [PATH, timeout_ns]	wait for the bucket, with progress
 *	evict PATH [timeout_ns]	let go of local bytes, with progress
 *	prefetch PATH [timeout_ns]	fetch what is missing, with progress
 *	recover ACT [path, id]	recover.h
 *	limit [upload, download]	set them, and tell what they are, in bytes
 *				per second; 0: none
 *	quiesce [timeout_ns]	the same, but not for files that are held open
 *	drain [timeout_ns]	the same, and for the end of the mount: the last
 *				word of the daemon
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"
#include "ckptfs/log.h"

#include "cmd.h"
#include "daemon.h"
#include "recover.h"
#include "status.h"

#define LOG_MODULE "control"

#define ERROR_MAX 4096

static void reply_error(struct control_conn *conn, int status, const char *why)
{
	struct buf b = BUF_INIT(ERROR_MAX);
	struct json_w w = JSON_W_INIT(&b);

	json_w_object(&w, NULL);
	json_w_int(&w, "status", status);
	json_w_str(&w, "error", why);
	json_w_close(&w);
	if (json_w_end(&w) == 0)
		(void)control_reply(conn, &b);
	buf_clear(&b);
}

static void reply(struct control_conn *conn, int r, const struct buf *b)
{
	if (r < 0)
		reply_error(conn, CLI_FAILED, strerror(-r));
	else
		(void)control_reply(conn, b);
}

static int add_item(void *arg, const struct fs_pending *p)
{
	status_item(arg, p);
	return 0;
}

static void do_status(struct daemon *d, struct control_conn *conn)
{
	struct buf b = BUF_INIT(CONTROL_LINE_MAX);
	const char *warnings[DAEMON_WARNINGS + 4];
	char unshown[128];
	struct status_facts f = { .pid = getpid(),
				  .mountpoint = d->point,
				  .source = d->src.name,
				  .cache_dir = d->cache_path,
				  .now_real_ns = clk_real(&clk_system),
				  .since_real_ns = d->since_real_ns,
				  .cache_size = d->cache_size,
				  .warnings = warnings };
	struct status_doc doc;
	bool granted;
	int r;

	f.state = daemon_phase(d) == DAEMON_MOUNTED ? "mounted" : "draining";
	fs_stats(d->fs, &f.stats);
	(void)pthread_mutex_lock(&d->lock);
	granted = d->passthrough;
	for (; f.nwarnings < d->nwarnings; f.nwarnings++)
		warnings[f.nwarnings] = d->warnings[f.nwarnings];
	(void)pthread_mutex_unlock(&d->lock);
	f.passthrough = granted && !f.stats.through_refused;
	if (granted && f.stats.through_refused)
		warnings[f.nwarnings++] = "the kernel refuses passthrough: "
					  "data goes through the daemon";
	if (f.stats.unseen_writers)
		warnings[f.nwarnings++] = "writers are in another pid "
					  "namespace: whether one was killed "
					  "cannot be told, and close does not "
					  "wait";
	if (f.stats.unshown) {
		(void)snprintf(unshown, sizeof(unshown),
			       "%llu name%s of the bucket cannot be shown and "
			       "are left alone: see docs/servers.md",
			       (unsigned long long)f.stats.unshown,
			       f.stats.unshown == 1 ? "" : "s");
		warnings[f.nwarnings++] = unshown;
	}
	if (f.stats.failed)
		warnings[f.nwarnings++] = "the cache disk failed: no new data "
					  "is taken";
	status_begin(&doc, &b, &f);
	r = fs_each_pending(d->fs, "", add_item, &doc);
	f.queue_incomplete = r < 0; /* the rest is told all the same */
	r = status_end(&doc, &f);
	reply(conn, r, &b);
	buf_clear(&b);
}

static void do_path(struct daemon *d, const char *path,
		    struct control_conn *conn)
{
	struct buf b = BUF_INIT(CONTROL_LINE_MAX);
	struct json_w w = JSON_W_INIT(&b);
	struct fs_file_info i;
	int r = fs_path_info(d->fs, path, &i);

	if (r == 0) {
		json_w_object(&w, NULL);
		json_w_str(&w, "version", PACKAGE_VERSION);
		json_w_int(&w, "pid", getpid());
		json_w_str(&w, "mountpoint", d->point);
		json_w_str(&w, "source", d->src.name);
		json_w_str(&w, "path", path);
		json_w_str(&w, "state", i.state);
		json_w_str(&w, "why", i.why);
		json_w_u64(&w, "size", i.size);
		json_w_u64(&w, "cached_bytes", i.cached);
		json_w_u64(&w, "files", i.files);
		json_w_u64(&w, "cached_files", i.cached_files);
		json_w_bool(&w, "folder", i.is_dir);
		json_w_str(&w, "key", i.key);
		json_w_str(&w, "etag", i.etag);
		if (i.beside[0])
			json_w_str(&w, "beside", i.beside);
		json_w_close(&w);
		r = json_w_end(&w);
	}
	reply(conn, r, &b);
	buf_clear(&b);
}

static int add_sum(void *arg, const struct fs_pending *p)
{
	status_sum(arg, p);
	return 0;
}

/* Non-zero: the client is gone. */
static int tell_progress(struct daemon *d, const char *path,
			 struct control_conn *conn)
{
	struct buf b = BUF_INIT(ERROR_MAX);
	struct status_sums sums;
	struct fs_stats s;
	int r;

	memset(&sums, 0, sizeof(sums));
	fs_stats(d->fs, &s);
	r = fs_each_pending(d->fs, path, add_sum, &sums);
	if (r == 0)
		r = status_progress(&b, &sums, s.transfer.rate);
	if (r == 0)
		r = control_reply(conn, &b);
	buf_clear(&b);
	return r;
}

/* patient: also for what only those who hold it open can finish. */
static void do_sync(struct daemon *d, const char *path, bool patient,
		    int64_t deadline, struct control_conn *conn)
{
	struct buf b = BUF_INIT(CONTROL_LINE_MAX);
	uint64_t upto = 0;
	int64_t slice;
	int r;

	for (;;) {
		slice = clk_mono(&clk_system) + DAEMON_SLICE_NS;
		r = fs_sync(d->fs, path, &upto,
			    deadline < slice ? deadline : slice);
		if (r != -ETIMEDOUT || clk_mono(&clk_system) >= deadline)
			break;
		if (!patient && !daemon_may_move(d)) {
			r = -EIO;
			break;
		}
		if (control_ending(conn)) {
			reply_error(conn, CLI_FAILED, "the daemon is ending");
			return;
		}
		if (tell_progress(d, path, conn) != 0)
			return;
	}
	r = daemon_result(d, path, r, &b, NULL);
	reply(conn, r, &b);
	buf_clear(&b);
}

/* The last word, once there is one; deadline: when we no longer want to wait
 * for it. */
static void do_drain(struct daemon *d, int64_t deadline,
		     struct control_conn *conn)
{
	const struct timespec pause = { .tv_nsec = DAEMON_SLICE_NS / 10 };
	enum daemon_phase phase;
	unsigned i = 0;

	while ((phase = daemon_phase(d)) != DAEMON_ENDED) {
		/* Who asks unmounts too: only then time begins to count. */
		if (phase == DAEMON_DRAINING)
			daemon_stop_at(d, deadline);
		if (++i % 10 == 0 && tell_progress(d, "", conn) != 0)
			return;
		(void)nanosleep(&pause, NULL);
	}
	(void)pthread_mutex_lock(&d->lock);
	(void)control_reply(conn, &d->result);
	(void)pthread_mutex_unlock(&d->lock);
}

static void do_recover(struct daemon *d, const struct json *req,
		       struct control_conn *conn)
{
	const struct recover_place place = { .mountpoint = d->point,
					     .source = d->src.name,
					     .cache_dir = d->cache_path };
	struct buf b = BUF_INIT(CONTROL_LINE_MAX);
	int r = recover_answer(d->fs, &place, req, &b);

	reply(conn, r, &b);
	buf_clear(&b);
}

static void do_limit(struct daemon *d, const struct json *req,
		     struct control_conn *conn)
{
	struct buf b = BUF_INIT(ERROR_MAX);
	struct json_w w = JSON_W_INIT(&b);
	struct fs_stats s;
	int64_t rate;

	if (json_get_int(req, "upload", &rate) == 0 && rate >= 0)
		fs_set_upload_limit(d->fs, (uint64_t)rate);
	if (json_get_int(req, "download", &rate) == 0 && rate >= 0)
		fs_set_download_limit(d->fs, (uint64_t)rate);
	fs_stats(d->fs, &s);
	log_info("upload_limit %llu, download_limit %llu bytes per second",
		 (unsigned long long)s.transfer.limit,
		 (unsigned long long)s.fetch.limit);
	json_w_object(&w, NULL);
	json_w_int(&w, "status", CLI_DONE);
	json_w_u64(&w, "upload", s.transfer.limit);
	json_w_u64(&w, "download", s.fetch.limit);
	json_w_close(&w);
	reply(conn, json_w_end(&w), &b);
	buf_clear(&b);
}

void daemon_handle(void *arg, const struct json *req, struct control_conn *conn)
{
	struct daemon *d = arg;
	const char *op = json_get_str(req, "op");
	const char *path = json_get_str(req, "path");
	int64_t timeout, deadline = CLK_NEVER;

	if (json_get_int(req, "timeout_ns", &timeout) == 0 &&
	    __builtin_add_overflow(clk_mono(&clk_system), timeout, &deadline))
		deadline = CLK_NEVER;
	if (!op)
		reply_error(conn, CLI_USAGE, "no op");
	else if (strcmp(op, "ping") == 0)
		reply_error(conn, CLI_DONE, NULL);
	else if (strcmp(op, "drain") == 0)
		do_drain(d, deadline, conn);
	else if (daemon_phase(d) == DAEMON_ENDED)
		reply_error(conn, CLI_FAILED, "the daemon is ending");
	else if (strcmp(op, "status") == 0)
		do_status(d, conn);
	else if (strcmp(op, "path") == 0 && path)
		do_path(d, path, conn);
	else if (strcmp(op, "sync") == 0)
		do_sync(d, path ? path : "", true, deadline, conn);
	else if (strcmp(op, "evict") == 0 || strcmp(op, "prefetch") == 0)
		daemon_bulk(d, *op == 'p', path ? path : "", deadline, conn);
	else if (strcmp(op, "recover") == 0)
		do_recover(d, req, conn);
	else if (strcmp(op, "limit") == 0)
		do_limit(d, req, conn);
	else if (strcmp(op, "quiesce") == 0)
		do_sync(d, "", false, deadline, conn);
	else
		reply_error(conn, CLI_USAGE, "no such op");
}
