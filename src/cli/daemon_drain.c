/* SPDX-License-Identifier: Apache-2.0 */
/* Coming to an end with everything in the bucket, or with a list of what is
 * not. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "ckptfs/clock.h"
#include "ckptfs/fuse.h"
#include "ckptfs/json.h"
#include "ckptfs/log.h"

#include "cmd.h"
#include "daemon.h"
#include "status.h"

#define LOG_MODULE "daemon"

/* Something cannot get there, and nothing else has moved for so long. */
#define STUCK_NS (10 * NS_PER_S)
#define PAUSE_NS (200 * NS_PER_MS)
#define LOG_FILES_MOST 100

/* ---- what there is to say at the end */

struct told {
	struct json_w *w;
	int64_t now_ns;
	uint64_t missing, logged;
	bool log;
	bool arrived; /* what is missing came later than what was asked for */
};

static int tell_one(void *arg, const struct fs_pending *p)
{
	struct told *t = arg;

	t->missing += p->missing;
	if (t->w && !(t->arrived && p->missing))
		status_write_item(t->w, p, t->now_ns);
	if (t->log && p->missing && t->logged++ < LOG_FILES_MOST)
		log_warn("not in the bucket: %s (%s: %s)", p->path, p->state,
			 p->why);
	return 0;
}

int daemon_result(struct daemon *d, const char *path, int r, struct buf *b,
		  uint64_t *ret_missing)
{
	struct json_w w = JSON_W_INIT(b);
	struct told t = { .w = &w,
			  .now_ns = clk_real(&clk_system),
			  .arrived = r == 0 };
	int status = r == -ETIMEDOUT ? CLI_TIMEOUT : CLI_FAILED, each;

	json_w_object(&w, NULL);
	json_w_array(&w, "missing");
	each = fs_each_pending(d->fs, path, tell_one, &t);
	json_w_close(&w);
	/* Told to stop, but all had arrived by then: that is success. */
	if (r == 0 || (r == -ETIMEDOUT && each == 0 && t.missing == 0))
		status = CLI_DONE;
	json_w_int(&w, "status", status);
	if (status == CLI_TIMEOUT)
		json_w_str(&w, "error", "not everything is in the bucket yet");
	else if (status == CLI_FAILED)
		json_w_str(&w, "error",
			   r == -EIO || r == 0
				   ? "not everything can get to the bucket by "
				     "itself"
				   : strerror(-r));
	json_w_close(&w);
	if (ret_missing)
		*ret_missing = t.missing;
	return json_w_end(&w);
}

void daemon_log_missing(struct daemon *d)
{
	struct told t = { .log = true };

	if (fs_each_pending(d->fs, "", tell_one, &t) < 0 || t.missing > 0)
		log_warn("%s: %llu files are not in the bucket; they stay in "
			 "%s and are sent by the next mount",
			 d->src.name, (unsigned long long)t.missing,
			 d->cache_path);
}

/* ---- waiting */

void daemon_stop_at(struct daemon *d, int64_t mono_ns)
{
	(void)pthread_mutex_lock(&d->lock);
	if (mono_ns < d->stop_at_mono_ns)
		d->stop_at_mono_ns = mono_ns;
	(void)pthread_mutex_unlock(&d->lock);
}

static int64_t stop_at(struct daemon *d)
{
	int64_t at;

	(void)pthread_mutex_lock(&d->lock);
	at = d->stop_at_mono_ns;
	(void)pthread_mutex_unlock(&d->lock);
	return at;
}

struct hope {
	bool any; /* something is left that could get there by itself */
	bool sending;
};

static int find_hope(void *arg, const struct fs_pending *p)
{
	struct hope *h = arg;

	if (p->held || !p->missing || status_is_stuck(p->state))
		return 0;
	h->any = true;
	h->sending |= strcmp(p->state, "uploading") == 0;
	return 0;
}

struct movement {
	uint64_t seen;
	int64_t since_ns;
};

