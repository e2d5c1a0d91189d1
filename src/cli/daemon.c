/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/disk.h"
#include "ckptfs/fuse.h"
#include "ckptfs/http.h"
#include "ckptfs/log.h"
#include "ckptfs/meta.h"
#include "ckptfs/store.h"
#include "ckptfs/text.h"

#include "cmd.h"
#include "daemon.h"

#define LOG_MODULE "daemon"

void daemon_warn(struct daemon *d, const char *fmt, ...)
{
	char text[sizeof(d->warnings[0])];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_warn("%s", text);
	say_info(&d->say, "warning: %s", text);
	(void)pthread_mutex_lock(&d->lock);
	if (d->nwarnings < DAEMON_WARNINGS)
		memcpy(d->warnings[d->nwarnings++], text, sizeof(text));
	(void)pthread_mutex_unlock(&d->lock);
}

enum daemon_phase daemon_phase(struct daemon *d)
{
	enum daemon_phase phase;

	(void)pthread_mutex_lock(&d->lock);
	phase = d->phase;
	(void)pthread_mutex_unlock(&d->lock);
	return phase;
}

static void set_phase(struct daemon *d, enum daemon_phase phase)
{
	(void)pthread_mutex_lock(&d->lock);
	d->phase = phase;
	(void)pthread_mutex_unlock(&d->lock);
}

static int open_log(struct daemon *d)
{
	struct log_opts lo = { .level = (enum log_level)d->o->log_level,
			       .sink = LOG_TO_SYSLOG,
			       .path = d->o->log_file,
			       .json = d->o->log_format == OPT_LOG_JSON };
	int r;

	if (d->o->log_file)
		lo.sink = LOG_TO_FILE;
	else if (d->foreground)
		lo.sink = LOG_TO_STDERR;
	r = log_init(&lo);
	if (r < 0)
		return say_error(
			&d->say, CLI_FAILED, "the log %s cannot be written: %s",
			d->o->log_file ? d->o->log_file : "", strerror(-r));
	return CLI_DONE;
}

/* A descriptor per open file and per blob under way; and no core file, which
 * would hold credentials. */
static void set_limits(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
	l.rlim_cur = 0;
	l.rlim_max = 0;
	(void)setrlimit(RLIMIT_CORE, &l);
}

/*
 * Names are made and dropped by all threads.  With memory of its own for each,
 * as the library has it, what one dropped does not serve another: two thirds of
 * the memory lay free after a million names.
 */
static void share_memory(void)
{
#ifdef M_ARENA_MAX
	(void)mallopt(M_ARENA_MAX, 2);
#endif
}

/* They go to one thread; all others inherit this. */
static void block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR2);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A write beyond ulimit -f shall fail, not end us. */
	(void)signal(SIGXFSZ, SIG_IGN);
}

static void fill_transfer(const struct daemon *d, struct transfer_opts *t)
{
	static const enum transfer_order orders[] = { TRANSFER_STRICT,
						      TRANSFER_OPEN,
						      TRANSFER_NONE };
	const struct options *o = d->o;

	t->prefix = d->src.prefix;
	t->order = orders[o->order];
	t->max_uploads = o->max_uploads;
	t->part_size = o->part_size;
	t->upload_limit = o->upload_limit;
	t->upload_delay_ns = o->upload_delay;
	t->upload_interval_ns = o->upload_interval;
	t->upload_max_delay_ns = o->upload_max_delay;
	t->overwrite = o->conflict == OPT_CONFLICT_OVERWRITE;
}

static void fill_fs(const struct daemon *d, struct fs_opts *f)
{
	static const enum fs_passthrough pts[] = { FS_PT_AUTO, FS_PT_ON,
						   FS_PT_OFF };
	static const enum fs_durability closes[] = { FS_ASYNC, FS_LOCAL,
						     FS_REMOTE };
	const struct options *o = d->o;

	f->prefix = d->src.prefix;
	f->uid = o->uid;
	f->gid = o->gid;
	f->file_mode = o->file_mode;
	f->dir_mode = o->dir_mode;
	f->ro = o->ro;
	f->noatime = options_has_word(o, "noatime");
	f->passthrough = pts[o->passthrough];
	f->close_mode = closes[o->close];
	f->fsync_remote = o->fsync == OPT_FSYNC_REMOTE;
	f->remote_timeout_ns = o->remote_timeout;
	f->full_enospc = o->full == OPT_FULL_ENOSPC;
	f->cache_size = d->cache_size;
	f->cache_min_free = o->cache_min_free;
	f->metadata_ttl_ns = o->metadata_ttl;
	f->negative_ttl_ns = o->negative_ttl;
	f->held_open_delay_ns = o->held_open_delay;
	f->live = o->live;
	f->names_max = 150000; /* some 100 MiB */
	f->max_downloads = o->max_downloads;
	f->download_limit = o->download_limit;
	fill_transfer(d, &f->transfer);
	memcpy(f->transfer.cache_id, f->cache_id, sizeof(f->cache_id));
}