bool daemon_may_move(struct daemon *d)
{
	struct hope h = { .any = false };

	return fs_each_pending(d->fs, "", find_hope, &h) != 0 || h.any;
}

/* Whether anything was sent, committed or is being sent. */
static bool moves(struct daemon *d, struct movement *m)
{
	struct hope h = { .any = false };
	struct fs_stats s;
	uint64_t now;

	if (fs_each_pending(d->fs, "", find_hope, &h) == 0 && !h.any)
		return false;
	fs_stats(d->fs, &s);
	now = s.transfer.bytes_sent + s.transfer.bytes_copied +
	      s.transfer.puts + s.transfer.deletes + s.transfer.copies +
	      s.transfer.renames + s.transfer.queued_ops;
	if (now != m->seen || h.sending) {
		m->seen = now;
		m->since_ns = clk_mono(&clk_system);
	}
	return clk_mono(&clk_system) - m->since_ns < STUCK_NS;
}

int daemon_drain(struct daemon *d)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct movement m = { .seen = UINT64_MAX };
	int64_t now, end, slice;
	uint64_t upto;
	int r;

	for (;;) {
		now = clk_mono(&clk_system);
		end = stop_at(d);
		slice = now + DAEMON_SLICE_NS;
		/* All there is, whenever it came: the mount may be in use. */
		upto = 0;
		r = fs_sync(d->fs, "", &upto, end < slice ? end : slice);
		if (r == -ETIMEDOUT && clk_mono(&clk_system) < stop_at(d))
			continue;
		if (r != -EIO || clk_mono(&clk_system) >= stop_at(d) ||
		    !moves(d, &m))
			return r;
		(void)nanosleep(&pause, NULL);
	}
}

/* ---- signals */

static void on_terminate(struct daemon *d, int sig)
{
	int64_t grace = d->o->drain_timeout;

	log_info("signal %d: finishing uploads%s", sig,
		 grace == CLK_NEVER ? "" : " as long as drain_timeout allows");
	if (grace != CLK_NEVER)
		daemon_stop_at(d, clk_mono(&clk_system) + grace);
}

/* Drains with the mount usable, then ends the serving. */
static void *end_main(void *arg)
{
	struct daemon *d = arg;

	if (daemon_drain(d) < 0)
		log_info("letting go of the mount before all is done");
	fusefs_exit(d->fuse);
	return NULL;
}

static void await(int *ret_sig)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR2);
	while (sigwait(&set, ret_sig) != 0)
		;
}

/*
 * The first signal drains, the second one stops at once; SIGUSR2 is our own:
 * serving is over, or, refused, shall be at once.
 */
static void *signals_main(void *arg)
{
	struct daemon *d = arg;
	bool told = false, ending = false, refused;
	pthread_t ender;
	int sig = 0;

	for (;;) {
		await(&sig);
		(void)pthread_mutex_lock(&d->lock);
		refused = d->refused && !ending;
		(void)pthread_mutex_unlock(&d->lock);
		if (sig == SIGUSR2 && !refused)
			break;
		/* A terminal that closes ends what runs on it. */
		if (sig == SIGHUP && !d->foreground)
			continue;
		if (told || refused)
			daemon_stop_at(d, clk_mono(&clk_system));
		else
			on_terminate(d, sig);
		told = true;
		if (!ending && daemon_phase(d) == DAEMON_MOUNTED)
			ending = pthread_create(&ender, NULL, end_main, d) == 0;
	}
	if (ending)
		(void)pthread_join(ender, NULL);
	return NULL;
}

int daemon_start_signals(struct daemon *d)
{
	int r = -pthread_create(&d->signal_thread, NULL, signals_main, d);

	d->has_signal_thread = r == 0;
	return r;
}

void daemon_stop_signals(struct daemon *d)
{
	if (!d->has_signal_thread)
		return;
	(void)pthread_kill(d->signal_thread, SIGUSR2);
	(void)pthread_join(d->signal_thread, NULL);
	d->has_signal_thread = false;
}