/* Called by the kernel's first request, before it is answered. */
static void on_ready(void *arg, bool passthrough, const char *lacks)
{
	struct daemon *d = arg;
	char size[TEXT_QTY_LEN];

	(void)pthread_mutex_lock(&d->lock);
	d->passthrough = passthrough;
	(void)pthread_mutex_unlock(&d->lock);
	if (d->o->passthrough == OPT_ON && !passthrough) {
		(void)say_error(&d->say, CLI_FAILED,
				"passthrough=on, but there is none: it needs "
				"Linux 6.9, libfuse 3.17 and root");
		(void)pthread_mutex_lock(&d->lock);
		d->refused = true;
		(void)pthread_mutex_unlock(&d->lock);
		(void)pthread_kill(d->signal_thread, SIGUSR2);
		return;
	}
	if (lacks)
		daemon_warn(d,
			    "no passthrough: data goes through the daemon, "
			    "slower and as safe; %s. passthrough=off: do "
			    "not say this",
			    lacks);
	text_size(d->cache_size, size);
	log_info("ckptfs %s: %s on %s%s, cache %s of %s, %u uploads, %u "
		 "downloads, I/O %s",
		 PACKAGE_VERSION, d->normal, d->point, d->o->ro ? " (ro)" : "",
		 d->cache_path, size, d->o->max_uploads, d->o->max_downloads,
		 passthrough ? "passthrough" : "through the daemon");
	d->ready = true;
	daemon_tell_holder(d, "mounted");
	if (d->null_fd >= 0)
		(void)dup2(d->null_fd, STDERR_FILENO);
	say_ready(&d->say);
}

static int open_mount(struct daemon *d)
{
	struct fusefs_opts fo = { .mountpoint = d->point,
				  .source = d->src.name,
				  .ro = d->o->ro,
				  .allow_other = d->o->allow_other,
				  .passthrough = d->o->passthrough != OPT_OFF,
				  .mount_words = d->o->mount_words,
				  .ready = on_ready,
				  .arg = d };
	char err[FUSEFS_ERR_MAX] = "";
	int r;

	r = fusefs_mount(d->fs, &fo, err, &d->fuse);
	if (r < 0)
		return say_error(&d->say, CLI_FAILED, "%s",
				 err[0] ? err : strerror(-r));
	r = control_start(d->point, daemon_handle, d, &d->control);
	if (r < 0)
		return say_error(&d->say, CLI_FAILED,
				 "the control socket cannot be made: %s",
				 strerror(-r));
	r = daemon_start_signals(d);
	if (r < 0)
		return say_error(&d->say, CLI_FAILED, "%s", strerror(-r));
	return CLI_DONE;
}

static int open_all(struct daemon *d)
{
	struct fs_opts fo;
	int r, status = open_log(d);

	memset(&fo, 0, sizeof(fo));
	if (status == CLI_DONE)
		status = daemon_find_endpoint(d);
	if (status == CLI_DONE)
		status = daemon_open_cache(d);
	if (status == CLI_DONE)
		status = daemon_open_store(d);
	if (status == CLI_DONE)
		status = daemon_open_meta(d, &fo);
	if (status != CLI_DONE)
		return status;
	fill_fs(d, &fo);
	r = fs_new(&d->host, d->meta, d->cache, d->store, &fo, &d->fs);
	if (r < 0)
		return say_error(&d->say, CLI_FAILED,
				 "the state in %s cannot be used: %s",
				 d->cache_path, strerror(-r));
	return open_mount(d);
}

/* The last word: for the log, for those who wait, and as exit status. */
static int conclude(struct daemon *d, int r)
{
	struct buf b = BUF_INIT(CONTROL_LINE_MAX);
	uint64_t missing = 1;

	if (daemon_result(d, "", r, &b, &missing) < 0)
		buf_clear(&b);
	(void)pthread_mutex_lock(&d->lock);
	d->result = b;
	d->phase = DAEMON_ENDED;
	(void)pthread_mutex_unlock(&d->lock);
	if (missing == 0) {
		log_info("%s: everything is in the bucket", d->src.name);
		return CLI_DONE;
	}
	daemon_log_missing(d);
	return CLI_FAILED;
}

static int serve(struct daemon *d)
{
	bool unmounted = false;
	int r = fusefs_loop(d->fuse, &unmounted);

	if (r < 0)
		(void)log_err(r, "serving ended");
	if (!d->ready)
		return CLI_FAILED;
	set_phase(d, DAEMON_DRAINING);
	daemon_tell_holder(d, "draining");
	if (unmounted) {
		log_info("unmounted; finishing uploads");
		fs_kernel_gone(d->fs);
	}
	return conclude(d, daemon_drain(d));
}

static void close_all(struct daemon *d)
{
	daemon_stop_signals(d);
	if (d->fuse)
		fusefs_unmount(d->fuse);
	control_stop(d->control);
	if (d->store)
		store_shutdown(d->store);
	fs_free(d->fs);
	fusefs_free(d->fuse);
	cache_close(d->cache);
	meta_close(d->meta);
	store_free(d->store);
	cred_chain_free(d->creds);
	http_free(d->http);
	if (d->host.disk) {
		disk_close(d->host.disk, d->lock_fd);
		disk_free(d->host.disk);
	}
	buf_clear(&d->result);
	free(d->endpoint);
	free(d->normal);
	free(d->cache_path);
	(void)pthread_mutex_destroy(&d->lock);
}

int daemon_run(struct daemon *d)
{
	struct buf result = BUF_INIT(CONTROL_LINE_MAX);
	int status;

	d->lock_fd = -1;
	d->result = result;
	d->stop_at_mono_ns = CLK_NEVER;
	d->since_real_ns = clk_real(&clk_system);
	(void)pthread_mutex_init(&d->lock, NULL);
	set_limits();
	share_memory();
	block_signals();
	status = open_all(d);
	if (status == CLI_DONE)
		status = serve(d);
	close_all(d);
	return status;
}
